//! Whether the service lives, and whether it can do its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use catalog::Catalog;
use format::names::Folder;
use futures::future::join_all;
use repository::error::{RepositoryError, chain};
use repository::location::Location;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::serve::Setup;

/// Something that the service needs, and why it has it not.
pub(super) type Finding = (String, Result<(), String>);

/// Whether the service lives, and whether it can do its work.
pub(in crate::serve) struct Health {
    catalog: Arc<Catalog>,
    setup: watch::Receiver<Arc<Setup>>,
    /// When its loop last came round.
    turned: Mutex<Instant>,
    /// What the platforms said when applications were last looked for.
    platforms: Mutex<Result<(), String>>,
    /// What was found of the repositories, and when.
    repositories: tokio::sync::Mutex<Option<(Instant, Vec<Finding>)>>,
}

impl Health {
    pub(super) fn new(catalog: Arc<Catalog>, setup: watch::Receiver<Arc<Setup>>) -> Self {
        Self {
            catalog,
            setup,
            turned: Mutex::new(Instant::now()),
            platforms: Mutex::new(Ok(())),
            repositories: tokio::sync::Mutex::default(),
        }
    }

    /// The loop has come round.
    pub(in crate::serve) fn turn(&self) {
        *self.turned.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Applications were looked for.
    pub(in crate::serve) fn looked(&self, trouble: Option<&str>) {
        let outcome = trouble.map_or(Ok(()), |trouble| Err(trouble.to_owned()));
        *self.platforms.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }

    /// Whether its loop comes round.
    pub(super) fn is_alive(&self) -> Finding {
        let turned = *self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        let since = turned.elapsed();
        let late = || format!("nothing was seen to for {} s", since.as_secs());
        ("service".to_owned(), if since < ALIVE_WITHIN { Ok(()) } else { Err(late()) })
    }

    /// Everything that it needs.
    pub(super) async fn all(&self) -> Vec<Finding> {
        let catalog = self.catalog.jobs().await.map(drop).map_err(|error| chain(&error));
        let platforms = self.platforms.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own = [("catalog".to_owned(), catalog), ("platforms".to_owned(), platforms)];
        let mut all = vec![self.is_alive()];
        all.extend(own);
        all.extend(self.repositories().await);
        all
    }

    // Whoever asks at the same time waits for the same answer.
    async fn repositories(&self) -> Vec<Finding> {
        let mut known = self.repositories.lock().await;
        match &*known {
            Some((when, findings)) if when.elapsed() < FRESH => findings.clone(),
            _ => {
                let setup = Arc::clone(&self.setup.borrow());
                let findings = join_all(locations(&setup).into_values().map(reach)).await;
                *known = Some((Instant::now(), findings.clone()));
                findings
            }
        }
    }
}

/// The places of all policies' points, each once.
fn locations(setup: &Setup) -> BTreeMap<String, Location> {
    let policies = setup.config.policies.values();
    let locations = policies.filter_map(|policy| Some(setup.repository(policy).ok()?.0));
    locations.map(|location| (location.to_string(), location)).collect()
}

async fn reach(location: Location) -> Finding {
    let listed = async {
        let store = location.open()?;
        let slots = store.list(Folder::Slots).await?;
        if slots.is_empty() { Err(RepositoryError::NotFound(location.to_string())) } else { Ok(()) }
    };
    let reached = match timeout(REACH_MAX, listed).await {
        Ok(reached) => reached.map_err(|error| chain(&error)),
        Err(_) => Err(format!("no answer in {} s", REACH_MAX.as_secs())),
    };
    (format!("repository {location}"), reached)
}

/// A line for each finding; an error when one of them is.
pub(super) fn answer(findings: &[Finding]) -> Response {
    let line = |(what, found): &Finding| match found {
        Ok(()) => format!("[+] {what}\n"),
        Err(why) => format!("[-] {what}: {why}\n"),
    };
    let lines: String = findings.iter().map(line).collect();
    let is_well = findings.iter().all(|(_, found)| found.is_ok());
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, lines).into_response()
}

/// The loop comes round every 20 seconds; it may wait for an engine that hangs.
const ALIVE_WITHIN: Duration = Duration::from_mins(3);
/// How long an answer of the repositories holds.
const FRESH: Duration = Duration::from_secs(5);
/// How long a repository has to answer.
const REACH_MAX: Duration = Duration::from_secs(5);
