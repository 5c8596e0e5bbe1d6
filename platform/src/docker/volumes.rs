//! The volumes of an application: which mounts of its containers are files worth keeping.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use format::raw::RawPath;

use super::container::{Container, ContainerMount};
use super::driver_label::Wanted;
use super::place::Place;
use crate::application::{Activity, MissingVolume, Mount, NoVolume, Volume};
use crate::files::mounts::MountTable;
use crate::kernel::KERNEL_TREES;

/// What the host must be known for to tell volumes from other mounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// What is mounted on the host.
    pub(super) mounts: MountTable,
    /// Where the engine keeps everything, without symbolic links.
    pub(super) data_root: Option<PathBuf>,
    /// The volumes whose filesystem the engine mounts only while they are in use.
    pub(super) mounted_on_use: BTreeSet<String>,
    /// The containers outside the application.
    pub(super) outsiders: Vec<Container>,
    /// What we see of the host's files; absent where we are in no container.
    pub(super) visible: Option<Vec<PathBuf>>,
}

/// What the mounts of an application's containers are.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// The volumes, in the order of their names.
    pub(super) volumes: Vec<Volume>,
    /// A sentence for every mount that is none.
    pub(super) left_out: Vec<String>,
    /// Volumes whose files cannot be found.
    pub(super) missing: Vec<MissingVolume>,
    /// What labels say that makes no sense.
    pub(super) mistakes: Vec<String>,
}

/// Sorts the mounts of containers, which are named as members.
pub(super) fn volumes(members: &[(String, Container)], surroundings: &Surroundings) -> Sorted {
    let mut found: BTreeMap<PathBuf, (Place, Volume)> = BTreeMap::new();
    let (mut left_out, mut missing) = (BTreeSet::new(), BTreeSet::new());
    let mut mistakes = BTreeSet::new();
    for (member, container) in members {
        let wanted = Wanted::of(container).unwrap_or_else(|mistake| {
            mistakes.insert(format!("container `{member}`: {mistake}"));
            Wanted::default()
        });
        for mount in &container.mounts {
            let place = match surroundings.place(mount) {
                Ok(place) => place,
                Err(NoVolume::Missing(reason)) => {
                    missing.insert(MissingVolume { name: name_of(mount), reason });
                    continue;
                }
                Err(NoVolume::LeftOut(reason)) => {
                    let target = mount.target.display();
                    left_out.insert(format!("`{target}` of `{member}` is left out: {reason}"));
                    continue;
                }
            };
            let (_, volume) = found
                .entry(place.path.clone())
                .or_insert_with_key(|source| (place, unnamed(source)));
            // A name of the engine's says more than a path.
            if let Some(name) = &mount.volume {
                volume.name = RawPath::new(name.as_bytes());
            }
            if let Some(driver) = wanted.at(&mount.target) {
                let before = volume.driver.replace(driver);
                if let Some(before) = before.filter(|before| *before != driver) {
                    let name = &volume.name;
                    mistakes.insert(format!(
                        "volume `{name}`: `{before}` and `{driver}` are both asked for"
                    ));
                }
            }
            volume.mounts.push(Mount {
                member: member.clone(),
                target: mount.target.clone(),
                read_only: mount.read_only,
            });
        }
    }
    let outside = surroundings.outside_places();
    let mut volumes: Vec<Volume> = found
        .into_values()
        .map(|(place, volume)| Volume { outside_writers: writers(&outside, &place), ..volume })
        .collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    Sorted {
        volumes,
        left_out: left_out.into_iter().collect(),
        missing: missing.into_iter().collect(),
        mistakes: mistakes.into_iter().collect(),
    }
}

impl Surroundings {
    // The files that are mounted, or why they are no volume.
    fn place(&self, mount: &ContainerMount) -> Result<Place, NoVolume> {
        if !matches!(mount.kind.as_str(), "bind" | "volume") {
            return leave(format!("a mount of type {} has no files on this host", mount.kind));
        }
        let source = mount.source.display();
        if !self.sees(&mount.source) {
            let reason = "is not mounted, under the same path, into the container of the service";
            return Err(NoVolume::Missing(format!("`{source}` {reason}")));
        }
        let place = Place::find(&mount.source, &self.mounts)
            .map_err(|error| NoVolume::Missing(format!("`{source}` cannot be found: {error}")))?;
        place.content.or_else(|content| leave(format!("`{source}` is {content}")))?;
        if place.path == Path::new("/") {
            return leave("it is the whole host".to_owned());
        }
        if KERNEL_TREES.iter().any(|tree| place.path.starts_with(tree)) {
            return leave(format!("`{source}` belongs to the kernel"));
        }
        if self.data_root.as_ref().is_some_and(|root| root.starts_with(&place.path)) {
            return leave(format!("`{source}` contains everything that the engine keeps"));
        }
        let mounted = || self.mounts.holding(&place.path).is_some_and(|m| m.point == place.path);
        if let Some(name) = mount.volume.as_ref().filter(|name| self.mounted_on_use.contains(*name))
            && !mounted()
        {
            return Err(NoVolume::Missing(format!(
                "`{name}` is mounted only while a container runs"
            )));
        }
        Ok(place)
    }

    // What has the same path in a container of our own may be something else.
    fn sees(&self, source: &Path) -> bool {
        let is_seen = |visible: &Vec<PathBuf>| visible.iter().any(|path| source.starts_with(path));
        self.visible.as_ref().is_none_or(is_seen)
            || source == Path::new("/")
            || KERNEL_TREES.iter().any(|tree| source.starts_with(tree))
    }

    fn outside_places(&self) -> Vec<(&str, Place)> {
        let writable = |mount: &&ContainerMount| {
            !mount.read_only && matches!(mount.kind.as_str(), "bind" | "volume")
        };
        let mut places = Vec::new();
        for container in &self.outsiders {
            // One that restarts may be back in the middle of the freeze.
            if container.activity == Activity::Running || container.restarting {
                for mount in container.mounts.iter().filter(writable) {
                    // What is gone holds none of the files.
                    if let Ok(place) = Place::find(&mount.source, &self.mounts) {
                        places.push((container.name.as_str(), place));
                    }
                }
            }
        }
        places
    }
}

fn leave<T>(reason: String) -> Result<T, NoVolume> {
    Err(NoVolume::LeftOut(reason))
}

// A name of the engine's says more than a path.
fn name_of(mount: &ContainerMount) -> RawPath {
    match &mount.volume {
        Some(name) => RawPath::new(name.as_bytes()),
        None => RawPath::new(mount.source.as_os_str().as_bytes()),
    }
}

fn unnamed(source: &Path) -> Volume {
    Volume {
        name: RawPath::new(source.as_os_str().as_bytes()),
        source: source.to_owned(),
        mounts: Vec::new(),
        outside_writers: Vec::new(),
        driver: None,
    }
}

fn writers(outside: &[(&str, Place)], volume: &Place) -> Vec<String> {
    let names: BTreeSet<&str> =
        outside.iter().filter(|(_, place)| place.overlaps(volume)).map(|(name, _)| *name).collect();
    names.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;

    use super::*;

    struct Scene {
        scratch: TempDir,
        surroundings: Surroundings,
    }

    impl Scene {
        fn new() -> Self {
            let scratch = TempDir::new().unwrap();
            let mounts = MountTable::read().unwrap();
            Self { scratch, surroundings: Surroundings { mounts, ..Surroundings::default() } }
        }

        fn path(&self, name: &str) -> PathBuf {
            let path = self.scratch.path().canonicalize().unwrap().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        }

        fn volumes(&self, members: &[(&str, Vec<ContainerMount>)]) -> Sorted {
            let members: Vec<(String, Container)> = members
                .iter()
                .map(|(name, mounts)| ((*name).to_owned(), container(name, mounts.clone())))
                .collect();
            volumes(&members, &self.surroundings)
        }
    }

    #[test]
    fn two_drivers_for_one_volume_are_a_mistake() {
        let scene = Scene::new();
        let shared = bind(scene.path("shared"));
        let members = ["a", "b"].map(|name| {
            let mut container = container(name, vec![shared.clone()]);
            let driver = if name == "a" { "copy" } else { "live" };
            container.labels.insert("stillpoint.driver".to_owned(), driver.to_owned());
            (name.to_owned(), container)
        });
        let mistakes = volumes(&members, &scene.surroundings).mistakes;
        assert!(mistakes.len() == 1 && mistakes[0].contains("`copy` and `live`"), "{mistakes:?}");
    }

    fn container(name: &str, mounts: Vec<ContainerMount>) -> Container {
        let activity = Activity::Running;
        Container { name: name.to_owned(), activity, mounts, ..Container::default() }
    }

    fn bind(source: impl Into<PathBuf>) -> ContainerMount {
        ContainerMount {
            kind: "bind".to_owned(),
            volume: None,
            source: source.into(),
            target: "/data".into(),
            read_only: false,
        }
    }

    fn named(name: &str, source: impl Into<PathBuf>) -> ContainerMount {
        let (kind, volume) = ("volume".to_owned(), Some(name.to_owned()));
        ContainerMount { kind, volume, ..bind(source) }
    }

    fn names(volumes: &[Volume]) -> Vec<String> {
        volumes.iter().map(|volume| volume.name.to_string()).collect()
    }

    #[test]
    fn one_source_is_one_volume_however_often_it_is_mounted() {
        let scene = Scene::new();
        let (data, conf) = (scene.path("data"), scene.path("conf"));
        let link = scene.scratch.path().join("link");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        let read_only = ContainerMount { read_only: true, ..bind(&conf) };
        let Sorted { volumes, left_out, missing, .. } = scene.volumes(&[
            ("db", vec![named("pg", &data), read_only]),
            ("web", vec![bind(&link), bind(data.join("../data"))]),
        ]);
        assert_eq!((left_out, missing), (Vec::new(), Vec::new()));
        assert_eq!(names(&volumes), [conf.display().to_string(), "pg".to_owned()]);
        assert_eq!(volumes[1].source, data);
        let members: Vec<&str> = volumes[1].mounts.iter().map(|m| m.member.as_str()).collect();
        assert_eq!(members, ["db", "web", "web"]);
        assert!(volumes[0].mounts[0].read_only);
    }

    #[test]
    fn nested_sources_stay_volumes_of_their_own() {
        let scene = Scene::new();
        let (outer, inner) = (scene.path("outer"), scene.path("outer/inner"));
        let volumes = scene.volumes(&[("db", vec![bind(outer), bind(inner)])]).volumes;
        assert_eq!(volumes.len(), 2);
    }

    #[test]
    fn what_is_no_volume_is_named_with_its_reason() {
        let mut scene = Scene::new();
        let data_root = scene.path("lib/docker");
        scene.surroundings.data_root = Some(data_root.clone());
        let socket = scene.scratch.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let tmpfs = ContainerMount { kind: "tmpfs".to_owned(), ..bind("") };
        for (mount, reason) in [
            (tmpfs, "type tmpfs"),
            (bind(&socket), "is a socket"),
            (bind("/"), "the whole host"),
            (bind("/proc"), "the kernel"),
            (bind("/sys/fs"), "the kernel"),
            (bind("/dev/null"), "a device"),
            (bind("/dev/shm"), "the kernel"),
            (bind(scene.path("lib")), "everything that the engine keeps"),
            (bind(&data_root), "everything that the engine keeps"),
        ] {
            let Sorted { volumes, left_out, missing, .. } = scene.volumes(&[("db", vec![mount])]);
            assert_eq!((volumes, missing), (Vec::new(), Vec::new()), "{reason}");
            assert_eq!(left_out.len(), 1);
            assert!(left_out[0].starts_with("`/data` of `db` is left out: "), "{left_out:?}");
            assert!(left_out[0].contains(reason), "{left_out:?}");
        }
        let below = named("pg", scene.path("lib/docker/volumes/pg/_data"));
        assert_eq!(scene.volumes(&[("db", vec![below])]).volumes.len(), 1);
    }

    #[test]
    fn volumes_without_files_are_missing_and_not_merely_left_out() {
        let mut scene = Scene::new();
        scene.surroundings.mounted_on_use = BTreeSet::from(["nfs".to_owned()]);
        for (mount, name, reason) in [
            (bind("/nowhere/at/all"), "/nowhere/at/all", "cannot be found"),
            (named("nfs", scene.path("volumes/nfs")), "nfs", "only while a container runs"),
        ] {
            let Sorted { volumes, left_out, missing, .. } = scene.volumes(&[("db", vec![mount])]);
            assert_eq!((volumes, left_out), (Vec::new(), Vec::new()), "{name}");
            assert_eq!(missing[0].name.to_string(), name);
            assert!(missing[0].reason.contains(reason), "{missing:?}");
        }
    }

    #[test]
    fn others_who_may_write_are_named() {
        let mut scene = Scene::new();
        let (data, deep, other) = (scene.path("data"), scene.path("data/deep"), scene.path("x"));
        let above = data.parent().unwrap().to_owned();
        let read_only = ContainerMount { read_only: true, ..bind(&data) };
        let stopped =
            Container { activity: Activity::Stopped, ..container("off", vec![bind(&data)]) };
        let restarting = Container { restarting: true, name: "again".into(), ..stopped.clone() };
        scene.surroundings.outsiders = vec![
            container("same", vec![bind(&data)]),
            container("below", vec![bind(&deep)]),
            container("above", vec![bind(above), bind("/gone")]),
            container("reader", vec![read_only]),
            container("elsewhere", vec![bind(&other)]),
            stopped,
            restarting,
        ];
        let Sorted { volumes, .. } = scene.volumes(&[("db", vec![named("pg", &data)])]);
        assert_eq!(volumes[0].outside_writers, ["above", "again", "below", "same"]);
    }
}
