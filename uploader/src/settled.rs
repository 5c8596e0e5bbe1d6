//! Writing out what is dirty: a store into a page that is dirty already leaves the stamp of its file as
//! it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use format::tree::FileTime;
use platform::files::Dir;
use rustix::fs::syncfs;

/// When what was dirty on each device was last written out, as far as anybody here did so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settled(Arc<Mutex<HashMap<u64, FileTime>>>);

impl Settled {
    /// Whether everything on a device was written out that was dirty at this moment.
    pub(crate) fn is_since(&self, moment: FileTime, device: u64) -> bool {
        self.devices().get(&device).is_some_and(|settled| *settled >= moment)
    }

    /// Writes out what is dirty on the device of this directory, unless that was done since this
    /// moment; answers whether it is done.
    pub(crate) fn settle(&self, moment: FileTime, device: u64, directory: &Dir) -> bool {
        if self.is_since(moment, device) {
            return true;
        }
        if let Err(error) = syncfs(directory) {
            tracing::warn!(%error, "a filesystem cannot write; its files will be read again next time");
            return false;
        }
        self.devices().insert(device, moment);
        true
    }

    fn devices(&self) -> MutexGuard<'_, HashMap<u64, FileTime>> {
        // Every operation on it is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_settled_until_somebody_asks_for_later() {
        let at = |seconds| FileTime { seconds, nanoseconds: 0 };
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open(folder.path()).unwrap();
        let settled = Settled::default();
        assert!(!settled.is_since(at(5), 1));
        assert!(settled.settle(at(5), 1, &dir));
        assert!(settled.is_since(at(5), 1) && settled.is_since(at(4), 1));
        assert!(!settled.is_since(at(6), 1) && !settled.is_since(at(5), 2));
    }
}
