//! What native XDP does to each driver when it is attached and detached, read in the kernel's
//! source.
//!
//! An observer must not disturb what it observes, so that native XDP is attached on request only:
//! no driver is known to which it does nothing. One that is would be an exception in `xdp_modes`.

use crate::live::kernel::interfaces::Interface;

/// A driver, or a kind of virtual interface; what native XDP makes it do; and where the kernel's
/// source does that, below `drivers/net`.
struct Effect(&'static str, &'static str, &'static str);

const EFFECTS: [Effect; 13] = [
    Effect(
        "bnxt_en",
        "closes and reopens the interface, and switches LRO off",
        "ethernet/broadcom/bnxt/bnxt_xdp.c: bnxt_xdp_set",
    ),
    Effect(
        "ena",
        "stops and restarts its queues, and refuses a large MTU",
        "ethernet/amazon/ena/ena_xdp.c: ena_xdp_set",
    ),
    Effect(
        "i40e",
        "resets the device and rebuilds its queues",
        "ethernet/intel/i40e/i40e_main.c: i40e_xdp_setup",
    ),
    Effect("ice", "stops and restarts the interface", "ethernet/intel/ice/ice_main.c: ice_xdp_setup_prog"),
    Effect("igb", "closes and reopens the interface", "ethernet/intel/igb/igb_main.c: igb_xdp_setup"),
    Effect("igc", "closes and reopens the interface", "ethernet/intel/igc/igc_xdp.c: igc_xdp_set_prog"),
    Effect(
        "ixgbe",
        "resets the interface and rebuilds its queues",
        "ethernet/intel/ixgbe/ixgbe_main.c: ixgbe_xdp_setup",
    ),
    Effect(
        "ixgbevf",
        "closes and reopens the interface, and refuses a large MTU",
        "ethernet/intel/ixgbevf/ixgbevf_main.c: ixgbevf_xdp_setup",
    ),
    Effect("mlx4_core", "stops and restarts the port", "ethernet/mellanox/mlx4/en_netdev.c: mlx4_xdp_set"),
    Effect(
        "mlx5_core",
        "rebuilds its queues, and switches LRO and hardware GRO off",
        "ethernet/mellanox/mlx5/core/en_main.c: mlx5e_xdp_set",
    ),
    Effect("qede", "reloads the interface", "ethernet/qlogic/qede/qede_filter.c: qede_xdp_set"),
    Effect("veth", "copies every frame, and its peer sends no large ones", "veth.c: veth_xdp_set"),
    Effect(
        "virtio_net",
        "switches guest offloads off, and changes the number of its queues",
        "virtio_net.c: virtnet_xdp_set",
    ),
];

/// What native XDP does to the driver of an interface, for the user: as in "veth copies every
/// frame".
pub(super) fn effect(interface: &Interface) -> String {
    let Some(driver) = &interface.driver else {
        return "what native XDP does to its driver is not known".to_owned();
    };
    match known(driver) {
        Some(Effect(_, effect, _)) => format!("for native XDP, {driver} {effect}"),
        None => format!("what native XDP does to {driver} is not known"),
    }
}

/// The same, with its place in the kernel's source.
pub(super) fn effect_with_source(interface: &Interface) -> String {
    let known = interface.driver.as_deref().and_then(known);
    let source = known.map_or_else(String::new, |Effect(.., source)| format!(" (drivers/net/{source})"));
    effect(interface) + &source
}

fn known(driver: &str) -> Option<&'static Effect> {
    EFFECTS.iter().find(|Effect(name, ..)| *name == driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_driver_with_its_source() {
        let page = include_str!("../../../../../docs/operations.md");
        for Effect(driver, effect, source) in EFFECTS {
            let row = format!("| `{driver}` | {effect} | `{source}` |");
            assert!(page.contains(&row), "docs/operations.md lacks this row:\n{row}");
        }
    }
}
