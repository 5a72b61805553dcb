//! Offsets of fields in the running kernel's structures, from its type information (BTF;
//! `Documentation/bpf/btf.rst`). aya reads BTF too, but does not give away members.

use std::{env, ffi::OsString, fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use tracer_common::config::Offsets;

/// Where the kernel publishes its types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// The variable that names another file, for kernels that publish none.
const VARIABLE: &str = "TRACER_KERNEL_BTF";
/// The first bytes, in native byte order.
const MAGIC: u16 = 0xeb9f;
/// Bytes of a type without what depends on its kind.
const TYPE: usize = 12;
/// Bytes of a member of a structure.
const MEMBER: usize = 12;
/// Bits of the offset of a member, where the others are the size of a bit field.
const OFFSET_MASK: u32 = 0x00ff_ffff;
/// How many unnamed members and other names of types are followed: more than C programmers nest.
const MAX_DEPTH: u32 = 16;

/// Kinds of types (`BTF_KIND_*`).
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// The offsets that the owner programs need.
///
/// # Errors
/// The kernel publishes no types, or they lack a field: which.
pub(super) fn offsets() -> Result<Offsets> {
    let path = env::var_os(VARIABLE).unwrap_or_else(|| OsString::from(VMLINUX));
    let bytes =
        fs::read(&path).with_context(|| format!("no kernel types in {}", PathBuf::from(path).display()))?;
    let types = Types::new(&bytes).context("the kernel's types cannot be read")?;
    let sock = |member: &str| types.offset("sock", &["__sk_common", member]);
    Ok(Offsets {
        remote: sock("skc_daddr")?,
        local: sock("skc_rcv_saddr")?,
        remote6: sock("skc_v6_daddr")?,
        local6: sock("skc_v6_rcv_saddr")?,
        remote_port: sock("skc_dport")?,
        local_port: sock("skc_num")?,
        family: sock("skc_family")?,
        state: sock("skc_state")?,
        net: sock("skc_net")?,
        cookie: sock("skc_cookie")?,
        protocol: types.offset("sock", &["sk_protocol"])?,
        owned: types.offset("sock", &["sk_lock", "owned"])?,
        net_cookie: types.offset("net", &["net_cookie"])?,
        socket_sk: types.offset("socket", &["sk"])?,
        task_flags: types.offset("task_struct", &["flags"])?,
        leader: types.offset("task_struct", &["group_leader"])?,
        pid: types.offset("task_struct", &["tgid"])?,
        name: types.offset("task_struct", &["comm"])?,
        started: types.offset("task_struct", &["start_boottime"])?,
        cred: types.offset("task_struct", &["cred"])?,
        user: types.offset("cred", &["euid"])?,
        cgroups: types.offset("task_struct", &["cgroups"])?,
        default_cgroup: types.offset("css_set", &["dfl_cgrp"])?,
        cgroup_node: types.offset("cgroup", &["kn"])?,
        node_id: types.offset("kernfs_node", &["id"])?,
    })
}

/// The types of a kernel.
struct Types<'a> {
    /// Of each type, from its first byte on; the type with the number `n` is at `n - 1`.
    types: Vec<&'a [u8]>,
    names: &'a [u8],
}

impl<'a> Types<'a> {
    /// `None` if `bytes` are no BTF of this byte order, or have types of an unknown kind.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        if u16::from_ne_bytes(*bytes.first_chunk()?) != MAGIC {
            return None;
        }
        let section = |at: usize| {
            let start = word(bytes, 4)? as usize + word(bytes, at)? as usize;
            bytes.get(start..)?.get(..word(bytes, at + 4)? as usize)
        };
        let (mut rest, names) = (section(8)?, section(16)?);
        let mut types = Vec::new();
        while !rest.is_empty() {
            types.push(rest);
            let count = vlen(rest)?;
            let more = match kind(rest)? {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => count * MEMBER,
                kind::ENUM | kind::FUNC_PROTO => count * 8,
                0..=kind::ENUM64 => 0,
                _ => return None,
            };
            rest = rest.get(TYPE + more..)?;
        }
        Some(Self { types, names })
    }

    /// Offset of a member in a structure, in bytes: each of `path` is a member of the one before.
    fn offset(&self, structure: &str, path: &[&str]) -> Result<u32> {
        let what = || format!("the kernel's types lack {structure}.{}", path.join("."));
        let is_it =
            |of: &&&[u8]| kind(of) == Some(kind::STRUCT) && self.name(of, 0) == Some(structure.as_bytes());
        let mut of = *self.types.iter().find(is_it).with_context(what)?;
        let mut offset = 0;
        for name in path {
            let (within, member) = self.member(of, name.as_bytes(), MAX_DEPTH).with_context(what)?;
            ensure!(within % 8 == 0, "{} is a bit field", what());
            offset += within / 8;
            of = member;
        }
        Ok(offset)
    }

    /// The member `name` of a structure: its offset in bits, and its type. Members of unnamed members
    /// count.
    fn member(&self, of: &'a [u8], name: &[u8], depth: u32) -> Option<(u32, &'a [u8])> {
        let depth = depth.checked_sub(1)?;
        let members = of.get(TYPE..)?.as_chunks::<MEMBER>().0.get(..vlen(of)?)?;
        for member in members {
            let offset = word(member, 8)? & if word(of, 4)? >> 31 == 1 { OFFSET_MASK } else { u32::MAX };
            let (called, number) = (self.name(member, 0)?, word(member, 4)?);
            if called == name {
                return Some((offset, self.resolve(number).unwrap_or_default()));
            }
            if called.is_empty()
                && let Some(unnamed) = self.resolve(number)
                && let Some((within, found)) = self.member(unnamed, name, depth)
            {
                return Some((offset + within, found));
            }
        }
        None
    }

    /// The structure or union with this number, through other names and qualifiers.
    fn resolve(&self, mut number: u32) -> Option<&'a [u8]> {
        for _ in 0..MAX_DEPTH {
            let of = *self.types.get(number.checked_sub(1)? as usize)?;
            match kind(of)? {
                kind::STRUCT | kind::UNION => return Some(of),
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::TYPE_TAG => number = word(of, 8)?,
                _ => return None,
            }
        }
        None
    }

    /// The name whose position is at `at`.
    fn name(&self, of: &[u8], at: usize) -> Option<&'a [u8]> {
        self.names.get(word(of, at)? as usize..)?.split(|byte| *byte == 0).next()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn kind(of: &[u8]) -> Option<u32> {
    word(of, 4).map(|info| info >> 24 & 0x1f)
}

/// How many members, values or parameters a type has.
fn vlen(of: &[u8]) -> Option<usize> {
    word(of, 4).map(|info| (info & 0xffff) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF of: `int`; `union { int a; int b; }` (unnamed); `struct inner { int x; int y; }`; `typedef struct inner other`;
    /// `struct outer { int first; union {…}; other in; }`.
    fn sample() -> Vec<u8> {
        let names = b"\0int\0a\0b\0inner\0x\0y\0other\0outer\0first\0in\0";
        let at = |name: &str| {
            let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
            names.windows(wanted.len()).position(|window| window == wanted).expect("a name") as u32 + 1
        };
        let info = |kind: u32, count: u32| kind << 24 | count;
        let types: Vec<u32> = [
            vec![at("int"), info(kind::INT, 0), 4, 32],
            vec![0, info(kind::UNION, 2), 4, at("a"), 1, 0, at("b"), 1, 0],
            vec![at("inner"), info(kind::STRUCT, 2), 8, at("x"), 1, 0, at("y"), 1, 32],
            vec![at("other"), info(kind::TYPEDEF, 0), 3],
            vec![at("outer"), info(kind::STRUCT, 3), 16, at("first"), 1, 0, 0, 2, 32, at("in"), 4, 64],
        ]
        .concat();
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [24, 0, types.len(), types.len(), names.len()] {
            bytes.extend((word as u32).to_ne_bytes());
        }
        [bytes, types, names.to_vec()].concat()
    }

    #[test]
    fn members_are_found_in_unnamed_members_and_through_other_names() {
        let bytes = sample();
        let types = Types::new(&bytes).expect("types");
        for (path, offset) in [
            (&["first"][..], 0),
            (&["a"], 4),
            (&["b"], 4),
            (&["in"], 8),
            (&["in", "x"], 8),
            (&["in", "y"], 12),
        ] {
            assert_eq!(types.offset("outer", path).ok(), Some(offset), "{path:?}");
        }
        let error = types.offset("outer", &["in", "z"]).expect_err("no such member");
        assert_eq!(error.to_string(), "the kernel's types lack outer.in.z");
        assert!(types.offset("inner", &["first"]).is_err());
        assert!(types.offset("other", &["x"]).is_err(), "not a structure");
    }

    #[test]
    fn damaged_types_are_no_types() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert!(Types::new(&bytes[..len]).is_none(), "{len} bytes");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0xff;
            if let Some(types) = Types::new(&bytes) {
                let _ = types.offset("outer", &["in", "y"]);
            }
        }
    }
}
