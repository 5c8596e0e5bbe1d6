//! Cgroups by name: where their hierarchies are mounted, and which of them a process is in.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::files::mounts::MountTable;
use crate::kernel;

/// The cgroups of one process that matter to a freeze, as paths in their hierarchies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memberships {
    /// In the version 2 hierarchy.
    pub unified: Option<PathBuf>,
    /// In the version 1 hierarchy of the freezer.
    pub freezer: Option<PathBuf>,
}

impl Memberships {
    /// Those of this process.
    pub fn own() -> io::Result<Self> {
        Ok(Self::of(std::process::id())?.unwrap_or_default())
    }

    /// Those of a process; `None` when there is no such process.
    pub(crate) fn of(pid: u32) -> io::Result<Option<Self>> {
        let Some(text) = kernel::proc_file(pid, "cgroup")? else { return Ok(None) };
        Self::parse(&text).map(Some).ok_or_else(|| kernel::garbled("the cgroups of a process"))
    }

    /// Reads the text of `/proc/<pid>/cgroup`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut memberships = Self::default();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut fields = line.splitn(3, |byte| *byte == b':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let path = Some(PathBuf::from(OsStr::from_bytes(path)));
            if number == b"0" && controllers.is_empty() {
                memberships.unified = path;
            } else if controllers.split(|byte| *byte == b',').any(|name| name == b"freezer") {
                memberships.freezer = path;
            }
        }
        Some(memberships)
    }
}

/// Where the hierarchies that matter to a freeze are mounted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hierarchies {
    /// Version 2.
    pub unified: Option<Hierarchy>,
    /// Version 1 with the freezer.
    pub freezer: Option<Hierarchy>,
    /// Version 1 in which systemd keeps its units, without any controller.
    pub systemd: Option<Hierarchy>,
    /// Version 1 with the counters of CPU time.
    pub accounting: Option<Hierarchy>,
}

impl Hierarchies {
    /// Finds them among the mounts.
    pub fn among(mounts: &MountTable) -> Self {
        // A container's runtime may have mounted a part of a hierarchy; the widest view is best.
        let widest = |filesystem: &str, option: Option<&str>| {
            mounts
                .iter()
                .filter(|mount| mount.filesystem == filesystem)
                .filter(|mount| option.is_none_or(|o| mount.options.split(',').any(|x| x == o)))
                .min_by_key(|mount| mount.root.components().count())
                .map(|mount| Hierarchy { point: mount.point.clone(), root: mount.root.clone() })
        };
        Self {
            unified: widest("cgroup2", None),
            freezer: widest("cgroup", Some("freezer")),
            systemd: widest("cgroup", Some("name=systemd")),
            accounting: widest("cgroup", Some("cpuacct")),
        }
    }
}

/// One mounted hierarchy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    root: PathBuf,
}

impl Hierarchy {
    /// The directory of a cgroup, unless it is the root of all or out of sight.
    pub fn directory(&self, cgroup: &Path) -> Option<PathBuf> {
        if cgroup == Path::new("/") { None } else { self.directory_or_root(cgroup) }
    }

    /// The same, also of the root, which must never be frozen.
    pub fn directory_or_root(&self, cgroup: &Path) -> Option<PathBuf> {
        let visible = cgroup.strip_prefix(&self.root).ok()?;
        let sound = visible.components().all(|part| matches!(part, Component::Normal(_)));
        sound.then(|| self.point.join(visible))
    }

    /// The cgroup that has this directory.
    pub fn cgroup(&self, directory: &Path) -> Option<PathBuf> {
        Some(self.root.join(directory.strip_prefix(&self.point).ok()?))
    }
}

/// The cgroup that belongs to a whole container: the outermost one that bears its id.
///
/// The container's first process may sit deeper, as systemd's does. Where none bears the id, the
/// process is not the container's any more.
pub(crate) fn of_container<'a>(cgroup: &'a Path, id: &str) -> Option<&'a Path> {
    let bears_id = |part: &&Path| {
        let name = part.file_name().unwrap_or_default().as_bytes();
        !id.is_empty() && name.windows(id.len()).any(|window| window == id.as_bytes())
    };
    cgroup.ancestors().filter(bears_id).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<PathBuf>, Option<PathBuf>) {
        let memberships = Memberships::parse(text.as_bytes()).unwrap();
        (memberships.unified, memberships.freezer)
    }

    #[test]
    fn all_layouts_of_hosts_are_read() {
        let hybrid = "9:name=systemd:/docker/ab\n6:cpu,freezer,pids:/docker/a:b\n0::/\n";
        assert_eq!(parse(hybrid), (Some(PathBuf::from("/")), Some(PathBuf::from("/docker/a:b"))));
        let unified = "0::/system.slice/docker-ab.scope\n";
        assert_eq!(parse(unified), (Some(PathBuf::from("/system.slice/docker-ab.scope")), None));
        assert_eq!(parse("3:freezer:/x\n2:name=freezer:/y\n"), (None, Some(PathBuf::from("/x"))));
        assert_eq!(parse(""), (None, None));
        for text in ["0:", "x", "1:freezer"] {
            assert_eq!(Memberships::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn we_have_cgroups_and_nobody_has_none() {
        assert_eq!(Memberships::of(std::process::id()).unwrap(), Some(Memberships::own().unwrap()));
        assert_eq!(Memberships::of(u32::MAX).unwrap(), None);
    }

    #[test]
    fn hierarchies_are_found_by_their_kind() {
        let text = b"\
30 27 0:30 /part /mnt/freezer rw - cgroup x rw,freezer
31 27 0:30 / /sys/fs/cgroup/freezer rw - cgroup x rw,freezer
32 27 0:31 / /sys/fs/cgroup/systemd rw - cgroup x rw,xattr,name=systemd
33 27 0:32 / /sys/fs/cgroup/unified rw - cgroup2 x rw
34 27 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup x rw,cpu,cpuacct
";
        let hierarchies = Hierarchies::among(&MountTable::parse(text).unwrap());
        let point = |hierarchy: Option<Hierarchy>| hierarchy.unwrap().point;
        assert_eq!(point(hierarchies.freezer), Path::new("/sys/fs/cgroup/freezer"));
        assert_eq!(point(hierarchies.systemd), Path::new("/sys/fs/cgroup/systemd"));
        assert_eq!(point(hierarchies.unified), Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(point(hierarchies.accounting), Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(Hierarchies::among(&MountTable::default()), Hierarchies::default());
    }

    #[test]
    fn the_root_and_what_is_out_of_sight_have_no_directory() {
        let whole = Hierarchy { point: "/cg".into(), root: "/".into() };
        assert_eq!(whole.directory(Path::new("/a/b")), Some(PathBuf::from("/cg/a/b")));
        for hidden in ["/", "", "a/b", "/../a", "/a/../.."] {
            assert_eq!(whole.directory(Path::new(hidden)), None, "{hidden}");
        }
        let part = Hierarchy { point: "/cg".into(), root: "/a".into() };
        assert_eq!(part.directory(Path::new("/a/b")), Some(PathBuf::from("/cg/b")));
        assert_eq!(part.directory(Path::new("/b")), None);
        assert_eq!(part.cgroup(Path::new("/cg/b")), Some(PathBuf::from("/a/b")));
        assert_eq!(part.cgroup(Path::new("/elsewhere")), None);
        assert_eq!(whole.directory_or_root(Path::new("/")), Some(PathBuf::from("/cg")));
    }

    #[test]
    fn a_container_is_frozen_with_all_that_is_nested_in_it() {
        for (cgroup, expected) in [
            ("/docker/abc", "/docker/abc"),
            ("/docker/abc/init.scope", "/docker/abc"),
            ("/system.slice/docker-abc.scope/x/abc", "/system.slice/docker-abc.scope"),
        ] {
            assert_eq!(of_container(Path::new(cgroup), "abc"), Some(Path::new(expected)));
        }
        assert_eq!(of_container(Path::new("/elsewhere/y"), "abc"), None);
        assert_eq!(of_container(Path::new("/a/b"), ""), None);
    }
}
