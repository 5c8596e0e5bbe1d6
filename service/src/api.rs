//! What the service answers over HTTP under `/api/v1`, to people and programs.
//!
//! Everybody who asks is a [`Caller`] with a role: on the Unix socket the user who connected, elsewhere
//! whoever has a token. Each route names the least role that it takes, in [`router`], and only there: the
//! OpenAPI document says so, too, because it is made from the same routes.

#![allow(unused_qualifications, reason = "the macros of utoipa write whole paths")]

mod access;
mod applications;
mod caller;
mod document;
mod events;
mod input;
mod paging;
mod points;
mod policies;
mod problem;
mod repositories;
mod restores;
mod runs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use catalog::{Asked, Asking, Catalog, Request, RequestKey, Role, RunId};
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::access::{for_tokens, for_user, for_viewers};
pub(crate) use self::caller::Peer;
use self::problem::Problem;
use crate::backup::BackupProgress;
use crate::error::ServiceError;
use crate::serve::Setup;

/// What is asked of the service itself.
pub(crate) enum Ask {
    /// To see to what waits.
    Look,
    /// To end a run early.
    CallOff {
        /// Which.
        run: RunId,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<CallOff, ServiceError>>,
    },
}

/// What becomes of a run that is called off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CallOff {
    /// It waited, and has ended.
    Done,
    /// It goes on, and ends as soon as nothing stands still for it.
    Ending,
    /// It had ended.
    Ended,
    /// It is about to end, or cannot be stopped.
    TooLate,
    /// Another process does it.
    Elsewhere,
    /// There is none.
    Unknown,
}

/// What can be asked about, and of whom.
pub(crate) struct Api {
    catalog: Arc<Catalog>,
    setup: watch::Receiver<Arc<Setup>>,
    asks: mpsc::Sender<Ask>,
    /// How far the runs are that go on.
    progress: Mutex<BTreeMap<RunId, Arc<BackupProgress>>>,
    /// Places for those who follow what happens.
    followers: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        setup: watch::Receiver<Arc<Setup>>,
        asks: mpsc::Sender<Ask>,
    ) -> Self {
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        Self { catalog, setup, asks, progress: Mutex::default(), followers }
    }

    /// These runs go on now.
    pub(crate) fn show(&self, progress: BTreeMap<RunId, Arc<BackupProgress>>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    fn progress(&self, run: RunId) -> Option<Arc<BackupProgress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned()
    }

    fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.borrow())
    }

    fn now(&self) -> Timestamp {
        self.setup.borrow().machine.clock.now()
    }

    /// Has a run wait for what somebody wants, which is written down; answers its number, also where it
    /// was asked for before under the same key.
    async fn ask(
        &self,
        (request, application): (Request, Option<String>),
        key: Option<RequestKey>,
    ) -> Result<RunId, Problem> {
        if self.asks.is_closed() {
            return Err(Problem::ending());
        }
        let command = document::summary(&request.wanted, application.as_deref());
        let moment = self.now();
        let asked = self.catalog.ask(Asking { request, application, key, command, moment }).await?;
        // Where the service does not hear it, it hears others, or the next one looks.
        let _ = self.asks.try_send(Ask::Look);
        number(asked)
    }

    /// The run that there is for the same key of whoever asks.
    async fn asked(&self, who: &str, key: Option<&RequestKey>) -> Result<Option<RunId>, Problem> {
        let Some(key) = key else { return Ok(None) };
        self.catalog.asked(who, key).await?.map(number).transpose()
    }
}

fn number(asked: Asked) -> Result<RunId, Problem> {
    match asked {
        Asked::New(run) | Asked::Before(run) => Ok(run),
        Asked::Another => Err(Problem::other_request()),
        Asked::TooMuch => Err(Problem::too_much()),
    }
}

/// Every route of the API with the role that it takes. Who asks has to be known: see [`for_user`] and
/// [`for_tokens`].
pub(crate) fn router(api: Arc<Api>) -> Router {
    let viewer = OpenApiRouter::new()
        .routes(routes!(applications::list))
        .routes(routes!(applications::show))
        .routes(routes!(points::list))
        .routes(routes!(points::show))
        .routes(routes!(policies::list))
        .routes(routes!(policies::show))
        .routes(routes!(repositories::list))
        .routes(routes!(runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(restores::list))
        .routes(routes!(events::list))
        .routes(routes!(events::follow));
    let operator = OpenApiRouter::new().routes(routes!(runs::begin)).routes(routes!(runs::cancel));
    let admin = OpenApiRouter::new().routes(routes!(restores::begin));
    let all = access::only_for(Role::Viewer, viewer)
        .merge(access::only_for(Role::Operator, operator))
        .merge(access::only_for(Role::Admin, admin));
    let (router, openapi) =
        OpenApiRouter::with_openapi(document::about()).nest(ROOT, all).split_for_parts();
    access::checked(router.merge(document::route(openapi))).with_state(api)
}

/// Where it begins.
pub(crate) const ROOT: &str = "/api/v1";
/// Who follows what happens asks the catalog each second.
const FOLLOWERS_MAX: usize = 64;
