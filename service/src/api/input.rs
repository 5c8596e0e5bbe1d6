//! What is sent along, where what makes no sense is answered with a [`Problem`].

use axum::extract::{FromRequest, FromRequestParts};
use axum::{Json, extract};

use super::Problem;

/// The body, as JSON.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Problem))]
pub(crate) struct Body<T>(pub(crate) T);

/// What stands behind the question mark.
#[derive(FromRequestParts)]
#[from_request(via(extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

/// What stands in the path.
#[derive(FromRequestParts)]
#[from_request(via(extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);
