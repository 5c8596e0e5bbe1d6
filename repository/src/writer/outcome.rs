//! The end of a session: its outcome, created once, by the session itself or by a prune.

use format::ids::ObjectId;
use format::names::ObjectName;
use format::session::{Outcome, SessionEnd};

use super::session::Session;
use crate::error::RepositoryError;
use crate::random;
use crate::store::{StoreError, get_patiently};

/// Ends the session in this way, unless a prune has ended it before.
pub(super) async fn end(session: &Session, end: SessionEnd) -> Result<(), RepositoryError> {
    let (name, nonce) = (ObjectName::Outcome(session.point), random::object_id());
    match session.create(name, |previous| Outcome { nonce, end, previous }).await {
        Ok(_) => Ok(()),
        Err(RepositoryError::Store(error)) => settle(session, nonce, error).await,
        // It could not even be sealed.
        Err(error) => Err(error),
    }
}

// Whether the outcome exists all the same, when it could not be created.
async fn settle(
    session: &Session,
    nonce: ObjectId,
    error: StoreError,
) -> Result<(), RepositoryError> {
    let point = session.point;
    let unknown =
        |source: RepositoryError| RepositoryError::UnknownOutcome { point, source: source.into() };
    // It would read back, from memory that a power cut empties.
    if matches!(error, StoreError::NotDurable { .. }) {
        return Err(unknown(error.into()));
    }
    let name = ObjectName::Outcome(point);
    match get_patiently(session.store.as_ref(), name).await {
        Ok(bytes) => match session.reader.open_control::<Outcome>(name, &bytes) {
            Ok(found) if found.nonce == nonce => Ok(()),
            Ok(Outcome { end: SessionEnd::Fenced, .. }) => Err(RepositoryError::Fenced(point)),
            Ok(_) => Err(unknown(RepositoryError::damaged(name, "somebody else has written it"))),
            Err(damaged) => Err(unknown(damaged)),
        },
        // What a store has refused for good does not arrive later.
        Err(StoreError::Missing { .. })
            if matches!(error, StoreError::Failed { passing: false, .. }) =>
        {
            Err(error.into())
        }
        Err(_) => Err(unknown(error.into())),
    }
}
