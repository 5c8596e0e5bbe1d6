//! Thawing what a freeze has left behind.

use std::path::PathBuf;

pub use consistency::journal::{Swept, Thawed, Which};
use repository::blocking;

/// Thaws what the journals in a directory say is frozen.
pub async fn thaw(journals: PathBuf, which: Which) -> Swept {
    blocking::run(move || consistency::journal::sweep(&journals, which)).await
}

// The first thing that is done: an application may stand still.
pub(crate) async fn thaw_first(journals: PathBuf) {
    let Swept { thawed, failures } = thaw(journals, Which::Abandoned).await;
    for thawed in thawed {
        tracing::warn!(what = %thawed.target, "a backup died and left it frozen; it runs again");
    }
    for failure in failures {
        tracing::error!("{failure}");
    }
}
