//! Files with everything that a POSIX filesystem knows about them.
//!
//! All access is relative to open directories and never follows a symbolic link, so that an
//! application that moves its files about meanwhile can lead nobody out of its volume. Names are
//! bytes. Needs `/proc`, through which the kernel takes a handle where it wants a path.

mod apply;
mod attributes;
pub mod direct;
mod directory;
mod extents;
mod filesystem;
mod glance;
mod handle;
mod home;
mod inspect;
pub mod mounts;
mod read_ahead;
mod removal;
mod segments;
mod stamp;
mod writers;

pub use apply::{Birth, Refusal, apply, apply_new, apply_open};
pub use directory::{Dir, Name};
pub use extents::changed_since;
pub use filesystem::Filesystem;
pub use glance::{Glance, GlanceKind, glance};
pub use home::{SNAPSHOT_HOME, is_private, names_but_ours};
pub use inspect::{FileKind, Inspected, inspect, inspect_open, inspect_path};
pub use read_ahead::will_need;
pub use segments::{Segment, Segments, segments};
pub use stamp::StampRule;
pub use writers::wait_for_writers;

#[cfg(test)]
mod tests;
