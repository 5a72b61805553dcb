//! Writes the pages that are generated, or checks that they are up to date.

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, execute};

/// What to do with the pages.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write nothing, and fail if a page is stale
    #[arg(long)]
    check: bool,
}

/// Writes or checks `docs/fields.md` and `docs/cli.md`: a test of the project does both, so that
/// `cargo test` checks them too.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut test = cargo("test");
    test.args(["--quiet", "--package", "tracer", "--test", "project", "the_page_about"]);
    if !options.check {
        test.env("UPDATE_DOCS", "1");
    }
    execute(&mut test)
}
