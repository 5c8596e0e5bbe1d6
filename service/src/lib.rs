//! The stages put together: configuration, backups, restores.
//!
//! [`Engine`](engine::Engine) is an opened repository with its catalog and platforms, and does
//! what the verbs of the command line ask for. This is the only crate that knows all stages.

mod annotate;
mod api;
pub mod applications;
pub mod apply;
mod attach;
pub mod audit;
pub mod backup;
pub mod catalog_backups;
pub mod check;
pub mod client;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod demo;
pub mod engine;
pub mod error;
mod evidence;
mod freeze;
pub mod history;
mod instance;
pub mod key;
pub mod keys;
pub mod length;
pub mod local;
pub mod machine;
pub mod notices;
pub mod pins;
pub mod platforms;
pub mod points;
pub mod policy;
pub mod quiesce;
pub mod rebuild;
pub mod repair;
pub mod restore;
pub mod secret;
pub mod serve;
mod synchronise;
pub mod thaw;
pub mod tokens;
pub mod upkeep;

pub use ::catalog::{
    Condition, DeedRow, Event, Happening, PointRow, Role, RunOutcome, RunRow, Task, TokenRow,
};
pub use ::restore::plan::Plan;
pub use ::restore::progress::Progress as RestoreProgress;
pub use ::restore::report::RestoreReport;
pub use ::restore::verify::Verification;
pub use consistency::local::{LocalPlan, PutBack};
pub use consistency::warden;
pub use format::annotation::Note;
pub use format::ids::ObjectId;
pub use repository::check::{
    CheckReport, Class, Finding, ParseSubsetError, Progress as CheckProgress, Subset,
};
pub use repository::location::Location;
pub use repository::prune;
pub use repository::repair::Plan as RepairPlan;
pub use repository::slots::{InUse, SlotRow, SlotState};
pub use repository::store::probe::Probe;
pub use scheduler::retention;
pub use scheduler::zone::Zone;
pub use uploader::progress::Progress as UploadProgress;
pub use uploader::selection::{PatternError, Selection};
