//! What services leave behind that were killed, when the last one has made everything: nothing.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::world::{Running, World};

use super::process::signal;

const PATIENCE: Duration = Duration::from_mins(1);

/// Tells a service to end that has nothing more to do, and looks that nothing is left of it and those before
/// it. The filesystem that is mounted at `mount` has the volumes of this test, and no others.
pub(super) fn end(service: Running, world: &World, mount: &Path) {
    // A run is told to have ended before what it left is gone.
    wait_for_none("snapshots that wait", || pending(world));
    signal(&service, "TERM");
    service.finish().succeeded();
    assert_none(world, mount);
}

/// Looks that nothing is left where no service is.
pub(super) fn assert_none(world: &World, mount: &Path) {
    assert_eq!(pending(world), [""; 0], "snapshots that wait");
    assert_eq!(names(&mount.join(".stillpoint")), [""; 0], "snapshots of nobody");
    // A warden whose service was killed goes when all runs that it has frozen.
    wait_for_none("processes", || processes(world));
}

fn wait_for_none(what: &str, found: impl Fn() -> Vec<String>) {
    let begun = Instant::now();
    loop {
        let found = found();
        if found.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {found:?}");
        sleep(Duration::from_millis(20));
    }
}

/// The snapshots that wait to be stored: their records, and what they are for.
fn pending(world: &World) -> Vec<String> {
    let mut names = names(&world.state().join("pending"));
    names.retain(|name| {
        let extension = Path::new(name).extension();
        extension.is_some_and(|extension| extension == "json" || extension == "purpose")
    });
    names
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// The processes of a world. All that it starts work in its directory, and so do the wardens of these, whose
/// command lines say nothing of it.
fn processes(world: &World) -> Vec<String> {
    let home = world.path("").canonicalize().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let process = entry.unwrap().path();
        // What is no process has none, nor has one that ends just now.
        let Ok(directory) = fs::read_link(process.join("cwd")) else { continue };
        if directory.starts_with(&home) {
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(format!("{}: {command}", process.display()));
        }
    }
    found
}
