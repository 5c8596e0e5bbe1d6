//! Whole restores, of repositories that hold whatever there can be.

mod fixture;
mod hostile;
mod in_place;
mod moved;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use format::manifest::Manifest;
use format::tree::{Entry, HardLink, Kind};

use fixture::{Dice, Model, Point, World, entry};

/// What should be in the target: each path with its content.
type Models = BTreeMap<String, Model>;

#[test]
fn random_trees_come_back() {
    let world = World::new();
    for seed in 0..8 {
        let (manifest, models) = random_point(&world, seed);
        let target = world.path(&format!("target {seed}"));
        let report = world.restore(&manifest, &target, None).unwrap();
        assert_eq!((report.lost.as_slice(), report.unset.as_slice()), (&[][..], &[][..]));
        assert_eq!(report.files, manifest.volumes[0].files);
        let verified = world.verify(&manifest);
        assert_eq!((verified.files, verified.lost.as_slice()), (report.files, &[][..]));
        // A file with several names counts under each of them.
        assert!(verified.bytes >= report.bytes);
        assert_models(&target, &models);
        fs::remove_dir_all(target).unwrap();
    }
}

#[test]
fn many_small_files_come_back() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(3));
    let (mut models, mut folders) = (Models::new(), Vec::new());
    for folder in 0..30 {
        let mut entries = Vec::new();
        for number in 0..200 {
            let mut model = Model::default();
            if number % 50 > 0 {
                let bytes = dice.bytes(1 + dice.below(3000));
                point.add_chunk(&mut model, &bytes);
            }
            entries.push(point.file(&format!("{number:03}"), &model));
            models.insert(format!("{folder:02}/{number:03}"), model);
        }
        let kind = point.directory(&entries);
        folders.push(entry(&format!("{folder:02}"), kind));
    }
    let root = point.directory(&folders);
    let manifest = world.commit(point, root, 30 * 201 + 1);
    let target = world.path("target");
    assert_eq!(world.restore(&manifest, &target, None).unwrap().files, 30 * 201 + 1);
    assert_models(&target, &models);
    let folder = fs::metadata(target.join("volume/07")).unwrap();
    assert_eq!((folder.mtime(), folder.mtime_nsec()), (1_234_567_890, 5));
}

#[test]
fn damage_in_one_frame_loses_only_its_files() {
    let world = World::new();
    let (manifest, mut models) = random_point(&world, 77);
    let chunks = world.chunks();
    let uses = |model: &Model, frame: Option<(_, u32)>| {
        let places = model.extents.iter().filter_map(format::tree::Extent::slice);
        let mut places = places.map(|slice| chunks.index().find(slice.chunk).unwrap().unwrap());
        places.find(|place| frame.is_none_or(|f| f == (place.frame.pack, place.frame.number)))
    };
    let damaged = models.values().find_map(|model| uses(model, None)).unwrap().frame;
    let pack = world.pack(damaged.pack);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[usize::try_from(damaged.offset).unwrap() + 100] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();

    let hit = |model: &Model| uses(model, Some((damaged.pack, damaged.number))).is_some();
    let gone: Vec<String> =
        models.iter().filter(|(_, model)| hit(model)).map(|(path, _)| path.clone()).collect();
    assert!(!gone.is_empty() && gone.len() < models.len());
    let target = world.path("target");
    let report = world.restore(&manifest, &target, None).unwrap();
    let lost: Vec<String> = report.lost.iter().map(|lost| lost.path.to_string()).collect();
    assert_eq!(lost, gone);
    let verified = world.verify(&manifest);
    assert_eq!((verified.files, verified.bytes), (report.files, report.bytes));
    assert_eq!(verified.lost, report.lost);
    assert!(gone.iter().all(|path| !target.join("volume").join(path).exists()));
    models.retain(|path, _| !gone.contains(path));
    assert_models(&target, &models);
    // How much of a file was read before it was known to be lost is a matter of timing.
    let whole: usize = models.values().flat_map(|model| &model.data).map(Range::len).sum();
    assert!(verified.read.min(report.written) >= whole as u64);
}

#[test]
fn what_lies_in_two_packs_is_not_lost_with_one_of_them() {
    let world = World::new();
    let dice = Dice::new(5);
    let bytes = dice.bytes(3 << 20);
    let mut manifests = Vec::new();
    let mut packs = Vec::new();
    for _ in 0..2 {
        let mut point = world.point();
        let mut model = Model::default();
        bytes.chunks(1 << 20).for_each(|chunk| point.add_chunk(&mut model, chunk));
        let small = bytes[..500].to_vec();
        let mut little = Model::default();
        point.add_chunk(&mut little, &small);
        let entries = [point.file("large", &model), point.file("small", &little)];
        let root = point.directory(&entries);
        manifests.push(world.commit(point, root, 3));
        let chunks = world.chunks();
        let places = chunks.index().places(model.extents[0].slice().unwrap().chunk).unwrap();
        packs.extend(places.into_iter().map(|place| place.frame.pack));
    }
    packs.dedup();
    assert!(packs.len() >= 2, "both points store the chunks");
    // All that comes after the header of one pack.
    let pack = world.pack(packs[0]);
    let mut spoiled = fs::read(&pack).unwrap();
    spoiled.iter_mut().skip(72).for_each(|byte| *byte ^= 0x55);
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, spoiled).unwrap();
    for (number, manifest) in manifests.iter().enumerate() {
        let target = world.path(&format!("target {number}"));
        let report = world.restore(manifest, &target, None).unwrap();
        assert_eq!(report.lost, []);
        assert_eq!(fs::read(target.join("volume/large")).unwrap(), bytes);
        assert_eq!(fs::read(target.join("volume/small")).unwrap(), bytes[..500]);
        assert_eq!(world.verify(manifest).lost, []);
    }
}

#[test]
fn memory_is_bounded_for_a_large_file_of_many_slices() {
    let world = World::alone();
    let (mut point, dice) = (world.point(), Dice::new(9));
    let mut model = Model::default();
    for _ in 0..24 {
        let bytes = dice.bytes(1 << 20);
        point.add_chunk(&mut model, &bytes);
    }
    // 64 slices a MiB, each from another frame than the one before it.
    let chunks: Vec<_> = point.chunks.iter().map(|(slice, _)| *slice).collect();
    let mut extents = Vec::new();
    for number in 0..20_000_usize {
        let slice = chunks[number % chunks.len()];
        let offset = u32::try_from(number / 2 * 97 % 60 * 16_384).unwrap();
        let bytes = &model.bytes[(number % chunks.len()) << 20..][offset as usize..][..16_384];
        let digest = point.keys().digest(bytes);
        let slice = format::tree::Slice { offset, length: 16_384, ..slice };
        extents.push(format::tree::Extent::Part { slice, digest });
    }
    let size: u64 = 20_000 * 16_384;
    model.extents = extents;
    let mut file = point.file("large", &model);
    if let Kind::File(content) = &mut file.kind {
        (content.size, content.hash) = (size, None);
    }
    let root = point.directory(&[file]);
    let manifest = world.commit(point, root, 2);
    drop(model);

    let before = resident();
    let done = std::sync::atomic::AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(resident());
                std::thread::yield_now();
            }
            most
        });
        let report = world.restore(&manifest, &world.path("target"), None).unwrap();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!((report.written, report.lost.len()), (size, 0));
        watch.join().unwrap()
    });
    let grown = most.saturating_sub(before) >> 20;
    assert!(grown <= 160, "{grown} MiB");
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// A tree with files of every shape, some of them with several names.
fn random_point(world: &World, seed: u64) -> (Manifest, Models) {
    let (mut point, dice) = (world.point(), Dice::new(seed));
    let mut models = Models::new();
    let mut files = 1;
    let mut folders: Vec<Entry> = Vec::new();
    for folder in 0..3 {
        let mut entries = Vec::new();
        for number in 0..12 {
            let length = [200, 30_000, 600_000][dice.below(3)];
            let extents = [0, 1, 1, 3, 9, 40][dice.below(6)];
            let model = point.random_file(&dice, extents, length);
            let mut file = point.file(&format!("{number:02}"), &model);
            // Names beside one another, and in another directory.
            if number == 5 || number == 6 {
                let inode = if number == 5 || folder < 2 { 1 } else { 2 };
                let (path, same) = ("0/05".to_owned(), folder > 0 || number == 6);
                if same && inode == 1 {
                    let first = models.get(&path).cloned().unwrap_or_else(|| model.clone());
                    file = point.file(&format!("{number:02}"), &first);
                    models.insert(format!("{folder}/{number:02}"), first);
                }
                file.metadata.hard_link = Some(HardLink { filesystem: 0, inode });
            }
            models.entry(format!("{folder}/{number:02}")).or_insert(model);
            entries.push(file);
        }
        entries.push(entry("link", Kind::Symlink { target: format::raw::RawPath::new("../x") }));
        entries.push(entry("pipe", Kind::Fifo));
        files += entries.len() as u64 + 1;
        let kind = point.directory(&entries);
        folders.push(entry(&folder.to_string(), kind));
    }
    let root = point.directory(&folders);
    (world.commit(point, root, files), models)
}

fn one_file(world: &World, mut point: Point, name: &str, model: &Model) -> Manifest {
    let file = point.file(name, model);
    let root = point.directory(&[file]);
    world.commit(point, root, 2)
}

fn assert_models(target: &Path, models: &Models) {
    for (path, model) in models {
        let found = target.join("volume").join(path);
        let bytes = fs::read(&found).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(bytes == model.bytes, "{path} differs");
        let found = fs::metadata(&found).unwrap();
        assert_eq!((found.mtime(), found.mtime_nsec()), (1_234_567_890, 5), "{path}");
        assert_eq!(found.mode() & 0o7777, 0o640, "{path}");
        // Whole pages of holes take no space.
        let data: usize = model.data.iter().map(|run| run.len() + 2 * 4096).sum();
        assert!(found.blocks() * 512 <= data as u64 + 65_536, "{path} has no holes");
    }
}
