//! Many restore points in no time: manifests without files.

use std::path::Path;
use std::sync::Arc;

use format::manifest::{Level, Manifest, Statistics, VolumeRecord};
use format::raw::RawPath;
use format::slot::Key;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use repository::error::RepositoryError;
use repository::reader::Reader;
use repository::store::local::LocalStore;
use repository::store::{ReadStore, Store};
use repository::writer::Writer;
use service::key::KeySource;

use crate::world::World;

/// How many applications there are, with how many volumes each.
const APPLICATIONS: u32 = 100;
const VOLUMES: u32 = 16;
/// How many points are written at once.
const WRITERS: usize = 32;

/// Adds this many restore points to the repository of a world with a key file.
pub fn add(world: &World, count: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let key = KeySource::File(world.path("key")).read().unwrap();
    runtime.block_on(write(&world.repository(), &key, count)).unwrap();
}

async fn write(repository: &Path, key: &Key, count: u32) -> Result<(), RepositoryError> {
    let store = Arc::new(LocalStore::new(repository));
    let readable: Arc<dyn ReadStore> = Arc::<LocalStore>::clone(&store);
    let reader = Reader::open(readable, key).await?;
    let point = async |number| {
        let writable: Arc<dyn Store> = Arc::<LocalStore>::clone(&store);
        let writer = Writer::register(writable, &reader, "many").await?;
        let manifest = manifest(&writer, number);
        writer.stand(0).await.expect("nobody prunes").commit(manifest).await
    };
    stream::iter(0..count).map(point).buffer_unordered(WRITERS).try_collect().await
}

fn manifest(writer: &Writer, number: u32) -> Manifest {
    let volume = |volume: u32| VolumeRecord {
        name: RawPath::new(format!("volume-{volume}")),
        source: RawPath::new(format!("/srv/volume-{volume}")),
        driver: "btrfs".into(),
        mounts: Vec::new(),
        root: Vec::new(),
        files: 0,
        bytes: 0,
        data: 0,
    };
    let application = format!("application-{}", number % APPLICATIONS);
    Manifest {
        point: writer.point(),
        definition: serde_json::json!({ "containers": [{ "name": application }] }),
        application,
        platform: "docker".into(),
        host: "many".into(),
        taken: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(number.into()),
        level: Level::Crash,
        remarks: Vec::new(),
        volumes: (0..VOLUMES).map(volume).collect(),
        evidence: None,
        statistics: Statistics::default(),
        omissions: Vec::new(),
        occasion: None,
    }
}
