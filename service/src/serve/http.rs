//! What the service answers over HTTP: whether it lives, whether it can do its work, and what it counts.
//!
//! It listens on a Unix socket that only its own user may use and, where that is wanted, on a loopback
//! address, because nobody has to say there who is asking.

mod error;
mod health;
mod listen;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use catalog::Catalog;
use repository::error::chain;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub use self::error::HttpError;
use self::health::Health;
use self::listen::Socket;
use super::{Metrics, Setup};

/// What can be asked about.
pub(super) struct Status {
    pub(super) catalog: Arc<Catalog>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Health,
}

impl Status {
    pub(super) fn new(catalog: Arc<Catalog>, setup: watch::Receiver<Arc<Setup>>) -> Self {
        let health = Health::new(Arc::clone(&catalog), setup);
        Self { catalog, metrics: Arc::new(Metrics::new()), health }
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
    _socket: Socket,
}

impl Server {
    /// # Errors
    /// When it cannot listen on the socket.
    pub(super) async fn start(
        status: Arc<Status>,
        socket: PathBuf,
        address: Option<SocketAddr>,
    ) -> Result<Self, HttpError> {
        let (socket, listener) = Socket::bind(socket).await?;
        let mut tasks = JoinSet::new();
        let serving = axum::serve(listener, router(Arc::clone(&status)));
        tasks.spawn(async move {
            // It never ends, and passes over connections that fail.
            let _ = serving.await;
        });
        let (wanted, address) = (address, None);
        let mut server = Self { status, tasks, wanted, address, _socket: socket };
        server.keep_up().await;
        Ok(server)
    }

    /// Is to listen on this address, and on no other.
    pub(super) fn follow(&mut self, address: Option<SocketAddr>) {
        self.wanted = address;
    }

    /// Listens where it is to. Where somebody else does, backups go on, and the next time may be better.
    pub(super) async fn keep_up(&mut self) {
        if self.address.as_ref().map(|(address, _)| *address) == self.wanted {
            self.status.health.listens(None);
            return;
        }
        let bound = match self.wanted {
            Some(address) => listen::bind_address(address).await.map(|it| Some((address, it))),
            None => Ok(None),
        };
        self.status.health.listens(bound.as_ref().err().map(|error| chain(error)));
        match bound {
            Ok(listener) => self.move_to(listener),
            Err(error) => tracing::error!("nobody can ask there: {}", chain(&error)),
        }
    }

    fn move_to(&mut self, listener: Option<(SocketAddr, TcpListener)>) {
        if let Some((_, task)) = self.address.take() {
            task.abort();
        }
        if let Some((address, listener)) = listener {
            let serving = axum::serve(listener, router(Arc::clone(&self.status)));
            let task = self.tasks.spawn(async move {
                let _ = serving.await;
            });
            self.address = Some((address, task));
        }
    }
}

fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(status)
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
