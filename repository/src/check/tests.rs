//! What a check finds, and in which order.

#![allow(clippy::cast_possible_truncation, reason = "a test may panic")]

mod evidence;
pub(crate) mod whole;

use std::sync::Arc;

use format::control;
use format::frame::ChunkRecord;
use format::ids::{ObjectId, PointId};
use format::listing;
use format::names::ObjectName;
use format::pack::PackRecord;
use format::session::{Outcome, SessionEnd};
use format::tree::{Content, Entry, Extent, Extents, Kind, Metadata, Slice};
use serde_json::json;

use super::{CheckReport, Finding, check};
use crate::index::tests::world::{World, keys, plaintext};

const POINT: PointId = PointId::new([9; 16]);

/// A repository with one point, of one file; and its two packs: the file's and the tree's.
fn repository() -> (Arc<World>, PackRecord, PackRecord) {
    let world = World::new();
    let data = world.pack(0..4);
    let extents = chunks(&data).map(Extent::Whole).collect();
    let size = (0..4).map(|n| plaintext(n).len() as u64).sum();
    let content = Content { size, extents: Extents::Here(extents), hash: None };
    let file = encoded("file", Kind::File(content));
    let slice = Slice { chunk: keys().chunk_id(&file), offset: 0, length: file.len() as u32 };
    let root = encoded("", Kind::Directory { listing: vec![slice] });
    let tree = world.pack_of(&[file, root]);
    let root: Vec<Slice> = chunks(&tree).skip(1).collect();
    let manifest = json!({
        "point": POINT, "application": "a", "platform": "path", "host": "h",
        "taken": "2026-01-01T00:00:00Z", "level": "fuzzy", "remarks": [],
        "volumes": [{ "name": "v", "source": "/v", "driver": "none", "mounts": [],
            "root": root, "files": 2, "bytes": size, "data": size }],
        "definition": null, "evidence": null, "omissions": [],
        "statistics": { "files": 2, "scanned": 0, "read": 0, "changed": 0, "stored": 0, "sent": 0 },
    });
    let end = SessionEnd::Commit(serde_json::from_value(manifest).unwrap());
    let outcome = Outcome { nonce: ObjectId::new([0; 16]), end, previous: None };
    let name = ObjectName::Outcome(POINT);
    world.put(name, control::seal(&keys(), name, &outcome, [0; 16]).unwrap().into());
    (world, data, tree)
}

fn chunks(pack: &PackRecord) -> impl Iterator<Item = Slice> {
    let chunks = pack.frames.iter().flat_map(|frame| &frame.chunks);
    chunks.map(|ChunkRecord { id, length }| Slice { chunk: *id, offset: 0, length: *length })
}

fn encoded(name: &str, kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::new();
    let name = format::raw::RawPath::new(name);
    listing::write(&Entry { name, kind, metadata: Metadata::default() }, &mut bytes);
    bytes
}

async fn checked(world: &Arc<World>) -> CheckReport {
    check(&world.reader(), true).await.unwrap()
}

#[tokio::test]
async fn a_whole_repository_has_no_findings() {
    let (world, data, tree) = repository();
    // Named twice, and in the same words: nothing is wrong with that.
    world.segment([data.clone(), tree]);
    world.segment([data]);
    let report = checked(&world).await;
    assert_eq!(report.findings, []);
    assert_eq!((report.points, report.packs, report.packs_read, report.chunks), (1, 2, 2, 6));
}

#[tokio::test]
async fn a_missing_pack_is_found_once_and_so_is_the_file_in_it() {
    let (world, data, tree) = repository();
    world.segment([tree, data.clone()]);
    world.segment([data.clone()]);
    world.remove(ObjectName::Pack(data.name));
    let report = checked(&world).await;
    let missing = Finding::MissingPack { object: ObjectName::Pack(data.name) };
    assert!(matches!(
        report.findings.as_slice(),
        [first, Finding::LostFile { path, reason, .. }]
            if *first == missing && path.as_bytes() == b"file" && reason.starts_with("4 of its")
    ));
}

#[tokio::test]
async fn a_damaged_segment_is_found_and_its_packs_do_not_count() {
    let (world, data, tree) = repository();
    world.segment([tree]);
    let bad = world.segment([data]);
    world.change(bad, |bytes| bytes[90] ^= 1);
    let report = checked(&world).await;
    assert!(matches!(
        report.findings.as_slice(),
        [Finding::DamagedIndex { object, .. }, Finding::LostFile { .. }] if *object == bad
    ));
    assert_eq!(report.chunks, 2);
}

#[tokio::test]
async fn a_segment_that_contradicts_a_footer_is_found_with_the_data() {
    let (world, data, tree) = repository();
    let mut other = data.clone();
    other.frames[0].chunks.swap(0, 1);
    world.segment([data, tree]);
    world.segment([other.clone()]);
    let report = checked(&world).await;
    let says = |reason: &String| reason.contains("says something else");
    assert!(matches!(
        report.findings.as_slice(),
        [Finding::DamagedPack { object, reason }]
            if *object == ObjectName::Pack(other.name) && says(reason)
    ));
    assert_eq!(check(&world.reader(), false).await.unwrap().findings, []);
}
