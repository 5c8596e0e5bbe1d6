//! Whose freeze would hold up the thaw: found by the file, the pipe and the socket, not by name.
//!
//! Ourselves and the first process of all; whoever reads what we print, for a full pipe would stop
//! us; whoever listens on the engine's socket; whoever serves the filesystem of the journals.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::{Path, PathBuf};

use platform::files::mounts::MountTable;
use serde::{Deserialize, Serialize};

/// A process that must not be frozen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Needed {
    pub(crate) pid: u32,
    /// What it does for us.
    pub(crate) what: String,
}

/// Everybody whom a freeze must leave alone.
pub(crate) fn needed(journals: &Path, sockets: &[PathBuf]) -> Vec<Needed> {
    let mut links = BTreeMap::new();
    for fd in [std::io::stdout().as_fd(), std::io::stderr().as_fd()] {
        let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let pipe = link.ok().filter(|link| link.to_string_lossy().starts_with("pipe:"));
        links.extend(pipe.map(|pipe| (pipe, "which reads what Stillpoint prints".to_owned())));
    }
    let listening = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    for socket in sockets {
        let text = format!("which listens on `{}`", socket.display());
        links.extend(listeners(&listening, socket).map(|link| (link, text.clone())));
    }
    if is_served_by_a_process(journals) {
        let text = "which serves the filesystem of the journals".to_owned();
        links.insert("/dev/fuse".into(), text);
    }
    let own = std::process::id();
    let first = Needed { pid: 1, what: "the first process of all".to_owned() };
    let mut found = vec![first, Needed { pid: own, what: "Stillpoint itself".to_owned() }];
    if !links.is_empty() {
        found.extend(holders(&links).into_iter().filter(|needed| needed.pid != own));
    }
    found
}

// Who has one of these open.
fn holders(links: &BTreeMap<PathBuf, String>) -> Vec<Needed> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let held = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let what = files.flatten().find_map(|file| {
            let what = links.get(&fs::read_link(file.path()).ok()?)?;
            reads(pid, file.file_name().to_str()?).then_some(what)
        })?;
        Some(Needed { pid, what: format!("process {pid}, {what}") })
    };
    pids.filter_map(held).collect()
}

// Whoever only writes to our pipe is not waited for.
fn reads(pid: u32, file: &str) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{file}")).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_none_or(|flags| flags & ACCESS_MODE != WRITE_ONLY)
}

// The links to the sockets that listen at a path, as they stand in `/proc/<pid>/fd`.
fn listeners<'a>(table: &'a str, path: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    table.lines().filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let (flags, inode, name) = (fields.nth(3)?, fields.nth(2)?, fields.next()?);
        let listens = u32::from_str_radix(flags, 16).ok()? & ACCEPTS != 0;
        (listens && same(Path::new(name), path)).then(|| format!("socket:[{inode}]").into())
    })
}

/// Whether two paths lead to the same file.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    one == other
        || one.canonicalize().ok().is_some_and(|one| Some(one) == other.canonicalize().ok())
}

fn is_served_by_a_process(path: &Path) -> bool {
    let existing = path.ancestors().find_map(|path| path.canonicalize().ok());
    let (Ok(table), Some(path)) = (MountTable::read(), existing) else { return false };
    table.holding(&path).is_some_and(|mounted| mounted.filesystem.starts_with("fuse"))
}

/// `__SO_ACCEPTCON` of the kernel's socket flags.
const ACCEPTS: u32 = 0x1_0000;
const ACCESS_MODE: u32 = 0o3;
const WRITE_ONLY: u32 = 0o1;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn whoever_listens_on_a_socket_is_found_and_whoever_only_knows_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        let _listener = UnixListener::bind(&one).unwrap();
        let table = fs::read_to_string("/proc/net/unix").unwrap();
        let links: BTreeMap<_, _> =
            listeners(&table, &one).map(|link| (link, "which listens".to_owned())).collect();
        assert_eq!(links.len(), 1);
        let found = holders(&links);
        assert_eq!(found.iter().map(|n| n.pid).collect::<Vec<_>>(), [std::process::id()]);
        assert_eq!(listeners(&table, &other).count(), 0);
    }

    #[test]
    fn whoever_reads_a_pipe_is_needed_and_whoever_writes_to_it_is_not() {
        let (reader, writer) = std::io::pipe().unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", reader.as_raw_fd())).unwrap();
        let links = BTreeMap::from([(link, "which reads".to_owned())]);
        let start = |input: Stdio, output: Stdio| {
            Command::new("sleep").arg("60").stdin(input).stdout(output).spawn().unwrap()
        };
        let mut reads = start(reader.try_clone().unwrap().into(), Stdio::null());
        let mut talker = start(Stdio::null(), writer.try_clone().unwrap().into());
        let found: Vec<_> = holders(&links).into_iter().map(|needed| needed.pid).collect();
        for child in [&mut reads, &mut talker] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(found.contains(&reads.id()) && !found.contains(&talker.id()), "{found:?}");
    }

    #[test]
    fn we_and_the_first_process_are_always_needed() {
        let found = needed(Path::new("/nowhere"), &[]);
        assert!(found.iter().any(|needed| needed.pid == 1));
        assert!(found.iter().any(|needed| needed.pid == std::process::id()));
    }
}
