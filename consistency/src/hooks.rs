//! Commands of an application's own, before the freeze and after it.
//!
//! A container has up to three hooks: `pre` runs and ends before the freeze, `hold` begins before it
//! and ends after the thaw, such as a session with a lock, and `post` runs afterwards in any case.
//! They are declared by labels or in the configuration; a profile knows what a database needs. See
//! docs/consistency.md#hooks.

mod course;
mod declared;
mod error;
mod foreign;
mod hold;
mod owed;
mod plan;
mod profile;
mod step;
mod words;

pub use course::{Held, HookReport, before};
pub use declared::{Declaration, Hook, MemberHooks, OnError, Orders};
pub use error::{HookError, HookFailure};
pub use owed::{DIRECTORY, Debt, Settled, settle, waiting};
pub use plan::{Plan, Planned};
pub use profile::Profile;
pub use words::Words;
