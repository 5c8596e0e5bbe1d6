//! Answers that say why not, as RFC 9457 has them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::CatalogError;
use platform::error::PlatformError;
use repository::error::chain;
use serde::Serialize;
use utoipa::openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::error::ServiceError;

/// Why something was not done; `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong.
    detail: String,
    /// What to do about it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<Cow<'static, str>>,
    #[serde(skip)]
    asks_for_token: bool,
}

impl Problem {
    /// What is wrong.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            remedy: None,
            asks_for_token: status == StatusCode::UNAUTHORIZED,
        }
    }

    /// Whatever is asked for now, this service does not do any more.
    pub(super) fn ending() -> Self {
        Self::new(StatusCode::CONFLICT, "the service is about to end, and takes nothing more")
    }

    /// There is no such thing, or not for whoever asks.
    pub(super) fn not_found(what: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} `{name}`"))
    }

    /// What is asked for makes no sense.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Whoever asks may not.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// Something else was asked for under the same key.
    pub(super) fn other_request() -> Self {
        let detail = "another request had the same `Idempotency-Key`";
        Self {
            remedy: Some("give each request a key of its own".into()),
            ..Self::unprocessable(detail)
        }
    }

    /// Too many runs wait.
    pub(super) fn too_much() -> Self {
        let detail = "too many runs wait that were asked for";
        let remedy = Some("ask again when some of them have ended".into());
        Self { remedy, ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// It is understood, and cannot be done.
    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }
}

/// Every route may answer so.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = |description| {
            let response = ResponseBuilder::new().description(description);
            RefOr::T(response.content(CONTENT_TYPE, content.clone()).build())
        };
        let theirs = response("Something is wrong with what was asked");
        let ours = response("It cannot be done now");
        [("4XX".to_owned(), theirs), ("5XX".to_owned(), ours)].into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let asks_for_token = self.asks_for_token;
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if asks_for_token {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let status = match &error {
            ServiceError::Platform(PlatformError::UnknownApplication { .. })
            | ServiceError::UnknownPoint(_)
            | ServiceError::UnknownPolicy(_) => StatusCode::NOT_FOUND,
            ServiceError::UnknownRepository(_)
            | ServiceError::NoRepository
            | ServiceError::Mistake { .. }
            | ServiceError::NothingToSave(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ServiceError::Catalog(_) | ServiceError::Platform(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { remedy: Some(error.remedy()), ..Self::new(status, chain(&error)) }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        ServiceError::from(error).into()
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

const CONTENT_TYPE: &str = "application/problem+json";
