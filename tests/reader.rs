//! A reader that shares no code with the program reads what the program wrote: the Python of
//! `tests/reader/`, written from docs/format.md alone.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use format::content::{ContentHasher, PAGE_BYTES};
use format::control;
use format::descriptor::Descriptor;
use format::frame::{ChunkKind, ChunkRecord, Codec, Frame};
use format::ids::{ContentHash, ObjectId, PointId, RepositoryId, SlotId};
use format::index::IndexSegment;
use format::keys::{Keys, RootKey};
use format::manifest::{Level, Manifest, Statistics, VolumeRecord};
use format::names::{ObjectName, PackName};
use format::raw::RawPath;
use format::session::{Outcome, Registration, SessionEnd};
use format::slot::{Inscription, Key, Passphrase, Slot};
use format::tree::{Content, Entry, Extent, Extents, Kind, Metadata, Slice};
use format::{listing, pack, stream};
use tests::compare::assert_same;
use tests::world::{Output, PASSPHRASE, World};
use tests::{every_kind, golden, lab, sources};

#[test]
fn the_reader_restores_what_the_program_saved() {
    let world = World::new();
    let source = world.path("source");
    every_kind::make(&source);
    let first = backup(&world);
    restores(&world, &first, &source, "first");
    // Content in place, at the end and in a hole; names that come, go and move.
    let file = OpenOptions::new().write(true).open(source.join("noise")).unwrap();
    file.write_all_at(&every_kind::noise(7, 70_000), 3_000_001).unwrap();
    file.set_len(11_000_000).unwrap();
    let sparse = File::create(source.join("sparse")).unwrap();
    sparse.write_all_at(&every_kind::noise(8, 3 << 20), 40 << 20).unwrap();
    sparse.set_len(100 << 20).unwrap();
    fs::rename(source.join("zeros"), source.join("renamed")).unwrap();
    fs::remove_dir_all(source.join("deep")).unwrap();
    let second = backup(&world);
    restores(&world, &second, &source, "second");

    let listed = read(&world, &["list"]).succeeded().stdout.clone();
    let ids: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, [&first, &second]);
    let shown = read(&world, &["show", &second[..12]]).succeeded().json();
    assert_eq!(shown["point"], second.as_str());
    read(&world, &["verify", &first]).succeeded();
    let verified = read(&world, &["verify", "all"]).succeeded().stdout.clone();
    assert!(verified.starts_with("2 points, "), "{verified}");
}

#[test]
fn the_reader_reads_golden_repositories() {
    let world = World::empty();
    golden::unpack(include_str!("golden/v1/repository.txt"), &world.repository());
    let listed = read(&world, &["list"]).succeeded().stdout.clone();
    let ids: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let [first, second, _] = ids[..] else { panic!("{listed}") };
    let tree = world.path("tree");
    golden::make_tree(&tree);
    for point in [first, second] {
        if point == second {
            golden::change_tree(&tree);
        }
        let shown = read(&world, &["show", point]).succeeded().json();
        let source = shown["volumes"][0]["name"].as_str().unwrap().trim_start_matches('/');
        read(&world, &["restore", point, point]).succeeded();
        assert_same(&tree, &world.path(point).join(source));
    }
    read(&world, &["verify", "all"]).succeeded();
}

#[test]
fn the_reader_passes_over_what_was_forgotten_and_deleted() {
    let world = World::new();
    fs::create_dir(world.path("source")).unwrap();
    let mut points = Vec::new();
    for round in 0..3 {
        fs::write(world.path("source/file"), every_kind::noise(round, 3 << 20)).unwrap();
        fs::write(world.path("source/shared"), every_kind::noise(9, 70_000)).unwrap();
        points.push(backup(&world));
    }
    world.stillpoint(["forget", &points[0], &points[1], "--prune"]).succeeded();
    let listed = read(&world, &["list"]).succeeded().stdout.clone();
    let ids: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, [&points[2]]);
    assert!(read(&world, &["show", &points[0]]).stderr.contains("was forgotten"));
    restores(&world, &points[2], &world.path("source"), "kept");
    read(&world, &["verify", "all"]).succeeded();
    world.stillpoint(["prune", "--max-unused", "0"]).succeeded();
    read(&world, &["verify", "all"]).succeeded();
}

#[test]
fn the_reader_refuses_what_is_not_as_it_was_written() {
    let mut world = World::new();
    fs::create_dir(world.path("source")).unwrap();
    fs::write(world.path("source/file"), every_kind::noise(1, 3 << 20)).unwrap();
    let point = backup(&world);
    read(&world, &["verify", "all"]).succeeded();
    // From here on with a key that takes no time.
    let key_file = world.path("key");
    let key_file = key_file.to_str().unwrap();
    world.stillpoint(["key", "add", "--new-key-file", key_file]).succeeded();
    world.set("STILLPOINT_KEY_FILE", key_file);
    for folder in ["pack", "idx", "out", "ses"] {
        for object in objects(&world.repository().join(folder)) {
            let name = object.strip_prefix(world.repository()).unwrap().display().to_string();
            let whole = fs::read(&object).unwrap();
            for at in [20, 60, 100, whole.len() - 1] {
                let mut flipped = whole.clone();
                flipped[at] ^= 0x10;
                replace(&object, &flipped);
                refused(&read(&world, &["verify", "all"]), &name);
            }
            replace(&object, &whole[..whole.len() - 1]);
            refused(&read(&world, &["verify", "all"]), &name);
            fs::remove_file(&object).unwrap();
            let gone = read(&world, &["verify", "all"]);
            // The outcome is the end of its chain, so nothing names it; and a prune removes the
            // registration of a session that has ended.
            if !["out", "ses"].contains(&folder) {
                refused(&gone, &name);
            }
            fs::write(&object, &whole).unwrap();
        }
    }
    // A lost or damaged segment costs nothing: the packs say the same.
    for segment in objects(&world.repository().join("idx")) {
        fs::remove_file(segment).unwrap();
    }
    read(&world, &["restore", &point, "target"]).succeeded();
    let restored = world.path("target").join(world.path("source").strip_prefix("/").unwrap());
    assert_same(&world.path("source"), &restored);

    world.set("STILLPOINT_KEY_FILE", "");
    world.set("STILLPOINT_PASSPHRASE", "another one");
    refused(&read(&world, &["list"]), "the passphrase does not open it");
}

#[test]
fn the_reader_knows_every_kind_of_extent() {
    let world = World::empty();
    let crafted = Crafted::new();
    crafted.write(&world, "right", |_| {});
    let output = read(&world, &["restore", "latest", "target"]);
    output.succeeded();
    let restored = fs::read(world.path("target/crafted/file")).unwrap();
    assert!(restored == crafted.bytes, "{} bytes", restored.len());
    assert_eq!(fs::read(world.path("target/crafted/stored")).unwrap(), restored);
}

#[test]
fn the_reader_refuses_extents_that_do_not_hold() {
    let crafted = Crafted::new();
    let wrong: [(&str, Spoil); 5] = [
        ("content hash", |content| content.hash = Some(ContentHash::new([9; 32]))),
        ("add up", |content| content.size += 1),
        ("add up", |content| content.size -= 1),
        ("digest", |content| {
            let Extents::Here(extents) = &mut content.extents else { return };
            for extent in extents {
                if let Extent::Part { slice, .. } = extent {
                    slice.offset -= 1;
                }
            }
        }),
        ("whole chunk", |content| {
            let Extents::Here(extents) = &mut content.extents else { return };
            let Some(Extent::Whole(slice)) = extents.first_mut() else { return };
            slice.length -= 1;
        }),
    ];
    for (why, spoil) in wrong {
        let world = World::empty();
        crafted.write(&world, why, spoil);
        for arguments in [&["verify", "all"][..], &["restore", "latest", "target"]] {
            let output = read(&world, arguments);
            refused(&output, "file");
            assert!(output.stderr.contains(why), "{why}: {output:#?}");
        }
        assert!(!world.path("target/crafted/file").exists());
    }
}

/// Makes a file's content wrong.
type Spoil = fn(&mut Content);

/// A repository with what the program seldom writes.
struct Crafted {
    keys: Keys,
    chunks: [Vec<u8>; 2],
    bytes: Vec<u8>,
}

const POINT: PointId = PointId::new([4; 16]);
const PACK: PackName = PackName { session: POINT, id: ObjectId::new([5; 16]) };
const NONCE: ObjectId = ObjectId::new([6; 16]);
const HOLE: usize = 1_000_000;

impl Crafted {
    fn new() -> Self {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let chunks = [every_kind::noise(1, 300_001), every_kind::noise(2, 10_000)];
        let part = &chunks[1][4_000..9_000];
        let bytes = [&chunks[0], &vec![0; HOLE][..], part, &[0; 5000]].concat();
        Self { keys, chunks, bytes }
    }

    fn slice(&self, chunk: usize) -> Slice {
        slice(&self.keys, &self.chunks[chunk])
    }

    fn extents(&self) -> Vec<Extent> {
        let part = Slice { offset: 4_000, length: 5_000, ..self.slice(1) };
        vec![
            Extent::Whole(self.slice(0)),
            Extent::Hole { length: HOLE as u64 },
            Extent::Part { slice: part, digest: self.keys.digest(&self.chunks[1][4_000..9_000]) },
            Extent::Hole { length: 4_000 },
            Extent::Hole { length: 1_000 },
        ]
    }

    fn hash(&self) -> ContentHash {
        let data = [0..300_001, 300_001 + HOLE..305_001 + HOLE];
        let mut hasher = ContentHasher::new(&self.keys);
        for (number, page) in self.bytes.chunks(PAGE_BYTES).enumerate() {
            let (start, end) = (number * PAGE_BYTES, number * PAGE_BYTES + page.len());
            if data.iter().any(|run| start < run.end && run.start < end) {
                hasher.page(number as u64, self.keys.digest(page));
            }
        }
        hasher.finish(self.bytes.len() as u64)
    }

    /// Writes it where the world's repository is, with one file as `spoil` leaves it.
    fn write(&self, world: &World, host: &str, spoil: impl Fn(&mut Content)) {
        let mut stored = Vec::new();
        for extent in self.extents() {
            stream::write(&extent, &mut stored);
        }
        let content =
            |extents| Content { size: self.bytes.len() as u64, extents, hash: Some(self.hash()) };
        let mut file = content(Extents::Here(self.extents()));
        spoil(&mut file);
        let second = content(Extents::Stored(vec![slice(&self.keys, &stored)]));
        let mut entries = Vec::new();
        for (name, content) in [("file", file), ("stored", second)] {
            listing::write(&entry(name, Kind::File(content)), &mut entries);
        }
        let mut root = Vec::new();
        let listing = vec![slice(&self.keys, &entries)];
        listing::write(&entry("", Kind::Directory { listing }), &mut root);
        let frames = vec![
            self.frame(ChunkKind::Data, &[&self.chunks[0], &self.chunks[1]]),
            self.frame(ChunkKind::Tree, &[&stored, &entries, &root]),
        ];
        let sealed = pack::seal(&self.keys, PACK, frames, Vec::new());
        self.objects(&world.repository(), host, &sealed, slice(&self.keys, &root));
    }

    fn frame(&self, kind: ChunkKind, chunks: &[&[u8]]) -> Frame {
        let records = chunks.iter().map(|chunk| ChunkRecord {
            id: self.keys.chunk_id(chunk),
            length: u32::try_from(chunk.len()).unwrap(),
        });
        let (records, bytes) = (records.collect(), chunks.concat());
        let raw_length = u32::try_from(bytes.len()).unwrap();
        Frame { kind, chunks: records, raw_length, codec: Codec::Plain, bytes }
    }

    fn objects(&self, repository: &Path, host: &str, sealed: &pack::SealedPack, root: Slice) {
        let create = |name: ObjectName, bytes: &[u8]| {
            let path = repository.join(name.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let (id, slot) = (self.keys.repository(), SlotId::new([3; 8]));
        let created = "2026-03-01T12:00:00Z".parse().unwrap();
        let inscription = Inscription { label: "crafted".parse().unwrap(), created };
        let key = Key::Passphrase(Passphrase::new(PASSPHRASE));
        let wrapped = Slot::wrap((&RootKey::new([1; 32]), id), slot, &key, inscription, [7; 32]);
        create(ObjectName::Descriptor, &Descriptor::new(id).to_bytes());
        create(ObjectName::Slot(slot), &wrapped.unwrap().to_bytes());
        create(ObjectName::Pack(PACK), &sealed.bytes);

        let session = ObjectName::Session(0, POINT);
        let content = Registration { host: host.to_owned(), nonce: NONCE, previous: None };
        let bytes = control::seal(&self.keys, session, &content, [0; 16]).unwrap();
        create(session, &bytes);
        let previous = Some(control::link(&self.keys, session, &bytes));
        let index = ObjectName::Index(POINT, NONCE);
        let content = IndexSegment { packs: vec![sealed.record.clone()], previous };
        let bytes = control::seal(&self.keys, index, &content, [0; 16]).unwrap();
        create(index, &bytes);
        let previous = Some(control::link(&self.keys, index, &bytes));
        let end = SessionEnd::Commit(Box::new(manifest(host, root)));
        let content = Outcome { nonce: NONCE, end, previous };
        let outcome = ObjectName::Outcome(POINT);
        create(outcome, &control::seal(&self.keys, outcome, &content, [0; 16]).unwrap());
    }
}

fn slice(keys: &Keys, chunk: &[u8]) -> Slice {
    let length = u32::try_from(chunk.len()).unwrap();
    Slice { chunk: keys.chunk_id(chunk), offset: 0, length }
}

fn entry(name: &str, kind: Kind) -> Entry {
    let metadata = Metadata { mode: 0o700, ..Metadata::default() };
    Entry { name: RawPath::new(name), kind, metadata }
}

fn manifest(host: &str, root: Slice) -> Manifest {
    Manifest {
        point: POINT,
        application: "crafted".into(),
        platform: "path".into(),
        host: host.to_owned(),
        taken: "2026-01-02T03:04:05Z".parse().unwrap(),
        level: Level::Fuzzy,
        remarks: Vec::new(),
        volumes: vec![VolumeRecord {
            name: RawPath::new("crafted"),
            source: RawPath::new("/crafted"),
            driver: "none".into(),
            mounts: Vec::new(),
            root: vec![root],
            files: 3,
            bytes: 0,
            data: 0,
        }],
        definition: serde_json::Value::Null,
        evidence: None,
        statistics: Statistics::default(),
        omissions: Vec::new(),
        occasion: None,
    }
}

fn backup(world: &World) -> String {
    world.json(["backup", "--path", "source"])["point"].as_str().unwrap().to_owned()
}

fn restores(world: &World, point: &str, source: &Path, target: &str) {
    read(world, &["restore", point, target]).succeeded();
    assert_same(source, &world.path(target).join(source.strip_prefix("/").unwrap()));
}

fn refused(output: &Output, name: &str) {
    output.ended(1);
    let named = output.stderr.lines().any(|l| l.starts_with("error: ") && l.contains(name));
    assert!(named, "{name} is not named: {output:#?}");
    assert!(!output.stderr.contains("Traceback"), "{output:#?}");
}

/// Runs the reader on the world's repository.
fn read(world: &World, arguments: &[&str]) -> Output {
    let reader = sources::root().join("tests/reader/stillpoint_reader.py");
    let arguments = ["-B".into(), reader.into_os_string()]
        .into_iter()
        .chain(arguments.iter().map(|argument| (*argument).into()));
    world.start_program(&lab::python(), arguments).finish()
}

// Objects are read-only files.
fn replace(object: &Path, bytes: &[u8]) {
    fs::remove_file(object).unwrap();
    fs::write(object, bytes).unwrap();
}

fn objects(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { objects(&path) } else { vec![path] }).collect()
}
