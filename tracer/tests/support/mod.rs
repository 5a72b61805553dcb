//! What several test programs share.

pub mod records;
pub mod schema;
