//! Which restore points are asked for.

use format::ids::RepositoryId;

/// Which restore points are asked for; the default is all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PointFilter {
    /// Only those in this repository.
    pub repository: Option<RepositoryId>,
    /// Only those of this application, on whatever platform.
    pub application: Option<String>,
}
