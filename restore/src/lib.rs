//! A restore point becomes files again.
//!
//! [`plan`] looks at the target and says what would happen, without writing anything; what it
//! clears is what [`execute`] does. Everything is written beneath the target, whatever the
//! repository says, and every chunk is checked against its name.

pub mod conflict;
pub mod error;
pub mod execute;
pub mod plan;
pub mod progress;
pub mod report;

mod target;
mod tree;
