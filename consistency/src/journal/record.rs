//! The bytes of a journal.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use format::raw::RawPath;
use platform::application::{EnginePause, FreezeTarget};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::freezer::Process;

/// What a journal says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Content {
    pub(super) header: Header,
    /// When everything is thawed in any case; `None` before the freeze.
    pub(super) until: Option<Moment>,
    pub(super) marks: Vec<Mark>,
    /// Processes that were stopped, with the number of their target.
    pub(super) processes: Vec<(usize, Process)>,
}

/// The first line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    version: u32,
    /// The boot of the machine; after another one nothing of this is frozen.
    pub(super) boot: String,
    pub(super) warden: Process,
    pub(super) targets: Vec<Written>,
}

/// A target, named so that nothing else is taken for it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Written {
    CgroupV1(Directory),
    CgroupV2(Directory),
    Engine {
        socket: RawPath,
        container: String,
        root: u32,
    },
    /// Its processes have lines of their own.
    Processes {
        root: u32,
    },
}

/// A directory and no other of its name: the kernel never gives the number of a cgroup twice.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    path: RawPath,
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// What became of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    Untouched,
    /// About to be frozen, frozen, or not known to be thawed.
    Frozen,
    Thawed,
}

/// Where the parts lie that are overwritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) until: u64,
    pub(super) marks: u64,
    pub(super) processes: u64,
    pub(super) process_lines: usize,
}

impl Mark {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Untouched => b'-',
            Self::Frozen => b'F',
            Self::Thawed => b'T',
        }
    }

    fn parse(byte: u8) -> Option<Self> {
        [Self::Untouched, Self::Frozen, Self::Thawed].into_iter().find(|mark| mark.byte() == byte)
    }
}

impl Directory {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let path = RawPath::new(path.as_os_str().as_bytes());
        Ok(Self { path, device: metadata.dev(), inode: metadata.ino() })
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsStr::from_bytes(self.path.as_bytes()))
    }
}

impl Header {
    /// These targets as they are now, and ourselves as their warden.
    pub(super) fn of(targets: &[FreezeTarget]) -> io::Result<Self> {
        let written = |target: &FreezeTarget| {
            Ok(match target {
                FreezeTarget::CgroupV1(path) => Written::CgroupV1(Directory::of(path)?),
                FreezeTarget::CgroupV2(path) => Written::CgroupV2(Directory::of(path)?),
                FreezeTarget::ProcessTree(root) => Written::Processes { root: *root },
                FreezeTarget::Engine(EnginePause { socket, container, root, .. }) => {
                    let socket = RawPath::new(socket.as_os_str().as_bytes());
                    Written::Engine { socket, container: container.clone(), root: *root }
                }
            })
        };
        let warden = Process::of(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
        let targets = targets.iter().map(written).collect::<io::Result<_>>()?;
        Ok(Self { version: VERSION, boot: boot()?, warden, targets })
    }

    /// The whole file, with room for everything that is written into it later.
    pub(super) fn text(&self) -> io::Result<(Vec<u8>, Place)> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        let until = text.len() as u64;
        text.extend(until_line(Moment::default()));
        let marks = text.len() as u64;
        text.extend(self.targets.iter().map(|_| Mark::Untouched.byte()));
        text.push(b'\n');
        let processes = text.len() as u64;
        let by_signal = |target: &Written| matches!(target, Written::Processes { .. });
        let trees = self.targets.iter().filter(|target| by_signal(target)).count();
        let process_lines = trees * PROCESS_LINES_PER_TARGET;
        text.extend(EMPTY_LINE.repeat(process_lines));
        Ok((text, Place { until, marks, processes, process_lines }))
    }
}

impl Content {
    pub(super) fn parse(text: &[u8]) -> io::Result<Self> {
        let garbled = || io::Error::new(io::ErrorKind::InvalidData, "it cannot be understood");
        let mut lines = text.split(|byte| *byte == b'\n');
        let header: Header = serde_json::from_slice(lines.next().unwrap_or_default())?;
        let until = numbers(lines.next().unwrap_or_default());
        let &[until] = &until[..] else { return Err(garbled()) };
        let marks = lines.next().unwrap_or_default().iter().map(|byte| Mark::parse(*byte));
        let marks = marks.collect::<Option<Vec<_>>>().ok_or_else(garbled)?;
        if header.version != VERSION || marks.len() != header.targets.len() {
            return Err(garbled());
        }
        let mut processes = Vec::new();
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            let &[target, pid, started] = &numbers(line)[..] else { return Err(garbled()) };
            let pid = u32::try_from(pid).map_err(|_| garbled())?;
            let target = usize::try_from(target).map_err(|_| garbled())?;
            processes.push((target, Process { pid, started }));
        }
        let until = (until != 0).then(|| Moment::from_micros(until));
        Ok(Self { header, until, marks, processes })
    }
}

/// The boot that the machine is in.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The line of the deadline, always of the same length.
pub(super) fn until_line(until: Moment) -> [u8; UNTIL_BYTES] {
    let mut line = [b' '; UNTIL_BYTES];
    let _ = io::Write::write_fmt(&mut &mut line[..], format_args!("{}", until.micros()));
    end(&mut line);
    line
}

/// The line of one process, always of the same length.
pub(super) fn process_line(target: usize, process: Process) -> [u8; PROCESS_BYTES] {
    let mut line = [b' '; PROCESS_BYTES];
    let Process { pid, started } = process;
    let _ = io::Write::write_fmt(&mut &mut line[..], format_args!("{target} {pid} {started}"));
    end(&mut line);
    line
}

fn end(line: &mut [u8]) {
    if let Some(last) = line.last_mut() {
        *last = b'\n';
    }
}

fn numbers(line: &[u8]) -> Vec<u64> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

const VERSION: u32 = 1;
/// Twenty digits and the end of the line.
const UNTIL_BYTES: usize = 21;
/// A number of a target, of a process and of clock ticks, of at most 20, 10 and 20 digits.
pub(super) const PROCESS_BYTES: usize = 53;
const EMPTY_LINE: &[u8; PROCESS_BYTES] = b"                                                    \n";
/// As many processes as one target may have, and some that end and are replaced meanwhile.
const PROCESS_LINES_PER_TARGET: usize = 4096;
