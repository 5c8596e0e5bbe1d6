//! Hooks run before and after the freeze, whatever happens.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::containers::{BUSYBOX, Container, belongs_to, bind, docker, unique};
use tests::directory::Directory;
use tests::lab;
use tests::world::World;

/// An idle container whose hooks write into its volume.
struct Subject {
    world: World,
    name: String,
    volume: PathBuf,
    container: Container,
    _directory: Directory,
}

impl Subject {
    fn new(labels: &[(&str, &str)]) -> Self {
        let directory = Directory::inside(&lab::btrfs());
        let volume = directory.volume("data");
        let name = unique("hooked");
        let mut arguments = vec![belongs_to(&name), bind(&volume, "/data")];
        arguments.extend(labels.iter().map(|(label, value)| format!("--label={label}={value}")));
        arguments.extend([BUSYBOX, "sleep", "600"].map(str::to_owned));
        let container = Container::run(&name, arguments);
        Self { world: World::new(), name, volume, container, _directory: directory }
    }

    fn backup(&self) -> Value {
        self.world.json(["backup", &self.name])
    }

    /// What lies in the volume.
    fn files(&self) -> Vec<String> {
        names(&self.volume)
    }

    /// What the newest point has of it.
    fn stored(&self) -> Vec<String> {
        let target = Directory::inside(&lab::btrfs());
        let to = target.join("restored");
        self.world.json(["restore", "latest", "--to", to.to_str().unwrap()]);
        names(&to.join(self.volume.strip_prefix("/").unwrap()))
    }

    fn wait_for(&self, file: &str) {
        let begin = Instant::now();
        while !self.volume.join(file).exists() {
            assert!(begin.elapsed() < Duration::from_secs(30), "no {file}: {:?}", self.files());
            sleep(Duration::from_millis(20));
        }
    }

    fn wait_without(&self, file: &str) {
        let begin = Instant::now();
        while self.volume.join(file).exists() {
            assert!(begin.elapsed() < Duration::from_secs(30), "{file} stays");
            sleep(Duration::from_millis(20));
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const HOLD: &str = "touch /data/held; echo held; cat >/dev/null; rm /data/held";

#[test]
fn what_hooks_do_before_is_in_the_point_and_what_they_do_after_is_not() {
    let subject = Subject::new(&[
        ("stillpoint.hook.pre", r#"["touch", "/data/pre"]"#),
        ("stillpoint.hook.hold", HOLD),
        ("stillpoint.hook.post", "touch /data/post"),
    ]);
    let report = subject.backup();
    assert_eq!(report["level"], "application", "{report}");
    assert_eq!(subject.stored(), ["held", "pre"]);
    assert_eq!(subject.files(), ["post", "pre"]);
    let point = subject.world.json(["show", "latest"]);
    let hooks = point["evidence"]["hooks"].as_array().unwrap();
    let window = point["evidence"]["window_micros"].as_i64().unwrap();
    let when: Vec<(&str, bool, bool)> = hooks
        .iter()
        .map(|hook| {
            let at = |time: &str| hook[time].as_i64().unwrap();
            let (begin, end) = (at("begin_micros"), at("end_micros"));
            (hook["hook"].as_str().unwrap(), begin < 0, end > window)
        })
        .collect();
    assert_eq!(when, [("pre", true, false), ("hold", true, true), ("post", false, true)]);
    let shown = subject.world.stillpoint(["show", "latest"]).succeeded().clone();
    assert!(shown.stdout.contains("HOOK"), "{}", shown.stdout);
    let apps = subject.world.json(["apps"]);
    let apps = apps.as_array().unwrap();
    let app = apps.iter().find(|app| app["name"] == subject.name.as_str()).unwrap();
    assert_eq!(app["members"][0]["hooks"], serde_json::json!(["pre", "hold", "post"]));

    fs::remove_file(subject.volume.join("pre")).unwrap();
    let trial = subject.world.json(["quiesce", &subject.name, "--test"]);
    assert_eq!(trial["hooks"].as_array().unwrap().len(), 3, "{trial}");
    assert_eq!(subject.files(), ["post", "pre"]);
    fs::remove_file(subject.volume.join("pre")).unwrap();
    let without = subject.world.json(["backup", &subject.name, "--no-hooks"]);
    assert_eq!(without["level"], "crash");
    assert_eq!(subject.files(), ["post"]);
}

#[test]
fn a_hook_that_fails_fails_the_point_and_those_after_the_freeze_run_all_the_same() {
    let subject = Subject::new(&[
        ("stillpoint.hook.pre", "echo no such table >&2; exit 3"),
        ("stillpoint.hook.post", "touch /data/post"),
    ]);
    let failed = subject.world.stillpoint(["backup", &subject.name]);
    failed.failed(1, "--no-hooks");
    assert!(failed.stderr.contains("status 3, and said: no such table"), "{}", failed.stderr);
    assert_eq!(subject.files(), ["post"]);
    assert_eq!(subject.world.json(["points"]), serde_json::json!([]));
    let trial = subject.world.stillpoint(["quiesce", &subject.name, "--test"]).ended(1).clone();
    assert!(trial.stdout.contains("refused: hook `pre`"), "{}", trial.stdout);
    // The session that it had begun does not keep a prune waiting.
    subject.world.stillpoint(["prune"]).succeeded();
}

#[test]
fn a_hook_that_may_fail_lowers_the_level() {
    let subject = Subject::new(&[
        ("stillpoint.hook.pre", "exit 1"),
        ("stillpoint.hook.on-error", "continue"),
    ]);
    let report = subject.backup();
    assert_eq!(report["level"], "crash");
    assert!(report["remarks"][0].as_str().unwrap().contains("hook `pre`"), "{report}");
}

#[test]
fn a_hook_that_takes_too_long_is_ended_with_what_it_started() {
    let subject = Subject::new(&[
        ("stillpoint.hook.pre", "sleep 500 & sleep 501"),
        ("stillpoint.hook.timeout", "1s"),
    ]);
    subject.world.stillpoint(["backup", &subject.name]).failed(1, "within 1000 ms");
    assert!(!subject.container.shell("ps").contains("sleep 50"), "it runs still");
}

#[test]
fn what_is_not_held_until_the_thaw_fails_the_point() {
    // It lets go by itself, before it is told to.
    let early = ("stillpoint.hook.hold", "echo held; exit 0");
    let subject = Subject::new(&[early, ("stillpoint.hook.post", "touch /data/post")]);
    subject.world.stillpoint(["backup", &subject.name]).failed(1, "ended too early");
    assert_eq!(subject.files(), ["post"]);
    assert_eq!(subject.world.json(["points"]), serde_json::json!([]));
    // It says at the end that it was lost.
    let late = ("stillpoint.hook.hold", "echo held; cat >/dev/null; exit 7");
    let subject = Subject::new(&[late]);
    subject.world.stillpoint(["backup", &subject.name]).failed(1, "did not hold until the thaw");
    // Silence is no sign that something is held.
    let subject = Subject::new(&[
        ("stillpoint.hook.hold", "echo not yet >&2; cat >/dev/null"),
        ("stillpoint.hook.timeout", "1s"),
    ]);
    subject.world.stillpoint(["backup", &subject.name]).failed(1, "said: not yet");
    // Where it may fail there is a point, which does not claim it.
    for hold in [early, late, ("stillpoint.hook.hold", r#"["/no/such/program"]"#)] {
        let subject = Subject::new(&[hold, ("stillpoint.hook.on-error", "continue")]);
        let report = subject.backup();
        assert_eq!(report["level"], "crash", "{report}");
        assert!(report["remarks"][0].as_str().unwrap().contains("hook `hold`"), "{report}");
    }
}

#[test]
fn databases_that_cannot_be_reached_cost_the_level_and_no_more() {
    for image in ["lab/mariadb:10", "lab/postgres:15", "lab/redis:7"] {
        let directory = Directory::inside(&lab::btrfs());
        let name = unique("silent");
        let volume = bind(&directory.volume("data"), "/data");
        let arguments = [&belongs_to(&name), &volume, "--entrypoint=sleep", image, "600"];
        let _container = Container::run(&name, arguments);
        let (world, begin) = (World::new(), Instant::now());
        let report = world.json(["backup", &name]);
        assert_eq!(report["level"], "crash", "{report}");
        assert!(report["remarks"][0].as_str().unwrap().contains("failed: it ended"), "{report}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{image}: {:?}", begin.elapsed());
    }
}

#[test]
fn what_cannot_be_done_now_is_owed_until_it_can() {
    let mut subject = Subject::new(&[
        ("stillpoint.hook.hold", "touch /data/held; cat >/dev/null; rm /data/held"),
        ("stillpoint.hook.post", "touch /data/post"),
    ]);
    let backup = subject.world.start(["backup", &subject.name]);
    subject.wait_for("held");
    backup.kill();
    subject.wait_without("held");
    // Something else in the directory harms nothing.
    fs::write(subject.world.state().join("hooks/garbage.json"), "{").unwrap();
    docker(["pause", subject.container.name()]);
    let told = subject.world.stillpoint(["thaw"]).ended(1).clone();
    assert!(told.stdout.contains("is owed: it does not run"), "{told:?}");
    assert!(told.stdout.contains("garbage.json"), "{told:?}");
    docker(["unpause", subject.container.name()]);
    subject.world.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    subject.world.stillpoint(["thaw"]).ended(1);
    assert_eq!(subject.files(), [""; 0]);
    subject.world.set("DOCKER_HOST", lab::docker());
    subject.world.stillpoint(["thaw"]).ended(1);
    assert_eq!(subject.files(), ["post"]);
    fs::remove_file(subject.world.state().join("hooks/garbage.json")).unwrap();
    subject.world.stillpoint(["thaw"]).succeeded();
}

#[test]
fn when_a_backup_is_killed_nothing_stays_held_and_the_next_command_does_what_is_owed() {
    let subject = Subject::new(&[
        ("stillpoint.hook.hold", "touch /data/held; cat >/dev/null; rm /data/held"),
        ("stillpoint.hook.post", "touch /data/post"),
    ]);
    for next in [&["thaw"][..], &["points"], &["quiesce", &subject.name, "--test", "--no-hooks"]] {
        // It waits for a sign that never comes.
        let backup = subject.world.start(["backup", &subject.name]);
        subject.wait_for("held");
        backup.kill();
        subject.wait_without("held");
        assert_eq!(subject.files(), [""; 0]);
        subject.world.stillpoint(next).succeeded();
        assert_eq!(subject.files(), ["post"], "after {next:?}");
        fs::remove_file(subject.volume.join("post")).unwrap();
        subject.world.stillpoint(["thaw"]).succeeded();
        assert_eq!(subject.files(), [""; 0], "only once");
    }
    // Ctrl-C leaves nothing to others.
    let backup = subject.world.start(["backup", &subject.name]);
    subject.wait_for("held");
    let process = Pid::from_raw(backup.id().try_into().unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
    backup.finish().ended(130);
    subject.wait_without("held");
    assert_eq!(subject.files(), ["post"]);
}

#[test]
fn nothing_is_owed_to_a_container_that_is_gone() {
    let subject = Subject::new(&[
        ("stillpoint.hook.pre", "touch /data/begun; sleep 600"),
        ("stillpoint.hook.post", "touch /data/post"),
    ]);
    let backup = subject.world.start(["backup", &subject.name]);
    subject.wait_for("begun");
    backup.kill();
    let Subject { world, container, .. } = subject;
    drop(container);
    let done = world.stillpoint(["thaw"]).succeeded().clone();
    assert!(done.stdout.contains("nothing is frozen"), "{done:?}");
}

#[test]
fn hooks_of_other_tools_and_of_the_configuration_are_understood() {
    let subject = Subject::new(&[
        ("docker-volume-backup.archive-pre", "/bin/sh -c 'touch \"/data/a b\"'"),
        ("docker-volume-backup.archive-post", "touch /data/archived"),
        ("docker-volume-backup.archive-post.user", "nobody"),
    ]);
    // The second one may not write there, which is told and lowers nothing.
    let report = subject.backup();
    assert_eq!(report["level"], "application", "{report}");
    assert!(report["remarks"][0].as_str().unwrap().contains("Permission denied"), "{report}");
    assert_eq!(subject.files(), ["a b"]);

    let subject = Subject::new(&[
        ("pre.hook.backup.velero.io/command", r#"["touch", "/data/velero"]"#),
        ("pre.hook.backup.velero.io/timeout", "10s"),
    ]);
    assert_eq!(subject.backup()["level"], "application");
    assert_eq!(subject.stored(), ["velero"]);

    let config = subject.volume.join("config.toml");
    let text = format!("[hooks.{0}.{0}]\npre = 'touch /data/configured'\n", subject.name);
    fs::write(&config, text).unwrap();
    subject
        .world
        .stillpoint(["--config", config.to_str().unwrap(), "backup", &subject.name])
        .succeeded();
    assert_eq!(subject.stored(), ["config.toml", "configured", "velero"]);
}

#[test]
fn hooks_that_make_no_sense_are_named_before_anything_is_run() {
    let subject = Subject::new(&[
        ("stillpoint.hook.pre", "touch /data/pre"),
        ("stillpoint.hook.befor", "touch /data/pre"),
    ]);
    subject.world.stillpoint(["backup", &subject.name]).failed(1, "stillpoint.hook.befor");
    let apps = subject.world.stillpoint(["apps"]).succeeded().clone();
    assert!(apps.stdout.contains("refused: the hooks of container"), "{}", apps.stdout);
    assert_eq!(subject.files(), [""; 0]);
}

#[test]
fn without_a_freeze_nothing_is_held_and_what_comes_after_waits_until_everything_is_read() {
    let subject = Subject::new(&[
        ("stillpoint.hook.pre", "touch /data/pre"),
        ("stillpoint.hook.hold", HOLD),
        ("stillpoint.hook.post", "rm /data/pre; touch /data/post"),
    ]);
    let report = subject.world.json(["backup", &subject.name, "--no-freeze"]);
    assert_eq!(report["level"], "fuzzy");
    assert_eq!(subject.stored(), ["pre"]);
    assert_eq!(subject.files(), ["post"]);
}
