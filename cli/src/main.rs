//! The command line of Stillpoint.
//!
//! [`arguments`] says what can be typed, [`commands`] does it through the `service` crate, and
//! [`render`] prints the answer: as text for people, or as JSON.

mod arguments;
mod commands;
mod exit;
mod memory;
mod paths;
mod progress;
mod render;

use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, LogFormat, Verb};
use crate::exit::Exit;

fn main() -> ExitCode {
    memory::share_heaps();
    forbid_dumps();
    let arguments = Arguments::parse();
    match &arguments.verb {
        // These two are whole processes of their own, and need nothing of the rest.
        Verb::Warden => return exit::of_io(&service::warden::serve()),
        Verb::DemoWriter { index, processes, pipes, volume } => {
            return exit::of_io(&service::demo::ring::write(*index, *processes, pipes, volume));
        }
        _ => {}
    }
    start_log(&arguments);
    raise_limits();
    let (json, purpose) = (arguments.json, arguments.verb.purpose());
    let interrupted = arguments.verb.when_interrupted();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::of_io(&Err(error)),
    };
    let result = runtime.block_on(commands::run(arguments));
    // What still runs on other threads is not waited for: the warden thaws when we are gone.
    runtime.shutdown_background();
    match result {
        Ok(exit) => {
            if exit == Exit::Interrupted {
                render::interrupted(interrupted, json);
            }
            exit.into()
        }
        Err(error) => {
            render::error(&purpose, &error, json);
            Exit::from(error.class()).into()
        }
    }
}

// There are keys in our memory: no core dump is written, and nobody but root reads us.
fn forbid_dumps() {
    // The kernel refuses only what it does not know, and it has known this since 2.3.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

// Every level of a tree takes a descriptor, and the usual 1,024 are meant for `select`.
fn raise_limits() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, only very deep trees suffer, and say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn start_log(arguments: &Arguments) {
    let is_service = matches!(arguments.verb, Verb::Serve { .. });
    let default = match (arguments.quiet, arguments.verbose) {
        (false, 0) if is_service => "info",
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter =
        EnvFilter::try_from_env("STILLPOINT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
