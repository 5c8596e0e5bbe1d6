//! Who asks, and what he may.

use axum::extract::FromRequestParts;
use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use catalog::{Role, TokenRow};
use tokio::net::UnixListener;

use super::{Api, Problem};
use crate::audit;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// His name, as it is written down.
    pub(crate) who: String,
    pub(crate) role: Role,
    /// The digest of his token, where he needs one.
    pub(super) token: Option<String>,
    /// The applications that are his; absent where all are, and what is about none.
    applications: Option<Vec<String>>,
}

/// Who has connected to a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|user| user.uid()) }
    }
}

impl Caller {
    /// The user of a socket that only he may use who can do everything himself.
    pub(super) fn user(peer: Peer) -> Self {
        let who = peer.uid.map_or_else(|| "somebody".to_owned(), audit::name);
        Self { who, role: Role::Admin, token: None, applications: None }
    }

    /// Whoever has a token with this digest, while it is good.
    pub(super) async fn with_token(api: &Api, digest: String) -> Result<Self, Problem> {
        let refused = |detail: String| Problem::new(StatusCode::UNAUTHORIZED, detail);
        let token = api.catalog.token(&digest).await?;
        let token = token.ok_or_else(|| refused("there is no such token".to_owned()))?;
        let now = api.now();
        let is_over = token.expires.is_some_and(|expires| expires <= now);
        if token.revoked.is_some() || is_over {
            let what = if is_over { "has expired" } else { "was revoked" };
            return Err(refused(format!("token `{}` {what}", token.name)));
        }
        let TokenRow { name, role, applications, .. } = token;
        Ok(Self { who: format!("token {name}"), role, token: Some(digest), applications })
    }

    /// Whether this application is his.
    pub(crate) fn has(&self, application: Option<&str>) -> bool {
        match (&self.applications, application) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(his), Some(application)) => his.iter().any(|it| it == application),
        }
    }

    /// Of these applications those that are his; absent where all are meant, and are.
    pub(crate) fn only(&self, wanted: Option<String>) -> Option<Vec<String>> {
        match (wanted, &self.applications) {
            (None, his) => his.clone(),
            (Some(wanted), _) if self.has(Some(&wanted)) => Some(vec![wanted]),
            (Some(_), _) => Some(Vec::new()),
        }
    }

    /// # Errors
    /// When an application is not his, or this is about none and some are.
    pub(crate) fn may_work_on(&self, application: Option<&str>) -> Result<(), Problem> {
        if self.has(application) {
            return Ok(());
        }
        let his = self.applications.as_deref().unwrap_or_default().join("`, `");
        Err(Problem::forbidden(format!("{} is only for `{his}`", self.who)))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get().cloned();
        caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "nobody said who asks"))
    }
}
