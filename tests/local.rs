//! Snapshots that stay on this host: taken, listed, put back, removed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tests::compare::assert_same;
use tests::containers::{BUSYBOX, Container, belongs_to, bind, docker, unique};
use tests::directory::{Directory, Filesystem, run, subvolume};
use tests::every_kind::noise;
use tests::lab;
use tests::sequence::{self, Sequence};
use tests::world::{Running, World};

fn stop(application: &Sequence) {
    let names = application.members().iter().map(Container::name);
    docker(["stop", "--time", "0"].into_iter().chain(names));
}

fn local(world: &World, application: &Sequence) -> Vec<Value> {
    let rows = world.json(["points", "--local", "--app", application.name()]);
    rows.as_array().unwrap().clone()
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

/// The names of snapshots on the filesystem that is mounted there.
fn leftovers(mount: &Path) -> Vec<String> {
    let entries = fs::read_dir(mount.join(".stillpoint")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn a_snapshot_is_put_back_and_that_is_undone() {
    for parent in [lab::btrfs(), lab::xfs()] {
        let application = Sequence::start(3, &parent);
        let world = World::empty();
        let taken = world.json(["snapshot", application.name()]);
        assert_eq!(taken["level"], "crash", "{taken}");
        assert_eq!(taken["volumes"].as_array().unwrap().len(), 4, "{taken}");
        application.goes_on(Duration::from_secs(20));
        let refused = world.stillpoint(["restore", "--local", &id(&taken)]);
        refused.failed(1, "is running: stop it first");

        stop(&application);
        let before = Directory::new();
        run(Command::new("cp").arg("-a").args(application.volumes()).arg(before.path()));
        let ahead = application.progress();
        let plan = world.json(["restore", "--local", &id(&taken), "--plan"]);
        assert_eq!(plan["conflicts"].as_array().unwrap().len(), 0, "{plan}");
        let report = world.json(["restore", "--local", &id(&taken)]);
        assert!(report["replaced"].as_u64().unwrap() > 0, "{report}");
        sequence::check(&application.volumes()).unwrap();
        assert!(application.progress() < ahead, "nothing came back");
        // A container sees it in what it has mounted.
        let first = &application.members()[0];
        docker(["start", first.name()]);
        first.wait_for("test -s /volume/log");
        docker(["stop", "--time", "0", first.name()]);

        let rows = local(&world, &application);
        assert_eq!(
            rows.iter().map(id).collect::<Vec<_>>(),
            [report["before"].as_str().unwrap(), &id(&taken)]
        );
        world.json(["restore", "--local", "latest", "--app", application.name()]);
        for volume in application.volumes() {
            assert_same(&before.path().join(volume.file_name().unwrap()), &volume);
        }
        for row in local(&world, &application) {
            world.stillpoint(["forget", "--local", &id(&row)]).succeeded();
        }
        assert_eq!(local(&world, &application).len(), 0);
        assert_eq!(leftovers(&parent), [""; 0]);
    }
}

#[test]
fn the_oldest_snapshots_go_and_others_are_not_touched() {
    let [one, other] = [1, 2].map(|members| Sequence::start(members, &lab::btrfs()));
    let world = World::empty();
    let kept = id(&world.json(["snapshot", other.name()]));
    let mut taken: Vec<String> = Vec::new();
    for _ in 0..4 {
        let report = world.json(["snapshot", one.name(), "--keep", "2"]);
        let expected = taken.len().checked_sub(2).map(|oldest| taken[oldest].clone());
        let removed = report["removed"].as_array().unwrap().iter().map(|id| id.as_str().unwrap());
        assert!(removed.eq(expected.as_deref()), "{report}");
        taken.push(id(&report));
    }
    let ids: Vec<_> = local(&world, &one).iter().map(id).collect();
    assert_eq!(ids, [taken[3].as_str(), &taken[2]]);
    assert_eq!(local(&world, &other).iter().map(id).collect::<Vec<_>>(), [kept.as_str()]);
    let dry = world.json(["forget", "--local", "--dry-run", &kept]);
    assert_eq!(dry["snapshots"][0], kept.as_str());
    for id in [&kept, &taken[2], &taken[3]] {
        world.stillpoint(["forget", "--local", id]).succeeded();
    }
    world.stillpoint(["forget", "--local", &kept]).failed(1, "there is no local snapshot");
}

#[test]
fn a_backup_beside_snapshots_leaves_them_and_is_whole() {
    let application = Sequence::start(2, &lab::xfs());
    let world = World::new();
    let taken = id(&world.json(["snapshot", application.name()]));
    for round in 0..2 {
        world.json(["backup", application.name()]);
        let target = world.path(&round.to_string());
        world
            .stillpoint([
                "restore".into(),
                "latest".into(),
                "--to".into(),
                target.clone().into_os_string(),
            ])
            .succeeded();
        sequence::check(&application.restored(&target)).unwrap();
    }
    assert_eq!(local(&world, &application).iter().map(id).collect::<Vec<_>>(), [taken.as_str()]);
    world.stillpoint(["forget", "--local", &taken]).succeeded();
}

#[test]
fn of_a_large_file_only_what_was_written_since_the_kept_snapshot_is_read() {
    const MIB: u64 = 1 << 20;
    for filesystem in [lab::btrfs(), lab::xfs()] {
        let directory = Directory::inside(&filesystem);
        let volume = directory.volume("data");
        let file = volume.join("large");
        fs::write(&file, noise(7, 96 << 20)).unwrap();
        let (name, mount) = (unique("local"), bind(&volume, "/volume"));
        let belongs = belongs_to(&name);
        let _container = Container::run(&name, [&belongs, &mount, BUSYBOX, "sleep", "9999"]);
        let world = World::new();
        let backup = ["backup", &name, "--keep-local", "1"];
        let read = |report: &Value| report["statistics"]["read"].as_u64().unwrap();
        assert!(read(&world.json(backup)) >= 96 * MIB);
        for round in 0..3 {
            let open = File::options().write(true).open(&file).unwrap();
            for place in [5, 50, 51] {
                open.write_all_at(&noise(place + round, 9000), place * MIB + 77).unwrap();
            }
            // Holes and the end of a file change, too.
            run(Command::new("fallocate").args(["-p", "-o", "30MiB", "-l", "1MiB"]).arg(&file));
            open.set_len(96 * MIB + round * 5001).unwrap();
            let report = world.json(backup);
            let count = read(&report);
            assert!((9000..40 * MIB).contains(&count), "round {round}: {report}");
            let rows = world.json(["points", "--local", "--app", &name]);
            let ids: Vec<_> = rows.as_array().unwrap().iter().map(id).collect();
            assert_eq!(ids, [report["point"].as_str().unwrap()]);
            let target = world.path(&format!("target-{round}"));
            world.stillpoint(["restore", "latest", "--to", target.to_str().unwrap()]).succeeded();
            assert_same(&volume, &target.join(volume.strip_prefix("/").unwrap()));
        }
        // Without it everything is read again.
        world.json(["backup", &name]);
        let open = File::options().write(true).open(&file).unwrap();
        open.write_all_at(b"x", 9 * MIB).unwrap();
        assert!(read(&world.json(["backup", &name])) >= 90 * MIB);
        let report = world.json(["check", "--read-data"]);
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
        for row in world.json(["points", "--local", "--app", &name]).as_array().unwrap() {
            world.stillpoint(["forget", "--local", &id(row)]).succeeded();
        }
        assert_eq!(leftovers(&filesystem), [""; 0]);
    }
}

#[test]
fn where_no_snapshot_can_stay_it_is_refused_before_anything_is_frozen() {
    let application = Sequence::start(1, &std::env::temp_dir());
    let world = World::empty();
    let refused = world.stillpoint(["snapshot", application.name()]);
    refused.failed(1, "it would be read in the freeze");
    let world = World::new();
    let refused = world.stillpoint(["backup", application.name(), "--keep-local", "1"]);
    refused.failed(1, "it would be read in the freeze");
    assert!(!application.is_frozen());
    assert_eq!(local(&world, &application).len(), 0);
}

#[test]
fn what_a_killed_snapshot_leaves_is_cleared_away_by_the_next() {
    let parent = lab::btrfs();
    let application = Sequence::start(4, &parent);
    let world = World::empty();
    for round in 0..12 {
        let running = world.start(["snapshot", application.name()]);
        sleep(Duration::from_millis(40 * round));
        running.kill();
    }
    world.json(["snapshot", application.name()]);
    application.goes_on(Duration::from_secs(20));
    for row in local(&world, &application) {
        assert_eq!(row["missing"].as_array().unwrap().len(), 0, "{row}");
        world.stillpoint(["forget", "--local", &id(&row)]).succeeded();
    }
    assert_eq!(leftovers(&parent), [""; 0]);
}

#[test]
fn a_restore_that_is_killed_is_known_and_done_by_the_next() {
    let application = with_many_files();
    let world = World::new();
    let taken = id(&world.json(["snapshot", application.name()]));
    stop(&application);
    let mut cut_off = 0;
    for round in 0..12 {
        for volume in application.volumes() {
            fs::write(volume.join(round.to_string()), "changed").unwrap();
        }
        let mut running = world.start(["restore", "--local", &taken]);
        if round > 3 {
            wait_until_it_changes(&world, &mut running);
        }
        sleep(Duration::from_millis(25 * (round % 4)));
        running.kill();
        let refused = world.stillpoint(["backup", application.name()]);
        if refused.code != Some(0) {
            refused.failed(1, "was cut off");
            // What is the latest is not for us to guess.
            let latest = ["restore", "--local", "latest", "--app", application.name()];
            world.stillpoint(latest).failed(1, &taken);
            world.stillpoint(["forget", "--local", &taken]).failed(1, "is needed");
            cut_off += 1;
        }
        let report = world.json(["restore", "--local", &taken]);
        sequence::check(&application.volumes()).unwrap();
        for volume in application.volumes() {
            assert_eq!(fs::read(volume.join(round.to_string())).unwrap(), b"x");
            assert_eq!(fs::read_dir(&volume).unwrap().count(), FILES + 1);
        }
        // What the cut-off one left is kept, too.
        let rows = local(&world, &application);
        let before = report["before"].as_str().unwrap();
        assert_eq!(id(&rows[0]), before);
        for row in rows.iter().filter(|row| id(row) != taken) {
            world.stillpoint(["forget", "--local", &id(row)]).succeeded();
        }
    }
    assert!(cut_off > 0, "none was cut off while it replaced files");
    world.stillpoint(["backup", application.name()]).succeeded();
    world.stillpoint(["forget", "--local", &taken]).succeeded();
}

#[test]
fn a_restore_that_was_cut_off_is_taken_back() {
    let application = with_many_files();
    let world = World::empty();
    let taken = id(&world.json(["snapshot", application.name()]));
    stop(&application);
    for volume in application.volumes() {
        fs::write(volume.join("0"), "changed").unwrap();
    }
    let mut running = world.start(["restore", "--local", &taken]);
    wait_until_it_changes(&world, &mut running);
    running.kill();
    let note = world.stillpoint(["snapshot", application.name()]);
    note.failed(1, "what was there before is ");
    let before = note.stderr.split("what was there before is ").nth(1).unwrap();
    world.stillpoint(["restore", "--local", &before[..8]]).succeeded();
    for volume in application.volumes() {
        assert_eq!(fs::read(volume.join("0")).unwrap(), b"changed");
    }
    for row in local(&world, &application) {
        world.stillpoint(["forget", "--local", &id(&row)]).succeeded();
    }
}

#[test]
fn of_two_restores_at_once_one_is_refused() {
    let application = with_many_files();
    let world = World::empty();
    let taken = id(&world.json(["snapshot", application.name()]));
    stop(&application);
    let mut running = world.start(["restore", "--local", &taken]);
    wait_until_it_changes(&world, &mut running);
    let refused = world.stillpoint(["restore", "--local", &taken]);
    // Where the first was quick there is nothing to refuse.
    if !running.has_ended() {
        refused.failed(1, "a local snapshot is being put back into it");
    }
    running.finish().succeeded();
    world.stillpoint(["snapshot", application.name()]).succeeded();
    sequence::check(&application.volumes()).unwrap();
    for row in local(&world, &application) {
        world.stillpoint(["forget", "--local", &id(&row)]).succeeded();
    }
}

#[test]
fn on_btrfs_names_of_one_file_stay_together_and_subvolumes_are_told() {
    let btrfs = Filesystem::btrfs(128);
    let data = btrfs.path().join("data");
    subvolume(&data);
    for name in ["a", "b", "c"] {
        fs::write(data.join(name), name).unwrap();
        fs::hard_link(data.join(name), data.join(format!("{name}-too"))).unwrap();
    }
    let volume = bind(&data, "/volume");
    let name = unique("local");
    let belongs = belongs_to(&name);
    let container = Container::run(&name, [&belongs, &volume, BUSYBOX, "sleep", "9999"]);
    let world = World::empty();
    // So that no time of change is too near to the snapshot's.
    sleep(Duration::from_secs(3));
    let taken = id(&world.json(["snapshot", &name]));
    docker(["stop", "--time", "0", container.name()]);
    fs::remove_file(data.join("a")).unwrap();
    fs::remove_file(data.join("b-too")).unwrap();
    subvolume(&data.join("new"));
    world.stillpoint(["restore", "--local", &taken]).failed(1, "lies in volume");
    run(Command::new("btrfs").args(["--quiet", "subvolume", "delete"]).arg(data.join("new")));
    let report = world.json(["restore", "--local", &taken]);
    for name in ["a", "b", "c"] {
        let [one, other] = [name.to_owned(), format!("{name}-too")]
            .map(|name| fs::metadata(data.join(name)).unwrap());
        assert_eq!((one.ino(), one.nlink()), (other.ino(), 2), "{name}: {report}");
        assert_eq!(fs::read_to_string(data.join(name)).unwrap(), name);
    }
    for id in [&taken, report["before"].as_str().unwrap()] {
        world.stillpoint(["forget", "--local", id]).succeeded();
    }
}

#[test]
fn a_container_that_is_started_meanwhile_is_told() {
    let application = with_many_files();
    let world = World::new();
    let taken = id(&world.json(["snapshot", application.name()]));
    stop(&application);
    let mut running = world.start(["restore", "--local", &taken]);
    wait_until_it_changes(&world, &mut running);
    docker(["start", application.members()[0].name()]);
    running.finish().failed(1, "was started meanwhile");
    world.stillpoint(["backup", application.name()]).failed(1, "was cut off");
    stop(&application);
    world.stillpoint(["restore", "--local", &taken]).succeeded();
    sequence::check(&application.volumes()).unwrap();
    for row in local(&world, &application) {
        world.stillpoint(["forget", "--local", &id(&row)]).succeeded();
    }
}

#[test]
fn snapshots_that_stay_are_no_part_of_other_backups_and_outlive_a_restore() {
    let btrfs = Filesystem::btrfs(128);
    fs::create_dir(btrfs.path().join("data")).unwrap();
    fs::write(btrfs.path().join("data/file"), "1").unwrap();
    let volume = bind(btrfs.path(), "/volume");
    let name = unique("local");
    let belongs = belongs_to(&name);
    let _container = Container::run(&name, [&belongs, &volume, BUSYBOX, "sleep", "9999"]);
    let world = World::new();
    let taken = id(&world.json(["snapshot", &name]));
    let target = world.path("target");
    for backup in [vec!["backup", &name], vec!["backup", "--path", btrfs.path().to_str().unwrap()]]
    {
        let point = world.json(backup)["point"].as_str().unwrap().to_owned();
        let _ = fs::remove_dir_all(&target);
        world.stillpoint(["restore", &point, "--to", target.to_str().unwrap()]).succeeded();
        let found =
            run(Command::new("find").arg(&target).args(["-name", "file", "-o", "-name", "*.kept"]));
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    assert_eq!(leftovers(btrfs.path()), [taken.clone(), format!("{taken}.kept")]);
    // Not even one that removes whatever is not of the point.
    let found = run(Command::new("find").arg(&target).args(["-name", "data"]));
    let volume = Path::new(found.trim()).parent().unwrap();
    run(Command::new("mkdir").args(["--mode=700"]).arg(volume.join(".stillpoint")));
    run(Command::new("mkdir").args(["--mode=755"]).arg(volume.join("data/.stillpoint")));
    let to = target.to_str().unwrap();
    let again = ["restore", "latest", "--app", &name, "--to", to, "--in-place", "--delete"];
    world.stillpoint(again).succeeded();
    assert!(volume.join(".stillpoint").exists());
    assert!(!volume.join("data/.stillpoint").exists(), "that is somebody else's");
    world.stillpoint(["forget", "--local", &taken]).succeeded();
}

/// An application whose restore takes its time.
fn with_many_files() -> Sequence {
    let application = Sequence::start(2, &lab::xfs());
    for volume in application.volumes() {
        for number in 0..FILES {
            fs::write(volume.join(number.to_string()), "x").unwrap();
        }
    }
    application
}

/// Waits until files are being replaced, or all are.
fn wait_until_it_changes(world: &World, running: &mut Running) {
    let changes =
        |path: &Path| fs::read_to_string(path).is_ok_and(|t| t.contains("changing\":true"));
    while !running.has_ended() {
        let entries = fs::read_dir(world.state().join("snapshots")).unwrap().flatten();
        let mut notes =
            entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "restore"));
        if notes.any(|note| changes(&note.path())) {
            return;
        }
        sleep(Duration::from_millis(1));
    }
}

const FILES: usize = 2000;
