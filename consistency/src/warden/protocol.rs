//! What we and the warden say to one another: one JSON object a line, nothing else.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use format::raw::RawPath;
use platform::application::FreezeTarget;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::freezer::Reading;

/// From us to the warden. Targets are named by their place in `arm`, from 0 on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Order {
    /// Open these; the first order, given once.
    Arm {
        /// How long after the first freeze everything is thawed in any case.
        deadline_micros: u64,
        /// What to open.
        targets: Vec<Armed>,
    },
    /// Freeze every target whose role is `hold`; given once.
    Freeze,
    /// Read every target.
    Pulse,
    /// Thaw whatever was frozen.
    Thaw,
}

/// One target of a warden.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Armed {
    pub(crate) role: Role,
    pub(crate) target: WireTarget,
}

/// What a warden does with a target.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Freezes and thaws it.
    Hold,
    /// Only reads it: somebody else paused it.
    Watch,
}

/// A [`FreezeTarget`] on the wire.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum WireTarget {
    CgroupV1(RawPath),
    CgroupV2(RawPath),
    ProcessTree(u32),
}

/// From the warden to us.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Report {
    /// Every target is open.
    Armed,
    /// An order was not followed, because of one target or of all.
    Refused { target: Option<usize>, reason: String },
    /// A target stands still.
    Frozen { target: usize, asked: Moment, done: Moment },
    /// A target cannot be frozen.
    FreezeFailed { target: usize, reason: String },
    /// Every target was read; `None` for one that is gone or cannot be read.
    Pulse { readings: Vec<Option<Reading>> },
    /// Everything is going to be thawed.
    Thawing { reason: Reason },
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

impl From<&FreezeTarget> for WireTarget {
    fn from(target: &FreezeTarget) -> Self {
        let raw = |path: &Path| RawPath::new(path.as_os_str().as_bytes());
        match target {
            FreezeTarget::CgroupV1(path) => Self::CgroupV1(raw(path)),
            FreezeTarget::CgroupV2(path) => Self::CgroupV2(raw(path)),
            FreezeTarget::ProcessTree(root) => Self::ProcessTree(*root),
        }
    }
}

impl From<&WireTarget> for FreezeTarget {
    fn from(target: &WireTarget) -> Self {
        let path = |raw: &RawPath| PathBuf::from(std::ffi::OsStr::from_bytes(raw.as_bytes()));
        match target {
            WireTarget::CgroupV1(raw) => Self::CgroupV1(path(raw)),
            WireTarget::CgroupV2(raw) => Self::CgroupV2(path(raw)),
            WireTarget::ProcessTree(root) => Self::ProcessTree(*root),
        }
    }
}

/// Bytes on their way to becoming lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole line, without its end; an error when one is longer than any of ours.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') else {
            let endless = self.pending.len() > LINE_BYTES_MAX;
            return if endless { Err(io::ErrorKind::InvalidData.into()) } else { Ok(None) };
        };
        let rest = self.pending.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.pending, rest);
        line.truncate(end);
        Ok(Some(line))
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
        let mut next = || lines.next_line().unwrap();
        assert_eq!(next(), Some(b"abc".to_vec()));
        assert_eq!(next(), Some(b"d".to_vec()));
        assert_eq!(next(), Some(Vec::new()));
        assert_eq!(next(), None);
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
        let armed = Armed { role: Role::Hold, target: WireTarget::from(&target) };
        let order = Order::Arm { deadline_micros: 1, targets: vec![armed] };
        let line = serde_json::to_vec(&order).unwrap();
        assert!(!line.contains(&b'\n'));
        let Ok(Order::Arm { targets, .. }) = serde_json::from_slice(&line) else { panic!() };
        assert_eq!(FreezeTarget::from(&targets[0].target), target);
    }

    #[test]
    fn strange_orders_are_no_orders() {
        let strange = ["", "{}", "\"melt\"", "{\"freeze\":{}}", "{\"arm\":{\"targets\":[]}}"];
        for text in strange {
            assert!(serde_json::from_str::<Order>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Order>("\"freeze\"").unwrap(), Order::Freeze);
    }
}
