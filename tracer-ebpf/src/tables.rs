//! The connection tables as BPF maps.

use tracer_common::{
    connection::FlowState,
    flow::{FlowKey, Removal},
    observe::{Table, Tables},
};

use crate::maps::{CONNECTIONS, HALF_OPEN, NEW_FLOW};

/// [`CONNECTIONS`] and [`HALF_OPEN`].
pub(crate) struct KernelTables;

/// A connection, if it is in this table.
#[inline(always)]
pub(crate) fn look_up<'a>(table: Table, key: &FlowKey) -> Option<&'a mut FlowState> {
    let flow = match table {
        Table::Confirmed => CONNECTIONS.get_ptr_mut(key),
        Table::Unconfirmed => HALF_OPEN.get_ptr_mut(key),
    }?;
    // SAFETY: the kernel frees a map element only after the program that looked it up has ended (RCU). Another CPU may
    // write the other halves at the same time; the halves of one direction have one writer.
    Some(unsafe { &mut *flow })
}

/// Removes one incarnation of a connection; false if neither table has it.
#[inline(always)]
pub(crate) fn remove(removal: &Removal) -> bool {
    let key = &removal.key;
    let has = |table| look_up(table, key).is_some_and(|flow| flow.id == removal.flow);
    if has(Table::Confirmed) {
        CONNECTIONS.remove(key).is_ok()
    } else {
        has(Table::Unconfirmed) && HALF_OPEN.remove(key).is_ok()
    }
}

impl Tables for KernelTables {
    #[inline(always)]
    fn find(&mut self, key: &FlowKey, first: Table) -> Option<(Table, &mut FlowState)> {
        let second = match first {
            Table::Confirmed => Table::Unconfirmed,
            Table::Unconfirmed => Table::Confirmed,
        };
        if let Some(flow) = look_up(first, key) {
            return Some((first, flow));
        }
        look_up(second, key).map(|flow| (second, flow))
    }

    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value it would be copied to the BPF stack"
    )]
    #[inline(always)]
    fn create(&mut self, key: &FlowKey) -> Option<&mut FlowState> {
        HALF_OPEN.insert(key, &NEW_FLOW, 0).ok()?;
        look_up(Table::Unconfirmed, key)
    }

    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value it would be copied to the BPF stack"
    )]
    #[inline(always)]
    fn confirm(&mut self, key: &FlowKey) -> bool {
        let Some(flow) = look_up(Table::Unconfirmed, key) else { return false };
        let moved = CONNECTIONS.insert(key, &*flow, 0).is_ok();
        if moved {
            // It may have been removed already.
            let _ = HALF_OPEN.remove(key);
        }
        moved
    }

    #[inline(always)]
    fn forget(&mut self, key: &FlowKey) {
        // It may have been removed already.
        let _ = CONNECTIONS.remove(key);
    }
}
