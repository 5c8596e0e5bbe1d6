//! Power cuts: whatever the store said is there is there, and nothing is there in part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::descriptor::Descriptor;
use format::ids::{ObjectId, RepositoryId};
use format::keys::{Keys, RootKey};
use format::manifest::{Level, Manifest, Statistics};

use super::record::{Disks, Event, Fate, Files, Recorder};
use crate::check;
use crate::reader::Reader;
use crate::store::local::LocalStore;
use crate::store::remote::RemoteStore;
use crate::store::{MaintainStore, ReadStore, Store};
use crate::writer::Writer;
use format::names::ObjectName;

/// How many restore points are made.
const POINTS: usize = 4;
/// In how many orders the points that come after the first are made at the same time.
const ORDERS: u64 = 36;
/// How often chance decides what is left at each moment.
const SAMPLES: u64 = 12;
const STATES_MIN: usize = 2000;

/// Three fates that are not left to chance, and many that are.
struct Lot {
    number: u64,
    noise: u64,
}

impl Lot {
    fn all(seed: u64) -> impl Iterator<Item = Self> {
        (0..3 + SAMPLES).map(move |number| Self { number, noise: seed << 20 | number << 8 })
    }

    fn next(&mut self) -> u64 {
        self.noise = self.noise.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.noise ^ self.noise >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB) >> 33
    }
}

impl Fate for Lot {
    fn keeps_change(&mut self) -> bool {
        match self.number {
            0 => false,
            1 | 2 => true,
            _ => self.next().is_multiple_of(2),
        }
    }

    fn leaves(&mut self, bytes: &[u8]) -> Vec<u8> {
        let choice = match self.number {
            0 | 1 => 0,
            2 => 3,
            _ => self.next() % 4,
        };
        match choice {
            0 => Vec::new(),
            1 => bytes[..bytes.len() / 2].to_vec(),
            2 => vec![0; bytes.len()],
            _ => bytes.to_vec(),
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut_at_any_moment() {
    let script = Script::record();
    let mut states = BTreeSet::new();
    for order in 0..ORDERS {
        let events = script.at_once(order);
        script.replay(&events, |_| true, &mut states).unwrap_or_else(|lost| panic!("{lost}"));
    }
    assert!(states.len() >= STATES_MIN, "{}", states.len());
}

#[test]
fn without_any_one_of_the_syncs_something_is_lost() {
    let script = Script::record();
    let objects: BTreeSet<&Path> = script.bytes.keys().filter_map(|path| path.parent()).collect();
    let after_delete: BTreeSet<usize> = (0..script.events.len() - 1)
        .filter(|at| matches!(script.events[*at], Event::Remove(_)))
        .map(|at| at + 1)
        .collect();
    let without = |what: &str, is_left_out: &dyn Fn(usize, &Event) -> bool| {
        let number = script.events.iter().enumerate().filter(|(at, it)| is_left_out(*at, it));
        assert!(number.count() > 0, "there is no {what}");
        let kept = |(at, event): (usize, &Event)| !is_left_out(at, event);
        let replayed = script.replay(&script.events, kept, &mut BTreeSet::new());
        assert!(replayed.is_err(), "nothing is lost without the {what}");
    };
    without("sync of a file", &|_, it| matches!(it, Event::SyncFile(_)));
    without(
        "sync of the folder of an object",
        &|_, it| matches!(it, Event::SyncFolder(folder) if objects.contains(folder.as_path())),
    );
    without(
        "sync of the folders above it",
        &|_, it| matches!(it, Event::SyncFolder(folder) if !objects.contains(folder.as_path())),
    );
    without("sync after a deletion", &|at, it| {
        matches!(it, Event::SyncFolder(_)) && after_delete.contains(&at)
    });
}

/// A repository in the making, event by event.
struct Script {
    root: PathBuf,
    keys: (RootKey, RepositoryId),
    events: Vec<Event>,
    /// Where the events of each point begin.
    starts: Vec<usize>,
    /// What every object holds.
    bytes: BTreeMap<PathBuf, Vec<u8>>,
}

impl Script {
    // Makes points one after another, each with two packs, and probes that come and go.
    fn record() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let above = folder.path().to_path_buf();
        let disk = Arc::new(Recorder::default());
        let store = LocalStore {
            root: above.join("a/repository"),
            disk: Arc::<Recorder>::clone(&disk) as _,
        };
        store.create_folder(&store.root, None).unwrap();
        let keys = (RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let mut starts = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let told = Told { store: store.clone(), disk: Arc::clone(&disk) };
            let shared: Arc<dyn Store> = Arc::new(told.clone());
            let readable: Arc<dyn ReadStore> = Arc::<dyn Store>::clone(&shared);
            let reader = Reader::with_keys(readable, Keys::derive(&keys.0, keys.1));
            for number in 0..POINTS {
                starts.push(disk.events().len());
                let probe = ObjectName::Probe(ObjectId::new([u8::try_from(number).unwrap(); 16]));
                told.create(probe, format!("probe {number}").into()).await.unwrap();
                let writer = Writer::register(Arc::clone(&shared), &reader, "host").await.unwrap();
                let mut packs = Vec::new();
                for _ in 0..2 {
                    let pack = writer.seal(Vec::new()).unwrap();
                    packs.push(writer.store_pack(pack).await.unwrap());
                }
                writer.store_index(packs).await.unwrap();
                let manifest = manifest(writer.point());
                let generation = writer.generation();
                let standing = writer.stand(generation).await.unwrap();
                standing.commit(manifest).await.unwrap();
                told.delete(probe).await.unwrap();
            }
        });
        let events = disk.events();
        let mut bytes = BTreeMap::new();
        let mut unfinished = BTreeMap::new();
        for event in &events {
            match event {
                Event::Write(path, content) => drop(unfinished.insert(path, content)),
                Event::Publish(from, to) => {
                    drop(bytes.insert(to.clone(), unfinished[from].clone()));
                }
                _ => {}
            }
        }
        Self { root: above, keys, events, starts, bytes }
    }

    // The first point alone, for it makes the folders that all share, then all others at once.
    fn at_once(&self, order: u64) -> Vec<Event> {
        let (first, rest) = self.events.split_at(self.starts[1]);
        let bounds = self.starts[1..].windows(2).map(|pair| pair[0]..pair[1]);
        let last = self.starts[self.starts.len() - 1]..self.events.len();
        let mut strands: Vec<_> =
            bounds.chain([last]).map(|range| self.events[range].iter()).collect();
        let mut events = first.to_vec();
        let mut lot = Lot { number: 3, noise: order };
        while events.len() < first.len() + rest.len() {
            let chosen = usize::try_from(lot.next()).unwrap() % strands.len();
            events.extend(strands[chosen].next().cloned());
        }
        events
    }

    // Cuts the power after every event, in many ways; the events that `kept` refuses never happen.
    fn replay(
        &self,
        events: &[Event],
        kept: impl Fn((usize, &Event)) -> bool,
        seen: &mut BTreeSet<Vec<(PathBuf, Vec<u8>)>>,
    ) -> Result<(), String> {
        let mut disks = Disks::default();
        let mut promised = Promised::default();
        for (at, event) in events.iter().enumerate() {
            if kept((at, event)) {
                disks.apply(event);
            }
            promised.note(event);
            for mut lot in Lot::all(at as u64) {
                let files = disks.after_power_cut(&self.root, &mut lot);
                let is_new = seen.insert(files.clone().into_iter().collect::<Vec<_>>());
                if is_new || lot.number == 0 {
                    self.judge(&files, &promised).map_err(|e| format!("after {at}: {e}"))?;
                }
            }
        }
        Ok(())
    }

    fn judge(&self, files: &Files, promised: &Promised) -> Result<(), String> {
        for path in &promised.there {
            if !files.contains_key(path) {
                return Err(format!("{} is lost", path.display()));
            }
        }
        for path in &promised.gone {
            if files.contains_key(path) {
                return Err(format!("{} is there again", path.display()));
            }
        }
        for (path, found) in files {
            if self.bytes.get(path).is_some_and(|bytes| bytes != found) {
                return Err(format!("{} is torn", path.display()));
            }
        }
        self.open(files, promised)
    }

    // As a repository: every point that was committed is there, and all is well.
    fn open(&self, files: &Files, promised: &Promised) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = RemoteStore::in_memory();
            let root = self.root.join("a/repository");
            let mut committed = 0;
            for (path, bytes) in files {
                let Ok(name) = path.strip_prefix(&root).unwrap().to_str().unwrap().parse() else {
                    continue;
                };
                store.create(name, bytes.clone().into()).await.unwrap();
                let is_point = matches!(name, ObjectName::Outcome(_));
                committed += usize::from(is_point && promised.there.contains(path));
            }
            let descriptor = Descriptor::new(self.keys.1).to_bytes();
            store.create(ObjectName::Descriptor, descriptor.into()).await.unwrap();
            let keys = Keys::derive(&self.keys.0, self.keys.1);
            let reader = Reader::with_keys(Arc::new(store), keys);
            let report = check::check(&reader, true).await.map_err(|e| e.to_string())?;
            match report.findings.first() {
                Some(finding) => Err(format!("{finding:?}")),
                None if report.points < committed as u64 => Err("a point is lost".into()),
                None => Ok(()),
            }
        })
    }
}

/// What the store has said so far.
#[derive(Default)]
struct Promised {
    there: BTreeSet<PathBuf>,
    gone: BTreeSet<PathBuf>,
}

impl Promised {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Created(path) => drop(self.there.insert(path.clone())),
            Event::Deleting(path) => drop(self.there.remove(path)),
            Event::Deleted(path) => drop(self.gone.insert(path.clone())),
            _ => {}
        }
    }
}

/// A store that writes down what it promises.
#[derive(Clone, Debug)]
struct Told {
    store: LocalStore,
    disk: Arc<Recorder>,
}

#[async_trait::async_trait]
impl ReadStore for Told {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn get(&self, name: ObjectName) -> Result<bytes::Bytes, crate::store::StoreError> {
        self.store.get(name).await
    }

    async fn get_range(
        &self,
        name: ObjectName,
        range: std::ops::Range<u64>,
    ) -> Result<bytes::Bytes, crate::store::StoreError> {
        self.store.get_range(name, range).await
    }

    async fn list(
        &self,
        folder: format::names::Folder,
    ) -> Result<Vec<crate::store::Listed>, crate::store::StoreError> {
        self.store.list(folder).await
    }
}

#[async_trait::async_trait]
impl Store for Told {
    async fn create(
        &self,
        name: ObjectName,
        bytes: bytes::Bytes,
    ) -> Result<(), crate::store::StoreError> {
        self.store.create(name, bytes).await?;
        self.disk.add(Event::Created(self.store.path(name)));
        Ok(())
    }
}

#[async_trait::async_trait]
impl MaintainStore for Told {
    async fn delete(&self, name: ObjectName) -> Result<(), crate::store::StoreError> {
        self.disk.add(Event::Deleting(self.store.path(name)));
        self.store.delete(name).await?;
        self.disk.add(Event::Deleted(self.store.path(name)));
        Ok(())
    }
}

fn manifest(point: format::ids::PointId) -> Manifest {
    Manifest {
        point,
        application: "a".into(),
        platform: "path".into(),
        host: "host".into(),
        taken: jiff::Timestamp::UNIX_EPOCH,
        level: Level::Fuzzy,
        remarks: Vec::new(),
        volumes: Vec::new(),
        definition: serde_json::Value::Null,
        evidence: None,
        statistics: Statistics::default(),
        omissions: Vec::new(),
        occasion: None,
    }
}
