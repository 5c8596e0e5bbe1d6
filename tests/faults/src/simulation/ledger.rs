//! What was promised, by anybody to anybody, and whether it holds in the end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use format::ids::PointId;
use repository::check;
use repository::error::{RepositoryError, chain};
use repository::maintainer::Maintainer;
use repository::prune::{Options, Prune};
use repository::reader::Reader;
use repository::store::{MaintainStore, ReadStore};

use super::author;
use super::link::Link;
use crate::files::Files;
use crate::world::{Failure, key};

/// What was promised.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The points that were reported as made.
    pub(super) committed: BTreeMap<PointId, Files>,
    /// The points that somebody asked to forget, whatever the answer was.
    pub(super) given_up: BTreeSet<PointId>,
    /// The points that were reported as forgotten.
    pub(super) forgotten: BTreeSet<PointId>,
    /// The sessions of which it was said that they were ended without a point.
    pub(super) fenced: BTreeSet<PointId>,
    /// How often each thing was done to its end.
    pub(super) done: BTreeMap<&'static str, u64>,
    /// What was broken.
    pub(super) broken: Vec<String>,
}

/// What must hold when the network is well: every promised point is there, the check is clean after
/// one prune, and the points are still there.
pub(super) async fn settle(link: &Arc<Link>, ledger: &RefCell<Ledger>) {
    let settled = async {
        let said = |when: &str, error: Failure| format!("{when}: {}", chain(error.as_ref()));
        let before = "before the last prune";
        promised(link, ledger).await.map_err(|error| said(before, error))?;
        let after = async {
            prune_and_check(link).await?;
            promised(link, ledger).await
        };
        after.await.map_err(|error| said("after the last prune", error))
    };
    if let Err(what) = settled.await {
        ledger.borrow_mut().broken.push(what);
    }
}

async fn prune_and_check(link: &Arc<Link>) -> Result<(), Failure> {
    let maintainer = maintainer(link).await?;
    let options = Options::usual("settle", None);
    Prune::plan(&maintainer, options, Arc::default()).await?.execute().await?;
    let report = check::check(&reader(link).await?, true).await?;
    match report.findings.as_slice() {
        [] => Ok(()),
        findings => Err(format!("the check is not clean: {findings:?}").into()),
    }
}

async fn promised(link: &Arc<Link>, ledger: &RefCell<Ledger>) -> Result<(), Failure> {
    let reader = reader(link).await?;
    let (kept, forgotten, fenced) = {
        let ledger = ledger.borrow();
        let kept = ledger.committed.keys().filter(|it| !ledger.given_up.contains(*it));
        let kept: Vec<_> = kept.map(|point| (*point, ledger.committed[point].clone())).collect();
        (kept, ledger.forgotten.clone(), ledger.fenced.clone())
    };
    all_there(&reader, &kept).await?;
    for point in forgotten {
        if !matches!(reader.point(point).await, Err(RepositoryError::Forgotten(_))) {
            return Err(format!("{point} was forgotten and is there").into());
        }
    }
    for point in fenced {
        if reader.point(point).await?.is_some() {
            return Err(format!("{point} was reported as failed and is there").into());
        }
    }
    Ok(())
}

/// Whether these points have these files.
pub(super) async fn all_there(reader: &Reader, points: &[(PointId, Files)]) -> Result<(), Failure> {
    for (point, files) in points {
        let found = async {
            let manifest = reader.point(*point).await?.ok_or("it was fenced")?;
            author::read(reader, &manifest).await
        };
        let found =
            found.await.map_err(|error| format!("{point} is lost: {}", chain(error.as_ref())))?;
        if found != *files {
            return Err(format!("{point} has other files").into());
        }
    }
    Ok(())
}

/// The repository as a process reads it.
pub(super) async fn reader(link: &Arc<Link>) -> Result<Reader, Failure> {
    let readable: Arc<dyn ReadStore> = Arc::<Link>::clone(link);
    Ok(Reader::open(readable, &key()).await?)
}

/// The repository in the hands of a process that may delete.
pub(super) async fn maintainer(link: &Arc<Link>) -> Result<Maintainer, Failure> {
    let store: Arc<dyn MaintainStore> = Arc::<Link>::clone(link);
    Ok(Maintainer::open(store, &key()).await?)
}
