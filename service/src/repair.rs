//! Repairing a repository, and giving it back what it has lost.

mod heal;

use std::path::PathBuf;
use std::sync::Arc;

use format::names::{ObjectName, PackName};
use repository::check::{Check, CheckReport, Progress};
use repository::error::RepositoryError;
use repository::location::Location;
use repository::reader::Reader;
pub use repository::repair::Donor;
use repository::repair::{self, Healing, Plan, Repaired};
use repository::store::ReadStore;
use repository::unlock::Key;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::ServiceError;

/// How often a repair is planned, when prunes decide meanwhile what to remove.
const ROUNDS: usize = 3;

/// What to repair, and with what.
#[derive(Clone, Debug, Default)]
pub struct RepairRequest {
    /// The packs to read; all of them when it is empty.
    pub packs: Vec<PackName>,
    /// Whether packs are read at all, or only all that says what is where.
    pub structure_only: bool,
    /// Directories and files that may still have what is lost.
    pub from: Vec<PathBuf>,
}

/// What a repair did, and what is left to do.
#[derive(Debug, Serialize)]
pub struct RepairReport {
    /// What was planned.
    pub plan: Plan,
    /// What was done of it.
    pub repaired: Repaired,
    /// How many lost chunks were found elsewhere and stored again.
    pub healed: u64,
    /// What the user should know about the store.
    pub warnings: Vec<String>,
    /// What an independent check has found afterwards: what is named here is truly lost.
    pub left: CheckReport,
}

impl Engine {
    /// What a repair would do; nothing is written.
    pub async fn plan_repair(
        &self,
        request: &RepairRequest,
        progress: &Progress,
    ) -> Result<Plan, ServiceError> {
        let mut check = Check::begin(&self.reader).await?;
        let mut packs = check.packs().to_vec();
        if request.structure_only {
            packs.clear();
        } else if !request.packs.is_empty() {
            packs.retain(|(pack, _)| request.packs.contains(pack));
        }
        check.read(packs, progress).await?;
        Ok(repair::plan(&self.reader, check).await?)
    }

    /// Carries out a plan, and looks elsewhere for what is lost then.
    pub async fn repair(
        &self,
        plan: Plan,
        request: &RepairRequest,
        donor: Option<&Donor>,
        progress: &Progress,
    ) -> Result<RepairReport, ServiceError> {
        let warnings = self.attach().await?.warning().into_iter().collect();
        let mut round = 1;
        let mut planned = plan.clone();
        let repaired = loop {
            let store = Arc::clone(&self.store);
            match repair::execute(store, &self.reader, planned, &self.host).await {
                Err(RepositoryError::Overtaken) if round < ROUNDS => {
                    round += 1;
                    planned = self.plan_repair(request, progress).await?;
                }
                result => break result?,
            }
        };
        let healed = self.heal(&plan, &request.from, donor).await?;
        let mut left = Check::begin(&self.reader).await?.finish().await?;
        left.findings.extend(self.evidence.iter().cloned());
        Ok(RepairReport { plan, repaired, healed, warnings, left })
    }

    // Looks in files first, because they cost no requests.
    async fn heal(
        &self,
        plan: &Plan,
        paths: &[PathBuf],
        donor: Option<&Donor>,
    ) -> Result<u64, ServiceError> {
        if !plan.has_lost_files() || paths.is_empty() && donor.is_none() {
            return Ok(0);
        }
        let (store, wanted) = (Arc::clone(&self.store), plan.wanted.clone());
        let mut healing = Healing::begin(store, &self.reader, wanted, &self.host).await?;
        heal::look(&mut healing, paths).await?;
        if let Some(donor) = donor {
            donor.heal(&mut healing, &self.reader, plan).await?;
        }
        Ok(healing.finish().await?)
    }
}

/// Opens another repository that may still have what is lost.
pub async fn open_donor(location: &Location, key: &Key) -> Result<Donor, ServiceError> {
    let store: Arc<dyn ReadStore> = location.open().map_err(RepositoryError::from)?;
    Ok(Donor::open(Reader::open(store, key).await?).await?)
}

/// The pack of this name.
///
/// # Errors
/// When it is the name of something else.
pub fn parse_pack(text: &str) -> Result<PackName, String> {
    match text.parse() {
        Ok(ObjectName::Pack(pack)) => Ok(pack),
        _ => Err(format!("`{text}` is not the name of a pack, such as `check` prints them")),
    }
}
