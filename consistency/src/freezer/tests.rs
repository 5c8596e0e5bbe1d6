//! Real processes in real cgroups. Each test that finds no hierarchy it may write to says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use super::*;

/// A busy process, ended with the value.
pub(crate) struct Busy(Child);

/// Burns CPU time; its child does so too.
const LOOP: &str = "(while :; do :; done) & while :; do :; done";

impl Busy {
    pub(crate) fn start() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", LOOP]).stdin(Stdio::null());
        // Our own group, so that the child of the shell ends with it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let busy = Self(command.spawn().unwrap());
        let start = Instant::now();
        while processes::family(busy.pid()).len() < 2 {
            assert!(start.elapsed() < Duration::from_secs(5), "the shell has no child");
        }
        busy
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        processes::family(self.pid())
            .iter()
            .all(|pid| processes::stat(*pid).is_some_and(processes::Stat::is_stopped))
    }

    pub(crate) fn uses_cpu(&self) -> bool {
        let before = self.ticks();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(20));
            if self.ticks() > before + 1 {
                return true;
            }
        }
        false
    }

    fn ticks(&self) -> u64 {
        let pids = processes::family(self.pid());
        let ticks = pids.iter().map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let mut fields = stat.split(' ').skip(13).map(|text| text.parse::<u64>().unwrap_or(0));
            fields.next().unwrap_or(0) + fields.next().unwrap_or(0)
        });
        ticks.sum()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

/// A cgroup with a busy process in it, removed with the value.
pub(crate) struct Cgroup {
    directories: Vec<PathBuf>,
    pub(crate) busy: Option<Busy>,
}

impl Cgroup {
    /// In the version 2 hierarchy, if there is one we may write to.
    pub(crate) fn v2(name: &str) -> Option<Self> {
        let roots = [Path::new("/sys/fs/cgroup/unified"), Path::new("/sys/fs/cgroup")];
        let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists());
        Self::under(name, &[root?])
    }

    /// In the version 1 hierarchies of the freezer and, of the same name, of the CPU counter.
    pub(crate) fn v1(name: &str) -> Option<Self> {
        let freezer = Path::new("/sys/fs/cgroup/freezer");
        let usage = Path::new("/sys/fs/cgroup/cpuacct");
        Self::under(name, &[freezer, usage])
    }

    fn under(name: &str, roots: &[&Path]) -> Option<Self> {
        let name = format!("stillpoint-{name}-{}", std::process::id());
        let directories: Vec<_> = roots.iter().map(|root| root.join(&name)).collect();
        let mut cgroup = Self { directories, busy: None };
        let made = cgroup.directories.iter().all(|path| fs::create_dir(path).is_ok());
        if !made {
            eprintln!("left out: no cgroup hierarchy to write to");
            return None;
        }
        let busy = Busy::start();
        for pid in processes::family(busy.pid()) {
            for directory in &cgroup.directories {
                fs::write(directory.join("cgroup.procs"), pid.to_string()).unwrap();
            }
        }
        cgroup.busy = Some(busy);
        Some(cgroup)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.directories[0].clone()
    }

    pub(crate) fn busy(&self) -> &Busy {
        self.busy.as_ref().unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.directories[0].join("cgroup.freeze"), "0");
        let _ = fs::write(self.directories[0].join("freezer.state"), "THAWED");
        self.busy = None;
        for directory in &self.directories {
            // The processes need a moment to leave.
            for _ in 0..100 {
                if fs::remove_dir(directory).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[allow(clippy::unnecessary_wraps, reason = "a journal may fail to be written")]
pub(super) fn nowhere(_: Process) -> Result<(), Trouble> {
    Ok(())
}

fn freeze(freezer: &mut dyn Freezer) {
    freezer.freeze(&mut nowhere).unwrap();
    let start = Instant::now();
    while !freezer.settle(&mut nowhere).unwrap() {
        assert!(start.elapsed() < Duration::from_secs(5), "not frozen: {freezer:?}");
        thread::sleep(freezer.pause());
    }
}

fn thaw(freezer: &mut dyn Freezer) {
    let start = Instant::now();
    while !freezer.thaw().unwrap() {
        assert!(start.elapsed() < Duration::from_secs(5), "not thawed: {freezer:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn freeze_and_thaw(target: &FreezeTarget, busy: &Busy) {
    let (mut freezer, mut gauge) = (open(target, &[]).unwrap(), gauge(target).unwrap());
    assert!(!freezer.is_foreign().unwrap());
    assert!(!gauge.reading().unwrap().still);
    freeze(&mut *freezer);
    // Where the kernel counts no time frozen, the last steps may be charged late.
    thread::sleep(Duration::from_millis(20));
    let before = gauge.reading().unwrap();
    assert!(!busy.uses_cpu());
    let after = gauge.reading().unwrap();
    assert_eq!(after.break_since(&before), None, "{before:?} {after:?}");

    assert!(open(target, &[]).unwrap().is_foreign().unwrap(), "a second freezer sees the freeze");
    thaw(&mut *freezer);
    assert!(busy.uses_cpu());
    freeze(&mut *freezer);
    let later = gauge.reading().unwrap();
    assert!(later.break_since(&before).is_some(), "the thaw left no trace: {before:?} {later:?}");
    thaw(&mut *freezer);
    assert!(busy.uses_cpu());
}

#[test]
fn a_cgroup_of_version_2_stands_still_and_runs_again() {
    let Some(cgroup) = Cgroup::v2("freezer") else { return };
    freeze_and_thaw(&FreezeTarget::CgroupV2(cgroup.directory()), cgroup.busy());
}

#[test]
fn a_cgroup_of_version_1_stands_still_and_runs_again() {
    let Some(cgroup) = Cgroup::v1("freezer") else { return };
    freeze_and_thaw(&FreezeTarget::CgroupV1(cgroup.directory()), cgroup.busy());
}

#[test]
fn a_process_tree_stands_still_and_runs_again() {
    let busy = Busy::start();
    freeze_and_thaw(&FreezeTarget::ProcessTree(busy.pid()), &busy);
}

#[test]
fn a_child_that_somebody_stopped_is_not_continued() {
    let busy = Busy::start();
    let child = *processes::family(busy.pid()).iter().find(|pid| **pid != busy.pid()).unwrap();
    let handle = rustix::process::Pid::from_raw(child.cast_signed()).unwrap();
    rustix::process::kill_process(handle, rustix::process::Signal::STOP).unwrap();
    while !processes::is_still(child) {}
    let mut freezer = open(&FreezeTarget::ProcessTree(busy.pid()), &[]).unwrap();
    freeze(&mut *freezer);
    thaw(&mut *freezer);
    assert!(processes::stat(child).unwrap().is_stopped());
    assert!(busy.uses_cpu());
}

#[test]
fn nobody_freezes_the_one_who_must_thaw_nor_whom_that_one_needs() {
    let own = FreezeTarget::ProcessTree(std::process::id());
    assert!(matches!(open(&own, &[]), Err(FreezerError::Needed { .. })));
    let busy = Busy::start();
    let engine = Needed { pid: busy.pid(), what: "the engine".to_owned() };
    let error = open(&FreezeTarget::ProcessTree(busy.pid()), std::slice::from_ref(&engine));
    assert_eq!(error.unwrap_err().to_string(), "it holds the engine, which must not be frozen");
    let Some(cgroup) = Cgroup::v2("needed") else { return };
    let inside = Needed { pid: cgroup.busy().pid(), ..engine };
    assert!(open(&FreezeTarget::CgroupV2(cgroup.directory()), &[inside]).is_err());
}

#[test]
fn a_target_that_is_gone_is_an_error_that_names_it() {
    let gone = PathBuf::from("/sys/fs/cgroup/unified/no-such");
    let error = open(&FreezeTarget::CgroupV2(gone), &[]).unwrap_err();
    assert!(error.to_string().contains("no-such/cgroup.freeze"), "{error}");
    assert!(open(&FreezeTarget::ProcessTree(0), &[]).is_err());
    assert!(open(&FreezeTarget::ProcessTree(u32::MAX), &[]).is_err());
}

#[test]
fn a_cgroup_that_ends_while_frozen_is_thawed_at_once() {
    let Some(mut cgroup) = Cgroup::v2("ends") else { return };
    let mut freezer = open(&FreezeTarget::CgroupV2(cgroup.directory()), &[]).unwrap();
    freezer.freeze(&mut nowhere).unwrap();
    cgroup.busy = None;
    let start = Instant::now();
    while fs::remove_dir(cgroup.directory()).is_err() {
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(freezer.settle(&mut nowhere), Err(Trouble::Gone));
    assert!(freezer.thaw().unwrap());
    assert!(!freezer.notice());
    assert!(freezer.events().is_none());
}

#[test]
fn every_process_is_noted_before_it_is_stopped_and_one_that_is_not_runs_on() {
    let busy = Busy::start();
    let mut noted = Vec::new();
    let mut freezer = open(&FreezeTarget::ProcessTree(busy.pid()), &[]).unwrap();
    freezer
        .freeze(&mut |process| {
            assert!(!processes::stat(process.pid).unwrap().is_stopped());
            noted.push(process);
            Ok(())
        })
        .unwrap();
    while !freezer.settle(&mut nowhere).unwrap() {}
    assert_eq!(noted.len(), 2, "{noted:?}");
    for process in noted {
        let namesake = Process { started: process.started + 1, ..process };
        assert!(resume(namesake).unwrap());
        assert!(processes::stat(process.pid).unwrap().is_stopped(), "another one was meant");
        while !resume(process).unwrap() {}
        assert!(!processes::stat(process.pid).unwrap().is_stopped());
    }
    let mut freezer = open(&FreezeTarget::ProcessTree(busy.pid()), &[]).unwrap();
    assert_eq!(freezer.freeze(&mut |_| Err(Trouble::Full)), Err(Trouble::Full));
    assert!(busy.uses_cpu());
}
