//! What keeps a warden alive and awake when the machine is short of memory.
//!
//! Best effort: an ordinary user may neither lock memory nor refuse the out-of-memory killer. What
//! could not be had is told to the service.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use platform::cgroup::{Hierarchies, Hierarchy, Memberships};
use platform::files::mounts::MountTable;
use rustix::mm::{MlockAllFlags, mlockall};

/// The protection that was had, and what was not.
#[derive(Debug, Default)]
pub(super) struct Shelter {
    /// What was refused; one sentence each.
    pub(super) exposed: Vec<String>,
    // Where we were before, and the cgroup of our own in it.
    homes: Vec<(PathBuf, PathBuf)>,
}

impl Shelter {
    /// Takes what can be had.
    pub(super) fn take() -> Self {
        let mut shelter = Self::default();
        if let Err(error) = fs::write("/proc/self/oom_score_adj", "-1000") {
            shelter.lack("protected from the out-of-memory killer", &error);
        }
        if let Err(error) = stay_in_memory() {
            shelter.lack("locked in memory", &error);
        }
        if let Err(error) = shelter.move_out() {
            shelter.lack("given a cgroup of its own", &error);
        }
        shelter
    }

    fn lack(&mut self, what: &str, error: &io::Error) {
        self.exposed.push(format!("the warden could not be {what}: {error}"));
    }

    // A limit or a pressure that the service runs into is none of the warden's then. It stays
    // below the service's cgroup, which is all that a unit of systemd may use.
    fn move_out(&mut self) -> io::Result<()> {
        let hierarchies = Hierarchies::among(&MountTable::read()?);
        let homes = homes(&hierarchies, &Memberships::own()?);
        let mut result =
            if homes.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) };
        for home in homes {
            let own = home.join(NAME);
            match move_into(&own) {
                Ok(()) => self.homes.push((home, own)),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }
}

impl Drop for Shelter {
    // Another warden may still be in it; then it removes it.
    fn drop(&mut self) {
        for (home, own) in &self.homes {
            let _ = fs::write(home.join(PROCESSES), "0");
            let _ = fs::remove_dir(own);
        }
    }
}

// All of it at once, so that nothing has to be read from a disk later. Where a limit forbids that,
// what is used from now on.
fn stay_in_memory() -> io::Result<()> {
    let all = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE);
    if all.is_err() {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT)?;
    }
    Ok(())
}

fn move_into(cgroup: &Path) -> io::Result<()> {
    match fs::create_dir(cgroup) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(cgroup.join(PROCESSES), "0")
}

// Our cgroup in the version 2 hierarchy, and in that of the version 1 freezer.
fn homes(hierarchies: &Hierarchies, own: &Memberships) -> Vec<PathBuf> {
    let both = [(&hierarchies.unified, &own.unified), (&hierarchies.freezer, &own.freezer)];
    let home = |(hierarchy, cgroup): (&Option<Hierarchy>, &Option<PathBuf>)| {
        hierarchy.as_ref()?.directory_or_root(cgroup.as_ref()?)
    };
    both.into_iter().filter_map(home).collect()
}

const NAME: &str = "stillpoint-warden";
const PROCESSES: &str = "cgroup.procs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_cgroups_are_found_in_both_hierarchies() {
        let mounts = b"\
30 27 0:30 / /sys/fs/cgroup/cpu rw - cgroup x rw,cpu
31 27 0:31 / /sys/fs/cgroup/freezer rw - cgroup x rw,freezer
32 27 0:32 / /sys/fs/cgroup/unified rw - cgroup2 x rw
";
        let hierarchies = Hierarchies::among(&MountTable::parse(mounts).unwrap());
        let own = b"6:freezer:/box\n1:cpu:/other\n0::/system.slice/stillpoint.service\n";
        let own = Memberships::parse(own).unwrap();
        let expected = [
            "/sys/fs/cgroup/unified/system.slice/stillpoint.service",
            "/sys/fs/cgroup/freezer/box",
        ];
        assert_eq!(homes(&hierarchies, &own), expected.map(PathBuf::from));
        let root = Memberships::parse(b"6:freezer:/\n").unwrap();
        assert_eq!(homes(&hierarchies, &root), [PathBuf::from("/sys/fs/cgroup/freezer")]);
        assert_eq!(homes(&Hierarchies::default(), &own), Vec::<PathBuf>::new());
    }
}
