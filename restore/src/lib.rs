//! A restore point becomes files again.
//!
//! [`plan`] looks at the target and says what would happen, without writing anything; what it
//! clears is what [`execute`] does; [`verify`] does the same to nowhere. Everything is written
//! beneath the target, whatever the repository says, and every chunk is checked against its name,
//! every large file against its hash.

pub mod conflict;
pub mod error;
pub mod execute;
pub mod plan;
pub mod progress;
pub mod report;
pub mod survey;
pub mod verify;

mod block;
mod budget;
mod content;
mod directory;
mod file;
mod frames;
mod links;
mod loss;
mod pieces;
mod pipeline;
mod present;
mod rescue;
mod site;
mod target;
mod walk;
mod window;

#[cfg(test)]
mod tests;
