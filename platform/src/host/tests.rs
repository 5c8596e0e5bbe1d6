//! The host platform with real processes, and with real cgroups where we may make them.

use std::fs;
use std::process::{Child, Command};

use tempfile::TempDir;

use super::*;
use crate::application::{Activity, FreezeTarget};
use crate::cgroup::Hierarchy;

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A cgroup for one test; removed with the processes gone.
struct Cgroup(PathBuf);

impl Cgroup {
    // None where we may not, which leaves the test to other machines.
    fn create(hierarchy: Option<&Hierarchy>, below: &str) -> Option<Self> {
        let path = hierarchy?.point.join(below);
        fs::create_dir_all(&path).ok()?;
        Some(Self(path))
    }

    fn add(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn hierarchies() -> Hierarchies {
    Hierarchies::among(&MountTable::read().unwrap())
}

fn declared(directories: &[&Path], source: Option<ProcessSource>) -> Declared {
    Declared {
        name: "shop".to_owned(),
        directories: directories.iter().map(PathBuf::from).collect(),
        processes: source
            .map(|source| DeclaredProcess { name: "db".to_owned(), source, lease: None })
            .into_iter()
            .collect(),
        ..Declared::default()
    }
}

fn member(source: ProcessSource) -> Result<Member, PlatformError> {
    let application = examine(&declared(&[], Some(source)))?;
    Ok(application.members.into_iter().next().unwrap())
}

fn pid_file(scratch: &TempDir, text: &str) -> ProcessSource {
    let path = scratch.path().join("db.pid");
    fs::write(&path, text).unwrap();
    ProcessSource::PidFile(path)
}

#[test]
fn a_pid_file_leads_to_its_process() {
    let scratch = TempDir::new().unwrap();
    let sleeper = Sleeper::start();
    let source = pid_file(&scratch, &format!("{}\n", sleeper.pid()));
    let found = member(source.clone()).unwrap();
    assert_eq!(found.activity, Activity::Running);
    assert_eq!(found.freezer, Some(FreezeTarget::ProcessTree(sleeper.pid())));
    assert!(found.id.starts_with(&format!("{}@", sleeper.pid())));
    drop(sleeper);
    let gone = member(source).unwrap();
    assert_eq!((gone.activity, gone.freezer), (Activity::Stopped, None));
}

#[test]
fn a_process_has_the_lease_that_is_declared() {
    let scratch = TempDir::new().unwrap();
    let source = ProcessSource::PidFile(scratch.path().join("none"));
    let mut declared = declared(&[], Some(source));
    declared.processes[0].lease = Some("8s".to_owned());
    let found = examine(&declared).unwrap();
    assert_eq!(found.members[0].watch.lease.as_deref(), Some("8s"));
}

#[test]
fn a_dead_process_that_nobody_noticed_is_stopped() {
    let scratch = TempDir::new().unwrap();
    let mut sleeper = Sleeper::start();
    sleeper.0.kill().unwrap();
    let source = pid_file(&scratch, &sleeper.pid().to_string());
    let ended = || member(source.clone()).unwrap().activity == Activity::Stopped;
    assert!((0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        ended()
    }));
}

#[test]
fn a_missing_pid_file_is_a_stopped_process_and_a_strange_one_an_error() {
    let scratch = TempDir::new().unwrap();
    let missing = member(ProcessSource::PidFile(scratch.path().join("none"))).unwrap();
    assert_eq!(missing.activity, Activity::Stopped);
    assert!(member(pid_file(&scratch, "hello")).is_err());
    assert!(member(ProcessSource::PidFile(scratch.path().to_owned())).is_err());
    let pipe = scratch.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(member(ProcessSource::PidFile(pipe)).is_err(), "a pipe must not hang us");
}

#[test]
fn the_first_process_we_and_our_ancestors_are_never_targets() {
    let scratch = TempDir::new().unwrap();
    let mut forbidden = kernel::own_lineage().unwrap();
    forbidden.extend([0, 1]);
    for pid in forbidden {
        let refused = member(pid_file(&scratch, &pid.to_string())).unwrap_err();
        assert!(matches!(refused, PlatformError::ForbiddenTarget { .. }), "{refused}");
    }
}

#[test]
fn a_cgroup_is_found_when_it_has_processes() {
    let hierarchies = hierarchies();
    for hierarchy in [&hierarchies.unified, &hierarchies.freezer] {
        let name = format!("stillpoint-test-{}", std::process::id());
        let Some(cgroup) = Cgroup::create(hierarchy.as_ref(), &name) else { continue };
        let child = Cgroup(cgroup.0.join("nested"));
        fs::create_dir(&child.0).unwrap();
        let source = ProcessSource::Cgroup(Path::new("/").join(&name));
        assert_eq!(member(source.clone()).unwrap().activity, Activity::Stopped);
        let sleeper = Sleeper::start();
        child.add(sleeper.pid());
        let found = member(source).unwrap();
        assert_eq!(found.activity, Activity::Running);
        let Some(FreezeTarget::CgroupV2(path) | FreezeTarget::CgroupV1(path)) = found.freezer
        else {
            panic!("it is no cgroup");
        };
        assert_eq!(path, cgroup.0);
        assert!(found.id.starts_with(path.to_str().unwrap()));
        drop(sleeper);
        drop(child);
    }
}

#[test]
fn a_cgroup_that_we_are_in_is_never_a_target() {
    let hierarchies = hierarchies();
    let name = format!("stillpoint-own-{}", std::process::id());
    // The test itself must stay where it is, so another process plays our ancestor.
    let Some(cgroup) = Cgroup::create(hierarchies.freezer.as_ref(), &name) else { return };
    let sleeper = Sleeper::start();
    cgroup.add(sleeper.pid());
    let finder = Finder {
        application: "shop",
        hierarchies: &hierarchies,
        lineage: &[u32::MAX, sleeper.pid()],
    };
    let source = ProcessSource::Cgroup(Path::new("/").join(&name));
    let process = DeclaredProcess { name: "db".to_owned(), source, lease: None };
    let refused = finder.members(&process).unwrap_err();
    assert!(matches!(refused, PlatformError::ForbiddenTarget { .. }));
    assert!(refused.to_string().contains("an ancestor of this process"), "{refused}");
    drop(sleeper);
}

#[test]
fn a_unit_without_a_freezer_is_found_by_its_processes() {
    let hierarchies = hierarchies();
    let unit = format!("stillpoint-test-{}.service", std::process::id());
    let source = ProcessSource::Unit(unit.trim_end_matches(".service").to_owned());
    assert_eq!(member(source.clone()).unwrap().activity, Activity::Stopped);
    let Some(systemd) = &hierarchies.systemd else { return };
    let slice = Cgroup(systemd.point.join("stillpointtest.slice"));
    let Some(cgroup) = Cgroup::create(Some(systemd), &format!("stillpointtest.slice/{unit}"))
    else {
        return;
    };
    let (one, two) = (Sleeper::start(), Sleeper::start());
    cgroup.add(one.pid());
    let found = member(source.clone()).unwrap();
    assert_eq!(found.freezer, Some(FreezeTarget::ProcessTree(one.pid())));
    assert_eq!(found.name, "db");
    cgroup.add(two.pid());
    let members = examine(&declared(&[], Some(source))).unwrap().members;
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut expected = [format!("db-{}", one.pid()), format!("db-{}", two.pid())];
    expected.sort();
    assert_eq!(names, expected);
    drop((one, two));
    drop(cgroup);
    drop(slice);
}

#[test]
fn directories_become_volumes_and_missing_ones_are_named() {
    let scratch = TempDir::new().unwrap();
    let (real, link) = (scratch.path().join("real"), scratch.path().join("link"));
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let missing = scratch.path().join("missing");
    let nobody = ProcessSource::PidFile(scratch.path().join("none"));
    let directories = [link.as_path(), &real, &missing, Path::new("/proc/sys")];
    let application = examine(&declared(&directories, Some(nobody))).unwrap();
    assert_eq!(application.volumes.len(), 1, "two names of one directory are one volume");
    let volume = &application.volumes[0];
    assert_eq!(volume.source, real.canonicalize().unwrap());
    assert_eq!(volume.name.as_bytes(), link.as_os_str().as_bytes());
    assert_eq!(volume.mounts[0].member, "db");
    assert_eq!(application.left_out, ["`/proc/sys` is left out: /proc belongs to the kernel"]);
    assert_eq!(application.missing.len(), 1);
    assert_eq!(application.missing[0].name.as_bytes(), missing.as_os_str().as_bytes());
    assert_eq!(application.definition["directories"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn only_declared_applications_exist() {
    let host = Host::new(vec![declared(&[], None)]).unwrap();
    assert_eq!(host.applications().await.unwrap().len(), 1);
    assert_eq!(host.application("shop").await.unwrap().platform, host.name());
    let unknown = host.application("other").await.unwrap_err();
    assert!(matches!(unknown, PlatformError::UnknownApplication { .. }));
    assert!(Host::new(vec![declared(&[], None), declared(&[], None)]).is_err());
}
