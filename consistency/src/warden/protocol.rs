//! What we and the warden say to one another: one JSON object a line, nothing else.

use std::borrow::Cow;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use format::ids::PointId;
use format::raw::RawPath;
use platform::application::{EnginePause, FreezeTarget};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::freezer::Trouble;
use crate::needed::Needed;

/// From us to the warden. Targets are named by the number that `arm` gives them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Order {
    /// Open these; the first order, given once.
    Arm {
        /// The run that this warden is for.
        run: PointId,
        /// How long after the first freeze everything is thawed in any case.
        deadline_micros: u64,
        /// The directory of the journal.
        journals: RawPath,
        /// Who must not be frozen.
        needed: Vec<Needed>,
        /// What to open.
        targets: Vec<Armed>,
    },
    /// Freeze every target; given once.
    Freeze { run: PointId },
    /// Thaw whatever was frozen.
    Thaw { run: PointId },
}

/// One target of a warden.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Armed {
    pub(crate) number: usize,
    pub(crate) target: WireTarget,
}

/// A [`FreezeTarget`] on the wire.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum WireTarget {
    CgroupV1(RawPath),
    CgroupV2(RawPath),
    ProcessTree(u32),
    Engine { socket: RawPath, container: String, root: u32, cgroup: Option<RawPath> },
}

/// From the warden to us.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Report {
    /// Every target is open, and the intent is written down; `exposed` says what protection the
    /// warden does not have.
    Armed { exposed: Vec<String> },
    /// An order was not followed, because of one target or of all.
    Refused { target: Option<usize>, reason: Cow<'static, str> },
    /// A target stands still.
    Frozen { target: usize, asked: Moment, done: Moment },
    /// A target cannot be frozen.
    FreezeFailed { target: usize, trouble: Trouble },
    /// Everything is going to be thawed.
    Thawing { reason: Reason },
    /// A target could not be thawed; it is tried again.
    ThawFailed { target: usize, trouble: Trouble },
    /// A target runs again, or is gone.
    Thawed { target: usize, done: Moment },
}

/// Why a warden thaws.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// It was told to.
    Ordered,
    /// The time is over.
    Deadline,
    /// Whoever gave the orders is gone, or talks nonsense.
    Orphaned,
    /// Its process was told to end.
    Terminated,
}

/// A path on the wire.
pub(crate) fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_bytes())
}

/// A path from the wire.
pub(crate) fn path(raw: &RawPath) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(raw.as_bytes()))
}

impl From<&FreezeTarget> for WireTarget {
    fn from(target: &FreezeTarget) -> Self {
        match target {
            FreezeTarget::CgroupV1(path) => Self::CgroupV1(raw(path)),
            FreezeTarget::CgroupV2(path) => Self::CgroupV2(raw(path)),
            FreezeTarget::ProcessTree(root) => Self::ProcessTree(*root),
            FreezeTarget::Engine(EnginePause { socket, container, root, cgroup }) => Self::Engine {
                socket: raw(socket),
                container: container.clone(),
                root: *root,
                cgroup: cgroup.as_deref().map(raw),
            },
        }
    }
}

impl From<&WireTarget> for FreezeTarget {
    fn from(target: &WireTarget) -> Self {
        match target {
            WireTarget::CgroupV1(raw) => Self::CgroupV1(path(raw)),
            WireTarget::CgroupV2(raw) => Self::CgroupV2(path(raw)),
            WireTarget::ProcessTree(root) => Self::ProcessTree(*root),
            WireTarget::Engine { socket, container, root, cgroup } => Self::Engine(EnginePause {
                socket: path(socket),
                container: container.clone(),
                root: *root,
                cgroup: cgroup.as_ref().map(path),
            }),
        }
    }
}

/// Bytes on their way to becoming lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    // The end of the line that was told last.
    told: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.told);
        self.told = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole line, without its end; an error when one is longer than any of ours.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let rest = self.pending.get(self.told..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            let endless = rest.len() > LINE_BYTES_MAX;
            return if endless { Err(io::ErrorKind::InvalidData.into()) } else { Ok(None) };
        };
        let begin = self.told;
        self.told += end + 1;
        Ok(self.pending.get(begin..begin + end))
    }
}

// Room for the paths of thousands of containers.
const LINE_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_went_in() {
        let mut lines = Lines::default();
        for piece in [&b"ab"[..], b"c\nd", b"\n\n", b"e"] {
            lines.push(piece);
        }
        let mut next = || lines.next_line().unwrap().map(<[u8]>::to_vec);
        assert_eq!(next(), Some(b"abc".to_vec()));
        assert_eq!(next(), Some(b"d".to_vec()));
        assert_eq!(next(), Some(Vec::new()));
        assert_eq!(next(), None);
        lines.push(b"f\n");
        assert_eq!(lines.next_line().unwrap(), Some(&b"ef"[..]));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert!(lines.next_line().is_err());
    }

    #[test]
    fn a_path_of_any_bytes_survives_the_wire() {
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"/sys/\xff\n\\x"));
        let target = FreezeTarget::CgroupV2(path);
        let armed = Armed { number: 0, target: WireTarget::from(&target) };
        let (run, journals) = (PointId::new([1; 16]), raw(Path::new("/run/\u{e4}")));
        let (needed, targets) = (Vec::new(), vec![armed]);
        let order = Order::Arm { run, deadline_micros: 1, journals, needed, targets };
        let line = serde_json::to_vec(&order).unwrap();
        assert!(!line.contains(&b'\n'));
        let Ok(Order::Arm { targets, .. }) = serde_json::from_slice(&line) else { panic!() };
        assert_eq!(FreezeTarget::from(&targets[0].target), target);
    }

    #[test]
    fn strange_orders_are_no_orders() {
        let strange = ["", "{}", "\"freeze\"", "{\"freeze\":{}}", "{\"arm\":{\"targets\":[]}}"];
        for text in strange {
            assert!(serde_json::from_str::<Order>(text).is_err(), "{text}");
        }
        let order = Order::Freeze { run: PointId::new([0xab; 16]) };
        let text = format!("{{\"freeze\":{{\"run\":\"{}\"}}}}", "ab".repeat(16));
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    }
}
