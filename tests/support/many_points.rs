//! Many restore points in no time: manifests without files.

use std::path::Path;
use std::sync::Arc;

use format::manifest::{Level, Manifest, Statistics, VolumeRecord};
use format::raw::RawPath;
use format::slot::{Key, Passphrase};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use repository::error::RepositoryError;
use repository::reader::Reader;
use repository::store::local::LocalStore;
use repository::store::{ReadStore, Store};
use repository::writer::Writer;

use crate::world::PASSPHRASE;

/// How many applications there are, with how many volumes each.
const APPLICATIONS: u32 = 100;
const VOLUMES: u32 = 16;
/// How many points are written at once.
const WRITERS: usize = 32;

/// Adds this many restore points to a repository that the passphrase opens.
pub fn add(repository: &Path, count: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(write(repository, count)).unwrap();
}

async fn write(repository: &Path, count: u32) -> Result<(), RepositoryError> {
    let store = Arc::new(LocalStore::new(repository));
    let readable: Arc<dyn ReadStore> = Arc::<LocalStore>::clone(&store);
    let reader = Reader::open(readable, &Key::Passphrase(Passphrase::new(PASSPHRASE))).await?;
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
