//! What several test programs share.

pub(crate) mod records;
pub(crate) mod schema;
