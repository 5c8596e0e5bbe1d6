//! Chance, in one place: the operating system's.

use format::ids::{ObjectId, PointId, RepositoryId, SlotId};

/// Random bytes.
///
/// # Panics
/// When the operating system has none to give: nothing secret can be made then.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    #[cfg(feature = "simulation")]
    if let Some(bytes) = crate::simulation::bytes() {
        return bytes;
    }
    of_the_system()
}

#[allow(clippy::expect_used, reason = "without randomness there is no key and no unique name")]
fn of_the_system<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// For the name of a local file. Never simulated: others may have files beside it.
pub(crate) fn file_id() -> ObjectId {
    ObjectId::new(of_the_system())
}

pub(crate) fn object_id() -> ObjectId {
    ObjectId::new(bytes())
}

pub(crate) fn point_id() -> PointId {
    PointId::new(bytes())
}

pub(crate) fn repository_id() -> RepositoryId {
    RepositoryId::new(bytes())
}

pub(crate) fn slot_id() -> SlotId {
    SlotId::new(bytes())
}
