//! What can be typed to restore a point.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use std::path::PathBuf;

use clap::Args;
use service::points::PointName;

/// What to restore.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be given or not")]
pub(crate) struct RestoreArguments {
    /// `latest`, or the first digits of the point's id
    pub(crate) point: PointName,
    /// A new or empty directory
    #[arg(long, value_name = "DIR", required_unless_present = "local")]
    pub(crate) to: Option<PathBuf>,
    /// Put a local snapshot back: its files take the places of those in the volumes at once. The
    /// application must be stopped; what is there now is snapshotted first
    #[arg(long, conflicts_with_all = ["to", "in_place", "delete", "no_pin", "no_space_check"])]
    pub(crate) local: bool,
    /// The directory may have files in it: those that are equal stay, others of the same name are
    /// overwritten. Also goes on with a restore that was interrupted
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Remove what is in the directories and not in the restore point
    #[arg(long, requires = "in_place")]
    pub(crate) delete: bool,
    /// The application whose latest point is meant
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// Write nothing to the repository; the point must not be forgotten before the end
    #[arg(long, alias = "no-lock")]
    pub(crate) no_pin: bool,
    /// Begin even if the target seems to lack space, as one that compresses may
    #[arg(long)]
    pub(crate) no_space_check: bool,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) plan: bool,
}
