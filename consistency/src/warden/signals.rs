//! Signals to the warden: a request to end becomes a closed pipe, all others are ignored.
//!
//! The terminal sends its signals to the whole process group: an interrupted backup must not
//! take the warden with it.

use std::io::{self, PipeReader};
use std::thread;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// A descriptor that hangs up when the process was told to end.
pub(super) fn end_requested() -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let mut end = {
        let _entered = runtime.enter();
        for kind in ignored() {
            // The handler stays for the life of the process, although nobody listens.
            drop(signal(kind)?);
        }
        signal(SignalKind::terminate())?
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(end.recv());
        drop(writer);
    })?;
    Ok(reader)
}

fn ignored() -> [SignalKind; 7] {
    [
        SignalKind::alarm(),
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::pipe(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ]
}
