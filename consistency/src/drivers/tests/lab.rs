//! On real filesystems, as root: btrfs at `STILLPOINT_LAB_BTRFS`, xfs at `STILLPOINT_LAB_XFS`.

use std::process::Command;

use super::*;
use crate::places::Place;

/// A directory of a test's own on a filesystem of the lab; unmounted and deleted with the value.
struct Corner {
    path: PathBuf,
}

impl Corner {
    fn btrfs(name: &str) -> Self {
        Self::new("STILLPOINT_LAB_BTRFS", name)
    }

    fn xfs(name: &str) -> Self {
        Self::new("STILLPOINT_LAB_XFS", name)
    }

    #[allow(clippy::disallowed_methods, reason = "tests are told of the lab by the environment")]
    fn new(variable: &str, name: &str) -> Self {
        let mount = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set"));
        let path = Path::new(&mount).join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self { path: path.canonicalize().unwrap() }
    }

    fn shell(&self, script: &str) {
        let status = Command::new("sh").args(["-ec", script]).current_dir(&self.path).status();
        assert!(status.unwrap().success(), "{script}");
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        self.shell(
            "grep -o \" $PWD/[^ ]*\" /proc/self/mounts | sort -r | xargs -r -n1 umount; \
             find . -depth -inum 256 -exec btrfs -q property set {} ro false \\; \
                 -exec btrfs -q subvolume delete {} \\; ; rm -rf \"$PWD\"",
        );
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn graft<'a>(taken: &'a Taken, path: &str) -> &'a Path {
    let grafts = &taken.tree.grafts;
    grafts.get(Path::new(path)).unwrap_or_else(|| panic!("no graft `{path}` in {grafts:?}"))
}

#[test]
fn two_volumes_of_one_subvolume_share_a_snapshot_and_nested_ones_are_grafted() {
    let corner = Corner::btrfs("nested");
    corner.shell(
        "btrfs -q subvolume create sub; mkdir -p sub/a/deep sub/b
         echo a > sub/a/f; echo b > sub/b/f
         btrfs -q subvolume create sub/a/deep/one; echo 1 > sub/a/deep/one/f
         btrfs -q subvolume create sub/a/deep/one/two; echo 2 > sub/a/deep/one/two/f
         btrfs -q subvolume create sub/other",
    );
    let volumes = [volume("a", &corner.at("sub/a")), volume("b", &corner.at("sub/b/f"))];
    let (plan, taken) = take(&volumes, 21);
    assert_eq!(plan.jobs.len(), 1);
    corner.shell("echo x | tee sub/a/f sub/b/f sub/a/deep/one/f sub/a/deep/one/two/f");
    assert_eq!(taken[0].driver, "btrfs");
    assert_eq!(read(&taken[0].tree.root.join("f")), "a\n");
    assert_eq!(read(&taken[1].tree.root), "b\n");
    assert_eq!(read(&graft(&taken[0], "deep/one").join("f")), "1\n");
    assert_eq!(read(&graft(&taken[0], "deep/one/two").join("f")), "2\n");
    assert_eq!((taken[0].tree.grafts.len(), taken[1].tree.grafts.len()), (2, 0));
    assert!(fs::write(taken[0].tree.root.join("f"), "y").is_err(), "snapshots are read-only");
    let root = taken[0].tree.root.clone();
    assert_eq!(plan.remove(), [""; 0]);
    assert!(!root.exists());
}

#[test]
fn a_volume_that_is_a_mount_point_hides_our_own_directory() {
    let corner = Corner::btrfs("mount");
    corner.shell(
        "btrfs -q subvolume create sub; mkdir at; mount --bind sub at; echo 1 > at/f
         btrfs -q subvolume create at/in; echo 2 > at/in/f",
    );
    let volumes = [volume("v", &corner.at("at"))];
    let (first, _) = take(&volumes, 22);
    let (second, taken) = take(&volumes, 23);
    let tree = &taken[0].tree;
    assert!(tree.root.starts_with(corner.at("at/.stillpoint")), "{tree:?}");
    assert_eq!(tree.hidden, [PathBuf::from(".stillpoint")]);
    assert_eq!(tree.grafts.keys().collect::<Vec<_>>(), [Path::new("in")]);
    assert_eq!(read(&tree.root.join("f")), "1\n");
    assert_eq!((first.remove().len(), second.remove().len()), (0, 0));
    assert!(!corner.at("at/.stillpoint").exists());
}

#[test]
fn what_is_mounted_in_a_volume_gets_the_driver_of_its_own_filesystem() {
    let (corner, other) = (Corner::btrfs("mounts"), Corner::xfs("mounts"));
    other.shell("mkdir x; echo x > x/f");
    corner.shell(&format!(
        "btrfs -q subvolume create sub; mkdir sub/x sub/tmp sub/proc; echo s > sub/f
         btrfs -q subvolume create sub/covered; echo c > sub/covered/f
         mount --bind {} sub/x; mount -t tmpfs none sub/tmp; mount -t proc none sub/proc
         mount -t tmpfs none sub/covered; echo t > sub/tmp/f; echo t > sub/covered/f",
        other.at("x").display()
    ));
    let volumes = [volume("v", &corner.at("sub"))];
    let (plan, taken) = take(&volumes, 24);
    other.shell("echo y > x/f");
    corner.shell("echo y > sub/tmp/f");
    assert_eq!(taken[0].driver, "btrfs");
    assert_eq!(read(&taken[0].tree.root.join("f")), "s\n");
    assert_eq!(read(&graft(&taken[0], "x").join("f")), "x\n");
    // There it is read in the freeze.
    for place in ["tmp", "covered"] {
        assert_eq!(graft(&taken[0], place), corner.at("sub").join(place));
    }
    assert_eq!(taken[0].tree.grafts.len(), 3);
    assert!(taken[0].tree.hidden.contains(&PathBuf::from("proc")));
    assert!(plan.remarks()[0].contains("being a proc"), "{:?}", plan.remarks());
    assert_eq!(plan.remove(), [""; 0]);
}

#[test]
fn a_subvolume_whose_root_cannot_be_seen_is_cloned() {
    let corner = Corner::btrfs("part");
    corner.shell(
        "btrfs -q subvolume create sub; mkdir -p sub/part at; echo p > sub/part/f
         btrfs -q subvolume create sub/part/in; echo i > sub/part/in/f
         mount --bind sub/part at",
    );
    let volumes = [volume("v", &corner.at("at"))];
    let (plan, taken) = take(&volumes, 25);
    corner.shell("echo x | tee at/f at/in/f");
    assert_eq!((taken[0].driver, taken[0].tree.grafts.len()), ("reflink", 0));
    assert_eq!(read(&taken[0].tree.root.join("f")), "p\n");
    assert_eq!(read(&taken[0].tree.root.join("in/f")), "i\n");
    assert_eq!(plan.remove(), [""; 0]);
}

#[test]
fn reflinks_take_no_space_and_keep_the_content() {
    let corner = Corner::xfs("reflink");
    corner.shell("mkdir v; dd if=/dev/urandom of=v/f bs=1M count=200 status=none; cp v/f copy");
    let free = || rustix::fs::statvfs(&corner.path).unwrap().f_bfree;
    let volumes = [volume("v", &corner.at("v"))];
    let before = free();
    let (plan, taken) = take(&volumes, 26);
    assert_eq!(taken[0].driver, "reflink");
    assert!(before.saturating_sub(free()) < 1000, "{before} blocks were free, now {}", free());
    corner.shell("printf x | dd of=v/f conv=notrunc status=none");
    assert!(
        fs::read(taken[0].tree.root.join("f")).unwrap() == fs::read(corner.at("copy")).unwrap()
    );
    assert_eq!(plan.remove(), [""; 0]);
}

#[test]
fn snapshots_of_a_run_that_died_are_swept() {
    let corner = Corner::btrfs("dead");
    corner.shell(
        "btrfs -q subvolume create sub; mkdir at; mount --bind sub at; echo 1 > at/f
         btrfs -q subvolume create at/in",
    );
    let volumes = [volume("v", &corner.at("at"))];
    let (plan, taken) = take(&volumes, 27);
    plan.places.into_iter().for_each(Place::die);
    let run = taken[0].tree.root.parent().unwrap().to_owned();
    assert!(run.with_extension("lock").exists());
    assert!(taken[0].tree.root.join("f").exists());
    assert_eq!(crate::sweep(&corner.at("at")), [""; 0]);
    assert!(!run.exists() && !corner.at("at/.stillpoint").exists());
}

#[test]
fn a_filesystem_that_cannot_be_written_has_no_place_for_copies() {
    let corner = Corner::btrfs("read-only");
    corner.shell("mkdir at; mount -t tmpfs -o ro none at");
    let volume = volume("v", &corner.at("at"));
    let copied = Volume { driver: Some(Driver::Copy), ..volume.clone() };
    let failure = Plan::prepare(&[copied], PointId::new([28; 16])).unwrap_err();
    assert_eq!(failure.volume, RawPath::new("v"));
    assert!(matches!(failure.error, SnapshotError::NoPlace { .. }), "{:?}", failure.error);
    // Unless nobody asks for a copy: then it needs none.
    assert_eq!(take(&[volume], 28).1[0].driver, "live");
}

#[test]
fn a_volume_mounted_read_only_is_put_where_its_filesystem_can_be_written() {
    let corner = Corner::btrfs("bind");
    corner.shell(
        "btrfs -q subvolume create sub; mkdir at; echo 1 > sub/f
         mount --bind sub at; mount -o remount,bind,ro at",
    );
    let (plan, taken) = take(&[volume("v", &corner.at("at"))], 29);
    assert_eq!((taken[0].driver, read(&taken[0].tree.root.join("f")).as_str()), ("btrfs", "1\n"));
    assert_eq!(plan.remove(), [""; 0]);
}
