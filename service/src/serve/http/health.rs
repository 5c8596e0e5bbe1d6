//! Whether the service lives, and whether it can do its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use catalog::Catalog;
use format::names::Folder;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, join_all};
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
    seen: Mutex<Seen>,
    repositories: tokio::sync::Mutex<Repositories>,
}

/// What the loop has seen.
struct Seen {
    /// When it last came round.
    turned: Instant,
    /// Why it could not see to what is due.
    turn: Option<String>,
    /// Why a platform did not answer when applications were last looked for.
    platforms: Option<String>,
    /// Why it cannot listen where it is to.
    address: Option<String>,
}

/// What was found of the repositories.
#[derive(Default)]
struct Repositories {
    known: Option<(Instant, Vec<Finding>)>,
    /// Those that have not answered yet: nobody asks them again before they have.
    asked: BTreeMap<String, Shared<BoxFuture<'static, Finding>>>,
}

impl Health {
    pub(super) fn new(catalog: Arc<Catalog>, setup: watch::Receiver<Arc<Setup>>) -> Self {
        let turn = Some("nothing was looked at so far".to_owned());
        let seen = Seen { turned: Instant::now(), turn, platforms: None, address: None };
        Self { catalog, setup, seen: Mutex::new(seen), repositories: tokio::sync::Mutex::default() }
    }

    /// The loop has come round; or it could not see to what is due.
    pub(in crate::serve) fn turned(&self, trouble: Option<String>) {
        let mut seen = self.seen();
        (seen.turned, seen.turn) = (Instant::now(), trouble);
    }

    /// Applications were looked for.
    pub(in crate::serve) fn looked(&self, trouble: Option<&str>) {
        self.seen().platforms = trouble.map(ToOwned::to_owned);
    }

    /// It listens where it is to; or it cannot.
    pub(super) fn listens(&self, trouble: Option<String>) {
        self.seen().address = trouble;
    }

    /// Whether its loop comes round.
    pub(super) fn is_alive(&self) -> Finding {
        let since = self.seen().turned.elapsed();
        let late = format!("nothing was looked at for {} s", since.as_secs());
        ("service".to_owned(), if since < ALIVE_WITHIN { Ok(()) } else { Err(late) })
    }

    /// Everything that it needs.
    pub(super) async fn all(&self) -> Vec<Finding> {
        let catalog = self.catalog.jobs().await.map(drop).map_err(|error| chain(&error));
        let mut all = vec![self.is_alive(), ("catalog".to_owned(), catalog)];
        {
            let Seen { turned: _, turn, platforms, address } = &*self.seen();
            for (what, trouble) in
                [("schedules", turn), ("platforms", platforms), ("address", address)]
            {
                all.push((what.to_owned(), trouble.clone().map_or(Ok(()), Err)));
            }
        }
        all.extend(self.repositories().await);
        all
    }

    // Whoever asks at the same time waits for the same answer.
    async fn repositories(&self) -> Vec<Finding> {
        let mut repositories = self.repositories.lock().await;
        if let Some((when, findings)) = &repositories.known
            && when.elapsed() < FRESH
        {
            return findings.clone();
        }
        let locations = locations(&self.setup.borrow());
        repositories.asked.retain(|name, _| locations.contains_key(name));
        for (name, location) in locations {
            // What was answered while nobody asked is old.
            let asked = repositories.asked.get(&name).cloned();
            if asked.is_none_or(|asked| asked.now_or_never().is_some()) {
                repositories.asked.insert(name, reach(location).boxed().shared());
            }
        }
        let waiting = repositories.asked.iter().map(async |(name, asked)| {
            let late = format!("no answer in {} s", REACH_MAX.as_secs());
            let late = || (format!("repository {name}"), Err(late));
            timeout(REACH_MAX, asked.clone()).await.unwrap_or_else(|_| late())
        });
        let findings = join_all(waiting).await;
        repositories.asked.retain(|_, asked| asked.peek().is_none());
        repositories.known = Some((Instant::now(), findings.clone()));
        findings
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
    let reached = listed.await.map_err(|error| chain(&error));
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
