//! This machine, for tests that call the service as a library.

use std::path::Path;
use std::sync::Arc;

use service::clock::Clock;
use service::machine::Machine;
use service::platforms::Platforms;
use service::warden::WardenProgram;

use crate::lab;
use crate::world::program;

/// The engine of the lab, and everything else in this directory.
pub fn machine(directory: &Path, clock: Arc<dyn Clock>) -> Machine {
    Machine {
        platforms: Platforms { docker: Some(lab::docker()), ..Platforms::default() },
        warden: WardenProgram {
            program: program(),
            arguments: vec!["warden".into()],
            journals: directory.join("freezes"),
        },
        state_dir: directory.join("state"),
        clock,
    }
}
