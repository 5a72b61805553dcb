//! Code shared by several test programs.

pub(crate) mod records;
pub(crate) mod schema;
