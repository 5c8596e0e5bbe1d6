//! Where the service answers over HTTP, and whom.
//!
//! It listens on a Unix socket that only its own user may use, and who may do everything. Where that is
//! wanted it tells on a loopback address whether it is well and what it counts, where nobody has to say who
//! is asking; and on an address with TLS it answers everything to whoever has a token for it.

mod error;
mod health;
mod limit;
mod listen;
mod secured;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use catalog::{Catalog, RunId};
use repository::error::chain;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

pub use self::error::HttpError;
use self::health::Health;
use self::listen::Socket;
use self::secured::Secured;
use super::{Going, Metrics, Setup};
use crate::api::{self, Api, Ask, Peer};

/// What can be asked about.
pub(super) struct Status {
    pub(super) catalog: Arc<Catalog>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Health,
    api: Arc<Api>,
}

impl Status {
    pub(super) fn new(
        catalog: Arc<Catalog>,
        setup: watch::Receiver<Arc<Setup>>,
        asks: mpsc::Sender<Ask>,
    ) -> Self {
        let api = Arc::new(Api::new(Arc::clone(&catalog), setup.clone(), asks));
        let health = Health::new(Arc::clone(&catalog), setup);
        Self { catalog, metrics: Arc::new(Metrics::new()), health, api }
    }

    /// These runs go on now.
    pub(super) fn show(&self, going_on: &BTreeMap<RunId, Going>) {
        let progress = going_on.iter().map(|(run, going)| (*run, Arc::clone(&going.progress)));
        self.api.show(progress.collect());
    }
}

/// Answers until it is dropped.
pub(super) struct Server {
    status: Arc<Status>,
    tasks: JoinSet<()>,
    /// Where it is to listen besides the socket.
    wanted: Option<SocketAddr>,
    /// Where it does.
    address: Option<(SocketAddr, AbortHandle)>,
    secured: Secured,
    _socket: Socket,
}

impl Server {
    /// # Errors
    /// When it cannot listen on the socket.
    pub(super) async fn start(status: Arc<Status>, setup: &Setup) -> Result<Self, HttpError> {
        let (socket, listener) = Socket::bind(setup.socket.clone()).await?;
        let mut tasks = JoinSet::new();
        let local = api::for_user(everything(&status));
        let local = local.into_make_service_with_connect_info::<Peer>();
        let serving = axum::serve(listener, local);
        tasks.spawn(async move {
            // It never ends, and passes over connections that fail.
            let _ = serving.await;
        });
        let (wanted, address, secured) = (None, None, Secured::default());
        let mut server = Self { status, tasks, wanted, address, secured, _socket: socket };
        server.follow(setup);
        server.keep_up().await;
        Ok(server)
    }

    /// Is to listen where this says, and nowhere else.
    pub(super) fn follow(&mut self, setup: &Setup) {
        self.wanted = setup.config.metrics.listen;
        self.secured.follow(setup.config.api.clone());
    }

    /// Listens where it is to. Where somebody else does, backups go on, and the next time may be better.
    pub(super) async fn keep_up(&mut self) {
        let status = Arc::clone(&self.status);
        let router = || api::for_tokens(Arc::clone(&status.api), everything(&status));
        let secured = self.secured.keep_up(router).await;
        let trouble = self.keep_up_metrics().await.and(secured).err();
        let trouble = trouble.map(|error| chain(&error));
        if let Some(trouble) = &trouble {
            tracing::error!("nobody can ask as it is wanted: {trouble}");
        }
        self.status.health.listens(trouble);
    }

    async fn keep_up_metrics(&mut self) -> Result<(), HttpError> {
        if self.address.as_ref().map(|(address, _)| *address) == self.wanted {
            return Ok(());
        }
        let listener = match self.wanted {
            Some(address) => Some((address, listen::bind_address(address).await?)),
            None => None,
        };
        self.move_to(listener);
        Ok(())
    }

    fn move_to(&mut self, listener: Option<(SocketAddr, TcpListener)>) {
        if let Some((_, task)) = self.address.take() {
            task.abort();
        }
        if let Some((address, listener)) = listener {
            let serving = axum::serve(listener, itself(&self.status));
            let task = self.tasks.spawn(async move {
                let _ = serving.await;
            });
            self.address = Some((address, task));
        }
    }
}

/// What whoever may see everything can ask, and the API.
fn everything(status: &Arc<Status>) -> Router {
    api::router(Arc::clone(&status.api)).merge(api::for_viewers(itself(status)))
}

/// Whether it lives, whether it can do its work, and what it counts.
fn itself(status: &Arc<Status>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(status))
}

async fn live(State(status): State<Arc<Status>>) -> Response {
    health::answer(&[status.health.is_alive()])
}

async fn ready(State(status): State<Arc<Status>>) -> Response {
    health::answer(&status.health.all().await)
}

async fn metrics(State(status): State<Arc<Status>>) -> Response {
    let text = match status.catalog.applications().await {
        Ok(applications) => status.metrics.text(&applications).map_err(|error| error.to_string()),
        Err(error) => Err(chain(&error)),
    };
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error + "\n").into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
