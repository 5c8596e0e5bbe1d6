//! One run of a script on a store that fails, and what must hold afterwards.

use repository::check::CheckReport;
use repository::error::chain;

use crate::files::version;
use crate::world::{Account, Failure, Process};

/// What became of a run.
#[derive(Debug)]
pub struct Trial {
    /// The operations that failed.
    pub struck: Vec<String>,
    /// What was promised.
    pub account: Account,
    /// Whether it was kept.
    pub result: Result<(), Failure>,
}

impl Trial {
    /// Whether the fault would have come after the end of the script, so that there is no more to
    /// try.
    ///
    /// # Panics
    /// When a promise was broken, or something failed although nothing was done to the store.
    pub fn is_last(&self) -> bool {
        let Self { struck, account, result } = self;
        if let Err(error) = result {
            panic!("{struck:?}: {}\nfailures: {:#?}", chain(error.as_ref()), account.failures);
        }
        assert!(!struck.is_empty() || account.failures.is_empty(), "{:?}", account.failures);
        struck.is_empty()
    }
}

/// Compares what was promised with what is there, when the store is well again, and makes another
/// point. A repository of which nothing became is made first.
///
/// # Panics
/// When a repository is made where there is one.
pub async fn resume(process: &Process<'_>, account: &mut Account) -> Result<(), Failure> {
    let is_new = process.reader().await.is_err() && account.committed.is_empty();
    if is_new {
        process.init().await?;
    } else if account.failures.iter().any(|failure| failure.starts_with("init")) {
        // Whoever was told that it failed does it again.
        assert!(process.init().await.is_err(), "there is a repository");
    }
    account.settle(process).await?;
    let files = version(9);
    let manifest = process.backup(&files, None).await?;
    account.backup(Ok(manifest), files);
    Ok(())
}

/// Fails when a check has found anything.
pub fn all_well(report: &CheckReport) -> Result<(), Failure> {
    match report.findings.as_slice() {
        [] => Ok(()),
        findings => Err(format!("the check is not clean: {findings:?}").into()),
    }
}
