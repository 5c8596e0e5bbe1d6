//! No more connections than there is place for: what others hold open, backups cannot have.

use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

/// Accepts so many connections at once, and closes those beyond.
#[derive(Clone)]
pub(super) struct Limited {
    places: Arc<Semaphore>,
}

impl Limited {
    pub(super) fn to(connections: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections)) }
    }
}

impl<I, S> Accept<I, S> for Limited {
    type Stream = I;
    type Service = Placed<S>;
    type Future = Ready<io::Result<(I, Placed<S>)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let place = Arc::clone(&self.places).try_acquire_owned();
        ready(match place {
            Ok(place) => Ok((stream, Placed { service, _place: Arc::new(place) })),
            Err(_) => Err(io::Error::other("too many connections")),
        })
    }
}

/// What answers on a connection, and gives its place back at the end of it.
#[derive(Clone)]
pub(super) struct Placed<S> {
    service: S,
    _place: Arc<OwnedSemaphorePermit>,
}

impl<S: Service<R>, R> Service<R> for Placed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}
