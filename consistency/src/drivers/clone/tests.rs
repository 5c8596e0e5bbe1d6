//! Trees with every kind of file, copied on whatever filesystem the temporary directory has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::process::Command;

use format::tree::Metadata;
use platform::files::{FileKind, inspect};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use super::*;

struct World {
    scratch: TempDir,
    recipe: Recipe,
}

impl World {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let source = scratch.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::create_dir(scratch.path().join("target")).unwrap();
        let (skip, own) = (BTreeSet::new(), BTreeSet::new());
        Self { scratch, recipe: Recipe { source, reflink: false, skip, own } }
    }

    fn source(&self, path: &str) -> PathBuf {
        self.recipe.source.join(path)
    }

    fn cloned(&self, path: &str) -> PathBuf {
        self.scratch.path().join("target/0").join(path)
    }

    fn clone(&self) -> Result<(), SnapshotError> {
        let target = Dir::open(&self.scratch.path().join("target")).unwrap();
        let mut clone = Clone::begin(&self.recipe, &target, "0")?;
        clone.update(&self.recipe, (&target, "0"), Mode::Final(&AtomicBool::new(false)))
    }
}

/// Every path below a directory, with everything known of it but inode numbers and ctime.
fn listing(root: &Path) -> Vec<(PathBuf, FileKind, Metadata, u64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![(Dir::open(root).unwrap(), PathBuf::new())];
    while let Some((dir, path)) = pending.pop() {
        for name in dir.names().unwrap() {
            let inspected = inspect(&dir, &name).unwrap();
            let path = path.join(std::ffi::OsString::from_vec(name.clone()));
            let mut content = Vec::new();
            match &inspected.kind {
                FileKind::File => content = fs::read(root.join(&path)).unwrap(),
                FileKind::Directory => pending.push((dir.open_dir(&name).unwrap(), path.clone())),
                _ => {}
            }
            let size = if inspected.kind == FileKind::File { inspected.size } else { 0 };
            found.push((path, inspected.kind, inspected.metadata, size, content));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn shell(script: &str) {
    assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success(), "{script}");
}

#[test]
fn a_clone_has_everything_the_tree_has() {
    let world = World::new();
    let script = "cd $0; mkdir -p a/b 'sp ace'; echo hi > a/b/f; chmod 6751 a/b/f; \
        mkfifo -m 604 p; \
        printf x > \"$(printf '\\377\\n')\"; ln a/b/f 'sp ace/again'; ln -s /nowhere a/l; \
        touch -h -d '1969-12-31 23:59:58.123456789 UTC' a/l a/b/f; chmod 0 'sp ace'; \
        touch -d '2001-02-03 04:05:06.7' a; : > empty; chmod 1777 .";
    shell(&script.replace("$0", world.recipe.source.to_str().unwrap()));
    drop(UnixListener::bind(world.source("socket")).unwrap());
    if rustix::process::geteuid().is_root() {
        shell(&format!(
            "cd {}; mknod null c 1 3; mknod disk b 7 200; chown -h 12:34 a/l null; \
             chown 5:6 a/b/f; chmod 6751 a/b/f; touch -d '2001-02-03 04:05:06.7' a a/b/f",
            world.recipe.source.display()
        ));
    }
    world.clone().unwrap();
    assert_eq!(listing(&world.cloned("")), listing(&world.recipe.source));
    let root = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.mode(), metadata.mtime(), metadata.mtime_nsec())
    };
    assert_eq!(root(&world.cloned("")), root(&world.recipe.source));
    let inode = |path| fs::metadata(world.cloned(path)).unwrap().ino();
    assert_eq!(inode("a/b/f"), inode("sp ace/again"));
}

#[test]
fn holes_stay_holes() {
    let world = World::new();
    let file = File::create(world.source("sparse")).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"end", 64 << 20).unwrap();
    file.set_len(128 << 20).unwrap();
    world.clone().unwrap();
    let (source, cloned) = (world.source("sparse"), world.cloned("sparse"));
    assert_eq!(fs::read(&source).unwrap(), fs::read(&cloned).unwrap());
    assert!(fs::metadata(cloned).unwrap().blocks() < 1000);
}

#[test]
fn a_single_file_is_cloned_too() {
    let mut world = World::new();
    fs::write(world.source("one"), "hello").unwrap();
    world.recipe.source = world.source("one");
    world.clone().unwrap();
    assert_eq!(fs::read(world.scratch.path().join("target/0")).unwrap(), b"hello");
}

#[test]
fn what_lies_on_other_filesystems_or_is_our_own_is_left_out() {
    let mut world = World::new();
    shell(&format!(
        "cd {}; mkdir -p a/b own/x; echo 1 > a/b/f; echo 2 > c; echo 3 > own/x/y",
        world.recipe.source.display()
    ));
    world.recipe.skip = ["a/b", "c"].into_iter().map(PathBuf::from).collect();
    let own = fs::metadata(world.source("own")).unwrap();
    world.recipe.own.insert((own.dev(), own.ino()));
    world.clone().unwrap();
    let paths: Vec<_> = listing(&world.cloned("")).into_iter().map(|entry| entry.0).collect();
    assert_eq!(paths, ["a", "a/b", "c"].map(PathBuf::from));
    assert_eq!(fs::metadata(world.cloned("c")).unwrap().len(), 0);
}

#[test]
fn a_tree_of_a_thousand_levels_is_cloned_or_refused_but_never_crashes() {
    let world = World::new();
    let mut dir = Dir::open(&world.recipe.source).unwrap();
    for _ in 0..1000 {
        dir = dir.create_dir(b"d").unwrap();
    }
    // Each level takes two descriptors.
    match world.clone() {
        Ok(()) => assert_eq!(listing(&world.cloned("")).len(), 1000),
        Err(SnapshotError::Io { source, .. }) => assert_eq!(source.raw_os_error(), Some(24)),
        Err(error) => panic!("{error}"),
    }
}

// Which names lead to the same file.
fn linked(root: &Path) -> Vec<Vec<PathBuf>> {
    let mut files: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for (path, ..) in listing(root) {
        let inode = fs::symlink_metadata(root.join(&path)).unwrap().ino();
        files.entry(inode).or_default().push(path);
    }
    let mut linked: Vec<_> = files.into_values().filter(|names| names.len() > 1).collect();
    linked.sort();
    linked
}

// What was cloned while it was in use is like the source after the last step, whatever happened to
// the source between the two.
fn after_a_draft(before: &str, between: &str) {
    let world = World::new();
    let script = |text: &str| shell(&format!("cd {} && {text}", world.recipe.source.display()));
    script(before);
    let target = Dir::open(&world.scratch.path().join("target")).unwrap();
    let mut clone = Clone::begin(&world.recipe, &target, "0").unwrap();
    // As if everything had been as it is for long.
    let later = FileTime { seconds: i64::MAX, nanoseconds: 0 };
    for _ in 0..2 {
        clone.update(&world.recipe, (&target, "0"), Mode::Draft(later)).unwrap();
    }
    let kept = |world: &World| fs::metadata(world.cloned("kept")).unwrap().ino();
    let drafted = kept(&world);
    script(between);
    let never = AtomicBool::new(false);
    clone.update(&world.recipe, (&target, "0"), Mode::Final(&never)).unwrap();
    assert_eq!(listing(&world.recipe.source), listing(&world.cloned("")), "{between}");
    assert_eq!(linked(&world.recipe.source), linked(&world.cloned("")), "{between}");
    if !between.contains("kept") {
        assert_eq!(kept(&world), drafted);
    }
}

#[test]
fn a_draft_is_brought_up_to_date_whatever_happened_meanwhile() {
    let before = "echo kept >kept; mkdir -p d/e x; echo 1 >d/e/one; echo 2 >d/two; ln d/two d/link; \
        ln -s two d/symlink; mkfifo x/pipe; echo 3 >three; ln three x/three";
    for between in [
        "true",
        "echo more >>d/e/one",
        "rm -r d",
        "rm three x/three; mkdir three; echo 4 >three/four",
        "rm -r x; echo 5 >x",
        "mv d/two tmp; mv three d/two; mv tmp three",
        "mv d y; mv x d; mv y x",
        "rm d/link",
        "ln three again; rm x/three",
        "echo longer >>d/two",
        "rm d/link; echo other >d/link",
        "chmod 600 d/two; touch -d 2001-01-01 d; chmod 700 d/e",
        "ln -sfn one d/symlink; rm x/pipe; mkfifo x/pipe",
        "mkdir new; mv d new; echo 6 >new/d/e/six",
        "rm -r d; mkdir -p d/e; echo 1 >d/e/one",
        "mv kept d; echo another >kept",
    ] {
        after_a_draft(before, between);
    }
}

#[test]
fn names_that_a_draft_could_not_make_are_made_in_the_end() {
    let world = World::new();
    shell(&format!("cd {} && mkdir d && echo 1 >d/one", world.recipe.source.display()));
    let target = Dir::open(&world.scratch.path().join("target")).unwrap();
    let mut clone = Clone::begin(&world.recipe, &target, "0").unwrap();
    let later = FileTime { seconds: i64::MAX, nanoseconds: 0 };
    clone.update(&world.recipe, (&target, "0"), Mode::Draft(later)).unwrap();
    // As if it had been half made: nothing in the source has changed.
    shell(&format!("cd {} && rm -r d && echo junk >d", world.cloned("").display()));
    let never = AtomicBool::new(false);
    clone.update(&world.recipe, (&target, "0"), Mode::Final(&never)).unwrap();
    assert_eq!(listing(&world.recipe.source), listing(&world.cloned("")));
}

/// Whatever this does, it has no more than so many descriptors for it.
fn with_descriptors(count: u64, work: impl FnOnce()) {
    let lowest = File::open("/").unwrap().as_raw_fd();
    let before = getrlimit(Resource::Nofile);
    let current = Some(u64::try_from(lowest).unwrap() + count);
    setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
    work();
    setrlimit(Resource::Nofile, before).unwrap();
}

#[test]
fn what_a_draft_failed_at_is_made_in_the_end() {
    let mut whole = 0;
    for descriptors in 1..16 {
        let world = World::new();
        let script = |text: &str| shell(&format!("cd {} && {text}", world.recipe.source.display()));
        script("mkdir -p a/d b; echo 1 >a/one; echo 2 >a/d/two; ln a/d/two a/d/again");
        let target = Dir::open(&world.scratch.path().join("target")).unwrap();
        let mut clone = Clone::begin(&world.recipe, &target, "0").unwrap();
        let later = FileTime { seconds: i64::MAX, nanoseconds: 0 };
        clone.update(&world.recipe, (&target, "0"), Mode::Draft(later)).unwrap();
        // A directory is moved: the files in it have the same stamps as before.
        script("mv a/d b/d; mv a/one b/one");
        with_descriptors(descriptors, || {
            let _ = clone.update(&world.recipe, (&target, "0"), Mode::Draft(later));
        });
        whole += u32::from(world.cloned("b/d/two").exists());
        let never = AtomicBool::new(false);
        clone.update(&world.recipe, (&target, "0"), Mode::Final(&never)).unwrap();
        assert_eq!(listing(&world.recipe.source), listing(&world.cloned("")), "{descriptors}");
        assert_eq!(linked(&world.recipe.source), linked(&world.cloned("")), "{descriptors}");
    }
    assert!((1..15).contains(&whole), "some failed, and some did not: {whole}");
}

#[test]
fn an_abandoned_clone_ends() {
    let world = World::new();
    let target = Dir::open(&world.scratch.path().join("target")).unwrap();
    let mut clone = Clone::begin(&world.recipe, &target, "0").unwrap();
    let mode = Mode::Final(&AtomicBool::new(true));
    let error = clone.update(&world.recipe, (&target, "0"), mode).unwrap_err();
    assert!(matches!(error, SnapshotError::Abandoned));
}

#[test]
fn what_is_not_there_is_named() {
    let mut world = World::new();
    world.recipe.source = world.source("gone");
    let error = world.clone().unwrap_err().to_string();
    assert!(error.contains("source/gone"), "{error}");
}
