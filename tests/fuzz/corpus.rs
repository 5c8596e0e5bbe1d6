//! Valid encodings of everything that is parsed.

use format::annotation::{Annotation, Note};
use format::control::{self, Link};
use format::descriptor::Descriptor;
use format::evidence::{Evidence, HookEvidence, MemberEvidence, VolumeEvidence};
use format::frame::{ChunkKind, ChunkRecord, Encoder, Frame};
use format::ids::{ObjectId, PointId, RepositoryId, SlotId};
use format::index::IndexSegment;
use format::keys::{Keys, RootKey};
use format::listing;
use format::manifest::{
    Level, Manifest, MountRecord, Occasion, Omission, Statistics, VolumeRecord,
};
use format::names::{ObjectName, PackName};
use format::pack::{self, SealedPack};
use format::prune::{Condemned, Forgotten, Generation, Pin};
use format::raw::RawPath;
use format::session::{Heartbeat, Outcome, Registration, SessionEnd};
use format::slot::{Inscription, Key, KeyFile, Slot};
use format::stream;
use format::tree::{
    Attribute, Content, Entry, Extent, Extents, FileTime, HardLink, Kind, Metadata, Slice, Stamp,
};
use serde::Serialize;
use serde_json::json;
use tests::sources;

const REPOSITORY: RepositoryId = RepositoryId::new([2; 16]);
const POINT: PointId = PointId::new([4; 16]);
const NONCE: ObjectId = ObjectId::new([5; 16]);
pub(crate) const PACK: PackName = PackName { session: POINT, id: NONCE };

pub(crate) fn keys() -> Keys {
    Keys::derive(&RootKey::new([1; 32]), REPOSITORY)
}

pub(crate) fn outcome_name() -> ObjectName {
    ObjectName::Outcome(POINT)
}

pub(crate) fn descriptors() -> Vec<Vec<u8>> {
    vec![Descriptor::new(REPOSITORY).to_bytes()]
}

pub(crate) const SLOT: SlotId = SlotId::new([3; 8]);
/// As `init` writes it; making one takes a second.
const PASSPHRASE_SLOT: &[u8] = br#"{ "slot": "0303030303030303", "kind": "passphrase", "label": "",
    "created": "2026-03-01T12:00:00Z", "algorithm": "argon2id",
    "cost": { "memory_kib": 262144, "passes": 3, "lanes": 4 },
    "salt": "0303030303030303030303030303030303030303030303030303030303030303",
    "commitment": "369e16d3e4a9e1e539618de1e9813e8c1b4db4d40d87d2fe31953287a229eeaa",
    "wrapped": "ba63dee83c1f9dd49dc58ff1726ea2345a42e7fd183c6d16b9eaf059aa9f24f57a1dc5e9f0085f4c6ccc414a62fa8fbe",
    "proof": "6c131c9a8cfc74c5f6dd2dddba98ff8caf17afda9757dd127f3eb43d9abe4713" }"#;

pub(crate) fn slots() -> Vec<Vec<u8>> {
    let root = RootKey::new([1; 32]);
    let key = Key::File(KeyFile::new([4; 32]));
    let created = "2026-03-01T12:00:00Z".parse().unwrap();
    let inscription = Inscription { label: "in the safe".parse().unwrap(), created };
    let slot = Slot::wrap((&root, REPOSITORY), SLOT, &key, inscription, [6; 32]);
    vec![slot.unwrap().to_bytes(), PASSPHRASE_SLOT.to_vec()]
}

pub(crate) fn sealed_outcome() -> Vec<u8> {
    control::seal(&keys(), outcome_name(), &outcome(), [0; 16]).unwrap()
}

pub(crate) fn registrations() -> Vec<Vec<u8>> {
    json(&[Registration { host: "hôst".into(), nonce: NONCE, previous: None }])
}

pub(crate) fn outcomes() -> Vec<Vec<u8>> {
    let ended = |end| Outcome { nonce: NONCE, end, previous: Some(link()) };
    json(&[outcome(), ended(SessionEnd::Fenced), ended(SessionEnd::Repacked)])
}

pub(crate) fn heartbeats() -> Vec<Vec<u8>> {
    json(&[Heartbeat { number: 7, generation: u64::MAX, previous: Some(link()) }])
}

pub(crate) fn generations() -> Vec<Vec<u8>> {
    json(&[Generation { number: 1, nonce: NONCE, who: "me".into(), previous: Some(link()) }])
}

pub(crate) fn condemned() -> Vec<Vec<u8>> {
    let objects = vec![ObjectName::Pack(PACK), ObjectName::Index(POINT, NONCE)];
    json(&[Condemned { nonce: NONCE, objects, previous: None }])
}

pub(crate) fn forgotten() -> Vec<Vec<u8>> {
    let (who, why) = ("me".into(), "daily 7".into());
    json(&[Forgotten { who, when: when(), why, previous: Some(link()) }])
}

pub(crate) fn annotations() -> Vec<Vec<u8>> {
    let notes = [
        Note::Drill { passed: false, detail: "no answer".into() },
        Note::Hold { reason: "audit".into() },
        Note::Release,
        Note::Tag { tag: "a".into() },
        Note::Untag { tag: "a".into() },
        Note::Verified { bytes: 1 << 40 },
        Note::Other,
    ];
    json(&notes.map(|note| Annotation {
        who: "me".into(),
        when: when(),
        note,
        previous: Some(link()),
    }))
}

pub(crate) fn pins() -> Vec<Vec<u8>> {
    let points = vec![POINT, PointId::new([9; 16])];
    json(&[Pin { who: "me".into(), when: when(), generation: 3, points, previous: None }])
}

pub(crate) fn segments() -> Vec<Vec<u8>> {
    let segment = |previous| IndexSegment { packs: vec![sealed_pack().record; 2], previous };
    [None, Some(link())].map(|p| postcard::to_allocvec(&segment(p)).unwrap()).to_vec()
}

pub(crate) fn sealed_pack() -> SealedPack {
    pack::seal(&keys(), PACK, vec![frame(&b"some text ".repeat(50)), frame(&[7])], Vec::new())
}

pub(crate) fn footers() -> Vec<Vec<u8>> {
    // As docs/format.md#packs has it: the type of the footer is the pack's own.
    let frames: Vec<_> = sealed_pack()
        .record
        .frames
        .into_iter()
        .map(|f| (f.kind, f.codec, f.length, f.raw_length, f.chunks))
        .collect();
    vec![postcard::to_allocvec(&frames).unwrap(), vec![0]]
}

pub(crate) fn frames() -> Vec<Vec<u8>> {
    [b"some text ".repeat(500), vec![1, 2, 3]]
        .map(|plaintext| {
            let frame = frame(&plaintext);
            [&[frame.codec as u8], &frame.raw_length.to_le_bytes()[..], &frame.bytes].concat()
        })
        .to_vec()
}

pub(crate) fn listings() -> Vec<Vec<u8>> {
    let kinds = [
        Kind::File(Content::default()),
        Kind::File(Content { size: 4111, extents: extents_here(), hash: None }),
        Kind::File(Content { size: 9, extents: Extents::Stored(vec![slice(9)]), hash: None }),
        Kind::Directory { listing: vec![slice(1); 3] },
        Kind::Symlink { target: RawPath::new("../a") },
        Kind::Fifo,
        Kind::Socket,
        Kind::CharacterDevice { major: 1, minor: 3 },
        Kind::BlockDevice { major: 7, minor: u32::MAX },
    ];
    let mut listing = Vec::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        listing::write(&entry(&format!("name {number}"), kind), &mut listing);
    }
    vec![listing]
}

pub(crate) fn roots() -> Vec<Vec<u8>> {
    let mut root = Vec::new();
    listing::write(&entry("", Kind::Directory { listing: vec![slice(1)] }), &mut root);
    vec![root]
}

pub(crate) fn extents() -> Vec<Vec<u8>> {
    let Extents::Here(extents) = extents_here() else { return Vec::new() };
    let mut bytes = Vec::new();
    for extent in &extents {
        stream::write(extent, &mut bytes);
    }
    vec![bytes]
}

pub(crate) fn paths() -> Vec<Vec<u8>> {
    texts(&["srv/Übung.txt", "a\\x0ab\\xff\\\\", "\\\\"])
}

pub(crate) fn names() -> Vec<Vec<u8>> {
    let names = [
        ObjectName::Descriptor,
        ObjectName::Slot(SlotId::new([0xab; 8])),
        ObjectName::Generation(u64::MAX),
        ObjectName::Condemned(0),
        ObjectName::Session(17, POINT),
        ObjectName::Outcome(POINT),
        ObjectName::Pack(PACK),
        ObjectName::Index(POINT, NONCE),
        ObjectName::Heartbeat(POINT, 1),
        ObjectName::Forgotten(POINT),
        ObjectName::Annotation(POINT, 2),
        ObjectName::Pin(NONCE),
        ObjectName::Probe(NONCE),
    ];
    names.map(|name| name.to_string().into_bytes()).to_vec()
}

pub(crate) fn locations() -> Vec<Vec<u8>> {
    texts(&["backup", "file:///srv/backup", "s3://bucket/a/b/"])
}

pub(crate) fn schedules() -> Vec<Vec<u8>> {
    texts(&[
        "hourly :15 keep 4",
        "daily \"02:00\"",
        "weekly sunday@12:00",
        "monthly 31@23:59",
        "every 15m",
        "cron 0-30/7,45 2 */3 jan-mar mon",
        "periodic=60,10",
        "daily=@12:00,retain=7",
        "weekly=sunday@12:00,2",
    ])
}

pub(crate) fn configurations() -> Vec<Vec<u8>> {
    let example = sources::root().join("deploy/config.toml");
    vec![std::fs::read(example).unwrap(), b"[policies.p]\nschedules = [\"hourly\"]".to_vec()]
}

fn outcome() -> Outcome {
    let end = SessionEnd::Commit(Box::new(manifest()));
    Outcome { nonce: NONCE, end, previous: Some(link()) }
}

fn manifest() -> Manifest {
    let name = RawPath::new(b"data\xff".to_vec());
    Manifest {
        point: POINT,
        application: "shop".into(),
        platform: "docker".into(),
        host: "here".into(),
        taken: when(),
        level: Level::Crash,
        remarks: vec!["a remark".into()],
        volumes: vec![VolumeRecord {
            name: name.clone(),
            source: RawPath::new("/srv/data"),
            driver: "btrfs".into(),
            mounts: vec![MountRecord {
                member: "db".into(),
                target: RawPath::new("/data"),
                read_only: true,
            }],
            root: vec![slice(100)],
            files: 1,
            bytes: 2,
            data: 3,
        }],
        definition: json!({"secret": [1, null, 2.5], "deep": {"er": {}}}),
        evidence: Some(Evidence {
            window_micros: 5000,
            deadline_micros: 10_000_000,
            members: vec![MemberEvidence {
                name: "db".into(),
                method: "cgroup-v2".into(),
                freeze_micros: Some(0),
                frozen_micros: Some(10),
                thawed_micros: None,
                continuous: true,
            }],
            volumes: vec![VolumeEvidence {
                name: name.clone(),
                driver: "btrfs".into(),
                begin_micros: 11,
                end_micros: 12,
            }],
            hooks: vec![HookEvidence {
                member: "db".into(),
                hook: "pre".into(),
                begin_micros: -300,
                end_micros: -1,
                error: Some("it ended with status 1".into()),
            }],
        }),
        statistics: Statistics::default(),
        omissions: vec![Omission {
            volume: name,
            path: RawPath::new("a"),
            reason: "Permission denied".into(),
        }],
        occasion: Some(Occasion {
            policy: "nightly".to_owned(),
            due: when(),
            schedules: vec!["daily \"02:00\"".to_owned()],
        }),
    }
}

fn entry(name: &str, kind: Kind) -> Entry {
    let changed = FileTime { seconds: -1, nanoseconds: 999_999_999 };
    let attribute = Attribute { name: RawPath::new("user.a"), value: vec![0, 255] };
    let metadata = Metadata {
        mode: 0o7755,
        uid: 1000,
        gid: u32::MAX,
        modified: changed,
        attributes: vec![attribute],
        hard_link: Some(HardLink { filesystem: 0, inode: 1 << 60 }),
        stamp: Some(Stamp { inode: 300, changed }),
    };
    Entry { name: RawPath::new(name), kind, metadata }
}

fn extents_here() -> Extents {
    let digest = keys().digest(b"part");
    let extents = [
        Extent::Whole(slice(10)),
        Extent::Part { slice: slice(5), digest },
        Extent::Hole { length: 4096 },
    ];
    Extents::Here(extents.to_vec())
}

fn slice(length: u32) -> Slice {
    Slice { chunk: keys().chunk_id(b"chunk"), offset: 0, length }
}

fn frame(plaintext: &[u8]) -> Frame {
    let length = u32::try_from(plaintext.len()).unwrap();
    let chunks = vec![ChunkRecord { id: keys().chunk_id(plaintext), length }];
    Encoder::new().unwrap().encode(ChunkKind::Data, chunks, plaintext)
}

fn link() -> Link {
    control::link(&keys(), ObjectName::Condemned(1), b"bytes")
}

fn when() -> jiff::Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

fn json<T: Serialize>(values: &[T]) -> Vec<Vec<u8>> {
    values.iter().map(|value| serde_json::to_vec(value).unwrap()).collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
