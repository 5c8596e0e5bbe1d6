//! Journals of wardens that died at every step, with real processes.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::freezer::tests::{Busy, Cgroup};
use crate::freezer::{self, Freezer};

/// A warden that has died: its journal is there, and its lock is not.
struct Dead {
    journals: TempDir,
    targets: Vec<FreezeTarget>,
    freezers: Vec<Box<dyn Freezer>>,
    journal: Option<Journal>,
}

impl Dead {
    fn of(targets: Vec<FreezeTarget>) -> Self {
        let journals = tempfile::tempdir().unwrap();
        let journal = Some(Journal::create(journals.path(), "run", &targets).unwrap());
        let freezers = targets.iter().map(|target| freezer::open(target, &[]).unwrap()).collect();
        Self { journals, targets, freezers, journal }
    }

    fn freeze(&mut self, target: usize) {
        let journal = self.journal.as_mut().unwrap();
        journal.mark(target, Mark::Frozen).unwrap();
        let freezer = &mut self.freezers[target];
        freezer.freeze(&mut |process| journal.note(target, process)).unwrap();
        while !freezer.settle(&mut |process| journal.note(target, process)).unwrap() {}
    }

    fn is_frozen(&self, target: usize) -> bool {
        freezer::open(&self.targets[target], &[]).unwrap().is_foreign().unwrap()
    }

    fn die(&mut self) {
        self.journal = None;
        self.freezers.clear();
    }

    fn sweep(&self, which: Which) -> Swept {
        sweep(self.journals.path(), which)
    }

    fn files(&self) -> usize {
        fs::read_dir(self.journals.path()).unwrap().count()
    }
}

fn thawed(swept: &Swept) -> usize {
    assert_eq!(swept.failures, [""; 0]);
    swept.thawed.len()
}

#[test]
fn whatever_a_dead_warden_froze_is_thawed_at_every_step() {
    let busy = Busy::start();
    let cgroups = [Cgroup::v1("sweep"), Cgroup::v2("sweep")];
    let mut targets = vec![FreezeTarget::ProcessTree(busy.pid())];
    targets.extend(cgroups[0].as_ref().map(|c| FreezeTarget::CgroupV1(c.directory())));
    targets.extend(cgroups[1].as_ref().map(|c| FreezeTarget::CgroupV2(c.directory())));
    for frozen in 0..=targets.len() {
        let mut dead = Dead::of(targets.clone());
        (0..frozen).for_each(|target| dead.freeze(target));
        dead.die();
        let start = Instant::now();
        assert_eq!(thawed(&dead.sweep(Which::Abandoned)), frozen);
        println!("{frozen} targets thawed within {:?}", start.elapsed());
        assert!((0..targets.len()).all(|target| !dead.is_frozen(target)));
        assert_eq!(dead.files(), 0);
        assert_eq!(thawed(&dead.sweep(Which::All)), 0, "and that was it");
    }
    assert!(busy.uses_cpu());
}

#[test]
fn a_warden_at_work_is_left_alone_until_it_is_overdue() {
    // Its own process stands for the warden, so nothing here may end it.
    let busy = Busy::start();
    let mut dead = Dead::of(vec![FreezeTarget::ProcessTree(busy.pid())]);
    dead.freeze(0);
    dead.journal
        .as_ref()
        .unwrap()
        .begin(Moment::now().after(std::time::Duration::from_mins(1)))
        .unwrap();
    assert_eq!(dead.sweep(Which::Abandoned), Swept::default());
    assert!(dead.is_frozen(0));
    dead.die();
    assert_eq!(thawed(&dead.sweep(Which::Abandoned)), 1);
}

#[test]
fn what_was_thawed_already_is_not_touched_again() {
    let busy = Busy::start();
    let mut dead = Dead::of(vec![FreezeTarget::ProcessTree(busy.pid())]);
    dead.freeze(0);
    assert!(dead.freezers[0].thaw().unwrap());
    dead.journal.as_ref().unwrap().mark(0, Mark::Thawed).unwrap();
    // Somebody else's business.
    let pid = rustix::process::Pid::from_raw(busy.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    while !dead.is_frozen(0) {}
    dead.die();
    assert_eq!(thawed(&dead.sweep(Which::All)), 0);
    assert!(dead.is_frozen(0));
}

#[test]
fn a_cgroup_of_the_same_name_is_another_one() {
    let Some(cgroup) = Cgroup::v2("again") else { return };
    let directory = cgroup.directory();
    let mut dead = Dead::of(vec![FreezeTarget::CgroupV2(directory.clone())]);
    dead.freeze(0);
    dead.die();
    drop(cgroup);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("cgroup.freeze"), "1").unwrap();
    assert_eq!(thawed(&dead.sweep(Which::All)), 0);
    let told = fs::read_to_string(directory.join("cgroup.freeze")).unwrap();
    fs::remove_dir(&directory).unwrap();
    assert_eq!(told.trim(), "1");
    assert_eq!(dead.files(), 0);
}

#[test]
fn a_journal_of_another_boot_names_nothing() {
    let busy = Busy::start();
    let mut dead = Dead::of(vec![FreezeTarget::ProcessTree(busy.pid())]);
    dead.freeze(0);
    dead.die();
    let path = path_of(dead.journals.path(), "run");
    let text = fs::read(&path).unwrap();
    let boot = record::boot().unwrap();
    let text = String::from_utf8(text).unwrap().replace(&boot, "another");
    fs::write(&path, text).unwrap();
    assert_eq!(dead.sweep(Which::All), Swept::default());
    assert_eq!(dead.files(), 0);
    assert!(dead.is_frozen(0));
}

#[test]
fn what_was_begun_and_not_named_is_removed_and_what_is_not_ours_stays() {
    let mut dead = Dead::of(Vec::new());
    fs::rename(path_of(dead.journals.path(), "run"), dead.journals.path().join("run.new")).unwrap();
    fs::write(dead.journals.path().join("notes"), "x").unwrap();
    assert_eq!(dead.sweep(Which::Abandoned), Swept::default());
    assert_eq!(dead.files(), 2, "it is being written");
    dead.die();
    assert_eq!(dead.sweep(Which::Abandoned), Swept::default());
    assert_eq!(dead.files(), 1);
}

#[test]
fn a_journal_that_makes_no_sense_is_a_failure_that_names_it() {
    let dead = Dead::of(Vec::new());
    fs::write(dead.journals.path().join("odd.journal"), "{}\n").unwrap();
    let swept = dead.sweep(Which::Abandoned);
    assert_eq!(swept.failures.len(), 1, "{swept:?}");
    assert!(swept.failures[0].contains("odd.journal"), "{swept:?}");
}

#[test]
fn a_directory_that_others_may_write_is_not_believed() {
    let dead = Dead::of(Vec::new());
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(dead.journals.path(), open).unwrap();
    assert_eq!(dead.sweep(Which::All).failures.len(), 1);
    assert!(Journal::create(dead.journals.path(), "next", &[]).is_err());
    assert_eq!(sweep(Path::new("/nowhere/at/all"), Which::All), Swept::default());
}

#[test]
fn processes_beyond_the_room_for_them_are_refused() {
    let busy = Busy::start();
    let mut dead = Dead::of(vec![FreezeTarget::ProcessTree(busy.pid())]);
    let process = Process::of(std::process::id()).unwrap();
    let journal = dead.journal.as_mut().unwrap();
    let fits = (0..10_000).take_while(|_| journal.note(0, process).is_ok()).count();
    assert_eq!(fits, 4096);
    assert_eq!(journal.note(0, process), Err(Trouble::Full));
}
