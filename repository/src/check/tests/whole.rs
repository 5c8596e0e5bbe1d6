//! A small repository that has an object of every kind.

use std::sync::Arc;

use format::annotation::{Annotation, Note};
use format::control::{self, Link};
use format::frame::{ChunkKind, ChunkRecord, Encoder, Frame};
use format::ids::{ObjectId, PointId, RepositoryId, SlotId};
use format::keys::RootKey;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName};
use format::prune::{Condemned, Forgotten, Generation, Pin};
use format::session::Heartbeat;
use format::slot::{Inscription, Key, KeyFile, Label, Slot};
use format::tree::{Content, Extent, Extents, Kind, Slice};
use serde::Serialize;
use serde_json::json;

use super::encoded;
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::index::tests::world::{World, keys};
use crate::store::{ReadStore as _, Store};
use crate::writer::Writer;

/// The files of every point, and what is in them.
pub(crate) const FILES: [(&str, &[u8]); 3] =
    [("a", b"the first file"), ("b", &[7; 3000]), ("c", b"shared with nobody")];

/// What was made.
pub(crate) struct Whole {
    pub(crate) world: Arc<World>,
    /// The points that can be restored.
    pub(crate) points: Vec<PointId>,
    /// One that was forgotten.
    pub(crate) forgotten: PointId,
}

impl Whole {
    /// Two points, one that was forgotten, a writer at work, a prune and a reader.
    pub(crate) async fn new() -> Self {
        let world = empty();
        let mut points = Vec::new();
        for number in 0..3 {
            points.push(point(&world, number).await);
        }
        let forgotten = points.pop().unwrap();
        let (who, when) = (String::from("keeper"), "2026-01-02T03:04:05Z".parse().unwrap());
        let outcome = |point| link_to(&world, ObjectName::Outcome(point));
        let note = Note::Hold { reason: "audit".into() };
        let annotation =
            Annotation { who: who.clone(), when, note, previous: Some(outcome(points[0])) };
        put(&world, ObjectName::Annotation(points[0], 0), &annotation);
        let (why, previous) = ("daily 7".into(), Some(outcome(forgotten)));
        let record = Forgotten { who: who.clone(), when, why, previous };
        put(&world, ObjectName::Forgotten(forgotten), &record);
        let mut previous = None;
        for number in 1..=2 {
            let nonce = ObjectId::new([9; 16]);
            let condemned = Condemned { nonce, objects: Vec::new(), previous };
            let link = put(&world, ObjectName::Condemned(number), &condemned);
            let generation = Generation { number, nonce, who: who.clone(), previous: Some(link) };
            previous = Some(put(&world, ObjectName::Generation(number), &generation));
        }
        let writer = register(&world).await;
        let session = link_to(&world, ObjectName::Session(2, writer.point()));
        let beat = Heartbeat { number: 7, generation: 2, previous: Some(session) };
        put(&world, ObjectName::Heartbeat(writer.point(), 7), &beat);
        let pin = Pin { who, when, generation: 2, points: points.clone(), previous: None };
        put(&world, ObjectName::Pin(ObjectId::new([5; 16])), &pin);
        Self { world, points, forgotten }
    }
}

/// A repository without points.
pub(crate) fn empty() -> Arc<World> {
    let world = World::new();
    slot(&world);
    world
}

/// Asserts that whatever is read of a point is what was saved, and returns the names of its files
/// that cannot be read.
pub(crate) async fn unreadable(world: &Arc<World>, point: PointId) -> Vec<&'static str> {
    let reader = world.reader();
    let all = FILES.iter().map(|(name, _)| *name).collect();
    let (Ok(Some(manifest)), Ok(chunks)) =
        (reader.point(point).await, Chunks::load(&reader, None).await)
    else {
        return all;
    };
    let mut lost = Vec::new();
    // What the listing says is known; it is read to see that it can be.
    if listing(&manifest, &chunks).await.is_err() {
        return all;
    }
    for (name, content) in FILES {
        match chunks.read(slice_of(content)).await {
            Ok(bytes) => assert_eq!(bytes, content, "wrong bytes of {name}"),
            Err(_) => lost.push(name),
        }
    }
    lost
}

async fn listing(manifest: &Manifest, chunks: &Chunks) -> Result<(), RepositoryError> {
    let root = crate::tree::root(chunks, &manifest.volumes[0].root).await?;
    let Kind::Directory { listing } = root.kind else { panic!("the root is no directory") };
    for slice in listing {
        chunks.read(slice).await?;
    }
    Ok(())
}

pub(crate) fn slice_of(bytes: &[u8]) -> Slice {
    Slice { chunk: keys().chunk_id(bytes), offset: 0, length: u32::try_from(bytes.len()).unwrap() }
}

pub(crate) async fn register(world: &Arc<World>) -> Writer {
    let store = Arc::clone(world) as Arc<dyn Store>;
    Writer::register(store, &world.reader(), "here").await.unwrap()
}

/// Stores a point with all files; each has packs of its own for data and for the tree.
pub(crate) async fn point(world: &Arc<World>, number: u8) -> PointId {
    let writer = register(world).await;
    let mut encoder = Encoder::new().unwrap();
    let mut frame = |kind, texts: &[Vec<u8>]| -> Frame {
        let record = |text: &Vec<u8>| {
            let Slice { chunk: id, length, .. } = slice_of(text);
            ChunkRecord { id, length }
        };
        encoder.encode(kind, texts.iter().map(record).collect(), &texts.concat())
    };
    let contents: Vec<Vec<u8>> = FILES.iter().map(|(_, content)| content.to_vec()).collect();
    let data = contents.chunks(1).map(|text| frame(ChunkKind::Data, text)).collect();
    let mut listing = Vec::new();
    for (name, content) in FILES {
        let extents = Extents::Here(vec![Extent::Whole(slice_of(content))]);
        let content = Content { size: content.len() as u64, extents, hash: None };
        listing.extend(encoded(name, Kind::File(content)));
    }
    let root = encoded("", Kind::Directory { listing: vec![slice_of(&listing)] });
    let root_slice = slice_of(&root);
    let tree = vec![frame(ChunkKind::Tree, &[listing]), frame(ChunkKind::Tree, &[root])];
    for frames in [data, tree] {
        let pack = writer.store_pack(writer.seal(frames).unwrap()).await.unwrap();
        writer.store_index(vec![pack]).await.unwrap();
    }
    let manifest = json!({
        "point": writer.point(), "application": format!("a{number}"), "platform": "path",
        "host": "h", "taken": "2026-01-01T00:00:00Z", "level": "fuzzy", "remarks": [],
        "volumes": [{ "name": "v", "source": "/v", "driver": "none", "mounts": [],
            "root": [root_slice], "files": 4, "bytes": 0, "data": 0 }],
        "definition": null, "evidence": null, "omissions": [],
        "statistics": { "files": 2, "scanned": 0, "read": 0, "changed": 0, "stored": 0, "sent": 0 },
    });
    let (point, generation) = (writer.point(), writer.generation());
    let Ok(standing) = writer.stand(generation).await else { panic!("there is no prune") };
    standing.commit(serde_json::from_value(manifest).unwrap()).await.unwrap();
    point
}

fn slot(world: &World) {
    let root = RootKey::new([1; 32]);
    let created = "2026-03-01T12:00:00Z".parse().unwrap();
    let inscription = Inscription { label: Label::default(), created };
    let key = Key::File(KeyFile::new([4; 32]));
    let id = SlotId::new([3; 8]);
    let repository = RepositoryId::new([2; 16]);
    let slot = Slot::wrap((&root, repository), id, &key, inscription, [6; 32]).unwrap();
    world.put(ObjectName::Slot(id), slot.to_bytes().into());
}

pub(crate) fn put<T: Serialize>(world: &World, name: ObjectName, content: &T) -> Link {
    let bytes = control::seal(&keys(), name, content, [0; 16]).unwrap();
    let link = control::link(&keys(), name, &bytes);
    world.put(name, bytes.into());
    link
}

fn link_to(world: &World, name: ObjectName) -> Link {
    control::link(&keys(), name, &world.objects()[&name])
}

/// The objects in a folder.
pub(crate) async fn listed(world: &Arc<World>, folder: Folder) -> Vec<ObjectName> {
    let mut names: Vec<_> =
        world.list(folder).await.unwrap().into_iter().map(|listed| listed.name).collect();
    names.sort_unstable();
    names
}
