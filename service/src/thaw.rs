//! Making good what a backup has left behind that died: what is frozen, and the hooks that are owed.

use std::path::PathBuf;

pub use consistency::hooks::Settled;
use consistency::hooks::{DIRECTORY, settle, waiting};
pub use consistency::journal::{Swept, Thawed, Which};
use repository::blocking;
use repository::error::chain;
use serde::Serialize;

use crate::machine::Machine;
use crate::platforms::Platforms;

/// What was made good.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MadeGood {
    /// What was frozen and runs again.
    pub thawed: Vec<Thawed>,
    /// The containers whose hook was owed and has run.
    pub hooks: Vec<String>,
    /// What may be frozen or owed still, and why; one sentence each.
    pub failures: Vec<String>,
}

impl MadeGood {
    /// With what became of hooks.
    pub fn add(&mut self, settled: Settled) {
        self.hooks.extend(settled.run);
        self.failures.extend(settled.failures.into_iter().chain(settled.owed));
    }
}

impl From<Swept> for MadeGood {
    fn from(Swept { thawed, failures }: Swept) -> Self {
        Self { thawed, hooks: Vec::new(), failures }
    }
}

/// Thaws what the journals in a directory say is frozen.
pub async fn thaw(journals: PathBuf, which: Which) -> Swept {
    blocking::run(move || consistency::journal::sweep(&journals, which)).await
}

/// Runs the hooks that backups which died owe to their applications.
pub async fn settle_hooks(platforms: &Platforms, state_dir: PathBuf) -> Settled {
    let directory = state_dir.join(DIRECTORY);
    let (debts, failures) = blocking::run(move || waiting(&directory)).await;
    let mut all = Settled { failures, ..Settled::default() };
    for debt in debts {
        match platforms.platform(&debt.platform).await {
            Ok(platform) => {
                let Settled { run, failures, owed } = settle(platform.as_ref(), debt).await;
                all.run.extend(run);
                all.failures.extend(failures);
                all.owed.extend(owed);
            }
            Err(error) => {
                let (name, error) = (&debt.application, chain(&error));
                all.owed.push(format!("application `{name}` is owed its hooks: {error}"));
            }
        }
    }
    all
}

// The first thing that is done: an application may stand still, or wait for its hooks.
pub(crate) async fn settle_first(machine: &Machine) {
    let Machine { platforms, warden, state_dir, .. } = machine;
    let mut good = MadeGood::from(thaw(warden.journals.clone(), Which::Abandoned).await);
    good.add(settle_hooks(platforms, state_dir.clone()).await);
    for thawed in good.thawed {
        tracing::warn!(what = %thawed.target, "a backup died and left it frozen; it runs again");
    }
    for container in good.hooks {
        tracing::warn!(%container, "a backup died and owed it a hook, which has run now");
    }
    for failure in good.failures {
        tracing::error!("{failure}");
    }
}
