//! Nobody gets an answer before it is known who asks, and that he may.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use catalog::Role;
use tokio::time::timeout;
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;

use super::caller::{Caller, Peer};
use super::{Api, Problem};
use crate::tokens;

/// These routes are for whoever has this role, and their document says so.
pub(super) fn only_for(role: Role, mut router: OpenApiRouter<Arc<Api>>) -> OpenApiRouter<Arc<Api>> {
    let needed = || Some(vec![SecurityRequirement::new("token", [role.name()])]);
    for item in router.get_openapi_mut().paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.security = needed();
        }
    }
    router.route_layer(from_fn_with_state(role, has_role))
}

/// The same routes, where everything else is a problem, and no answer takes for ever.
pub(super) fn checked(router: Router<Arc<Api>>) -> Router<Arc<Api>> {
    router
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this is not done here")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(in_time))
}

/// Routes for the user who has connected to a Unix socket.
pub(crate) fn for_user(router: Router) -> Router {
    router.layer(from_fn(
        async |ConnectInfo(peer): ConnectInfo<Peer>, mut request: Request, next: Next| {
            request.extensions_mut().insert(Caller::user(peer));
            next.run(request).await
        },
    ))
}

/// Routes for whoever has a token.
pub(crate) fn for_tokens(api: Arc<Api>, router: Router) -> Router {
    router.layer(from_fn_with_state(api, with_token))
}

/// Routes for whoever may see everything.
pub(crate) fn for_viewers(router: Router) -> Router {
    router.route_layer(from_fn(async |caller: Caller, request: Request, next: Next| {
        match caller.may_work_on(None) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    }))
}

async fn with_token(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let said = request.headers().get(header::AUTHORIZATION).cloned();
    match caller(&api, said).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn caller(api: &Api, said: Option<HeaderValue>) -> Result<Caller, Problem> {
    let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
    let said = said.ok_or_else(|| refused("there is no token: `Authorization: Bearer TOKEN`"))?;
    let token = said.to_str().ok().and_then(|said| said.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, token) = token.ok_or_else(|| refused("this is no `Authorization: Bearer TOKEN`"))?;
    Caller::with_token(api, tokens::digest(token.trim())).await
}

async fn has_role(
    State(needed): State<Role>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    if caller.role >= needed {
        return next.run(request).await;
    }
    let detail =
        format!("{} has the role `{}`, and this takes `{needed}`", caller.who, caller.role);
    Problem::forbidden(detail).into_response()
}

async fn in_time(request: Request, next: Next) -> Response {
    let answer = timeout(ANSWER_MAX, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let detail = format!("no answer in {} s", ANSWER_MAX.as_secs());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
    })
}

/// The longest request is a few paths and tags.
const BODY_MAX: usize = 64 << 10;
/// An engine that does not answer is given up before.
const ANSWER_MAX: Duration = Duration::from_secs(30);
