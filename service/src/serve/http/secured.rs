//! The address at which others ask: with TLS, and only with a token.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{self, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::task::JoinSet;

use super::HttpError;
use super::limit::Limited;
use crate::config::ApiConfig;

/// The address at which others ask.
#[derive(Default)]
pub(super) struct Secured {
    wanted: Option<ApiConfig>,
    listening: Option<Listening>,
    /// Whether the certificate may be another one by now.
    is_stale: bool,
}

struct Listening {
    config: ApiConfig,
    tls: RustlsConfig,
    handle: Handle<SocketAddr>,
    task: JoinSet<()>,
}

impl Secured {
    /// Is to listen so, and to read the certificate again.
    pub(super) fn follow(&mut self, wanted: Option<ApiConfig>) {
        self.wanted = wanted;
        self.is_stale = true;
    }

    /// Listens as it is to. Where that cannot be, it goes on as before, unless the old address is part of the
    /// new one.
    pub(super) async fn keep_up(
        &mut self,
        router: impl FnOnce() -> Router,
    ) -> Result<(), HttpError> {
        match (&mut self.listening, &self.wanted) {
            (Some(Listening { config, tls, .. }), Some(wanted))
                if config.listen == wanted.listen =>
            {
                if config != wanted || self.is_stale {
                    tls.reload_from_config(load(wanted).await?.get_inner());
                    config.clone_from(wanted);
                }
            }
            (_, wanted) => {
                // Before anything is given up: it may be unreadable.
                let next = match wanted {
                    Some(config) => Some((config.clone(), load(config).await?)),
                    None => None,
                };
                // Its address may be part of the new one.
                let port = wanted.as_ref().map(|config| config.listen.port());
                let before = self.listening.take_if(|it| Some(it.config.listen.port()) == port);
                if let Some(before) = before {
                    before.end().await;
                }
                let next = next.map(|(config, tls)| listen(config, tls, router())).transpose()?;
                if let Some(before) = std::mem::replace(&mut self.listening, next) {
                    before.end().await;
                }
            }
        }
        self.is_stale = false;
        Ok(())
    }
}

impl Listening {
    // When this returns, the address is free.
    async fn end(mut self) {
        self.handle.shutdown();
        while self.task.join_next().await.is_some() {}
    }
}

// No HTTP/2: there an idle connection keeps its place for ever.
async fn load(config: &ApiConfig) -> Result<RustlsConfig, HttpError> {
    let tls = RustlsConfig::from_pem_file(&config.certificate, &config.key).await;
    let tls = tls.map_err(|source| {
        let (certificate, key) = (config.certificate.clone(), config.key.clone());
        HttpError::Tls { certificate, key, source }
    })?;
    let mut inner = Arc::unwrap_or_clone(tls.get_inner());
    inner.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(inner)))
}

fn listen(config: ApiConfig, tls: RustlsConfig, router: Router) -> Result<Listening, HttpError> {
    let address = config.listen;
    let failed = |source| HttpError::Address { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let handle = Handle::new();
    let server = tls_rustls::from_tcp_rustls(listener, tls.clone()).map_err(failed)?;
    let mut server = server
        .handle(handle.clone())
        .http1_only()
        .first_request_timeout(REQUEST_WITHIN)
        .map(|tls| tls.acceptor(Limited::to(CONNECTIONS_MAX)));
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN);
    let mut task = JoinSet::new();
    task.spawn(async move {
        if let Err(error) = server.serve(router.into_make_service()).await {
            tracing::error!(%address, "nobody can ask there any more: {error}");
        }
    });
    Ok(Listening { config, tls, handle, task })
}

/// How long somebody may take for the head of a request.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Far fewer than files that a process may have open: backups need some, too.
const CONNECTIONS_MAX: usize = 1000;
