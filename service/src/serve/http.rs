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
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub use self::error::HttpError;
use self::health::Health;
use self::listen::Socket;
use super::{Metrics, Setup};

/// What can be asked about.
pub(super) struct Face {
    pub(super) catalog: Arc<Catalog>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Health,
}

impl Face {
    pub(super) fn new(catalog: Arc<Catalog>, setup: watch::Receiver<Arc<Setup>>) -> Self {
        let health = Health::new(Arc::clone(&catalog), setup);
        Self { catalog, metrics: Arc::new(Metrics::new()), health }
    }
}

/// Answers until it is dropped.
pub(super) struct Server {
    face: Arc<Face>,
    tasks: JoinSet<()>,
    /// Where it listens besides the socket.
    address: Option<(SocketAddr, AbortHandle)>,
    _socket: Socket,
}

impl Server {
    /// # Errors
    /// When it cannot listen there.
    pub(super) async fn start(
        face: Arc<Face>,
        socket: PathBuf,
        address: Option<SocketAddr>,
    ) -> Result<Self, HttpError> {
        let (socket, listener) = Socket::bind(socket).await?;
        let mut tasks = JoinSet::new();
        let serving = axum::serve(listener, router(Arc::clone(&face)));
        tasks.spawn(async move {
            // It never ends, and passes over connections that fail.
            let _ = serving.await;
        });
        let mut server = Self { face, tasks, address: None, _socket: socket };
        server.follow(address).await?;
        Ok(server)
    }

    /// Listens on this address from now on, and on no other.
    pub(super) async fn follow(&mut self, address: Option<SocketAddr>) -> Result<(), HttpError> {
        if self.address.as_ref().map(|(address, _)| *address) == address {
            return Ok(());
        }
        let listener = match address {
            Some(address) => Some((address, listen::bind_address(address).await?)),
            None => None,
        };
        if let Some((_, task)) = self.address.take() {
            task.abort();
        }
        if let Some((address, listener)) = listener {
            let serving = axum::serve(listener, router(Arc::clone(&self.face)));
            let task = self.tasks.spawn(async move {
                let _ = serving.await;
            });
            self.address = Some((address, task));
        }
        Ok(())
    }
}

fn router(face: Arc<Face>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(face)
}

async fn live(State(face): State<Arc<Face>>) -> Response {
    health::answer(&[face.health.is_alive()])
}

async fn ready(State(face): State<Arc<Face>>) -> Response {
    health::answer(&face.health.all().await)
}

async fn metrics(State(face): State<Arc<Face>>) -> Response {
    let text = match face.catalog.applications().await {
        Ok(applications) => face.metrics.text(&applications).map_err(|error| error.to_string()),
        Err(error) => Err(chain(&error)),
    };
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error + "\n").into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
