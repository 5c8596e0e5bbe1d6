//! Repositories that were written once, when their version of the format was made, and are never
//! written again: whatever the program becomes, it reads them. See tests/golden/README.md.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use format::control;
use format::frame::{ChunkKind, ChunkRecord, Encoder};
use format::names::ObjectName;
use format::slot::{Key, Passphrase};
use jiff::Timestamp;
use repository::annotate::annotate;
use repository::pin::{self, Pinned};
use repository::reader::Reader;
use repository::store::local::LocalStore;
use repository::store::{MaintainStore, ReadStore, Store};
use repository::writer::Writer;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::compare::assert_same;
use tests::every_kind::noise;
use tests::golden::{change_tree, make_tree, set_times, text_of, unpack};
use tests::world::{PASSPHRASE, World};

/// The repository of version 1, and what unlocks it.
const V1: &str = include_str!("golden/v1/repository.txt");
const V1_KEYS: &str = include_str!("golden/v1/keys.txt");
const V1_SHA256: [&str; 2] = [
    "e7878c67c4b28728df2e59d9e239830dd410c3a15579622909a993701f3e6c01",
    "5cd64bc2117e4e6d838a5a2aac8099794c89b2b33caf4b7d6638128fa34cf16a",
];
/// How the name of the application's volume ends; of the other points it is the path of the tree.
const SERVICE: &str = "service";

#[test]
fn nobody_has_edited_a_golden_repository() {
    for (text, wanted) in [V1, V1_KEYS].into_iter().zip(V1_SHA256) {
        let found: Vec<String> = Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found.concat(), wanted);
    }
}

#[test]
fn version_1_is_unlocked_by_each_of_its_keys() {
    let (mut world, recovery) = v1();
    let points = world.json(["points"]);
    world.unset("STILLPOINT_PASSPHRASE");
    assert_eq!(world.json(["points", "--key-file", "keys/file"]), points);
    world.set("STILLPOINT_RECOVERY_KEY", recovery);
    assert_eq!(world.json(["points"]), points);
}

#[test]
fn version_1_is_read() {
    let (world, _) = v1();
    let points = world.json(["points"]);
    let [application, second, first] = points.as_array().unwrap().as_slice() else {
        panic!("{points}")
    };
    assert_eq!(first["tags"], json!(["golden"]), "{points}");
    assert_eq!(first["held"], "golden", "{points}");
    assert!(second["verified"].is_string() && second["drill"]["passed"] == true, "{points}");
    let checked = world.json(["check", "--read-data"]);
    assert_eq!(checked["findings"], json!([]), "{checked}");
    let shown = world.json(["show", application["point"].as_str().unwrap()]);
    assert_eq!(shown["level"], "crash", "{shown}");
    assert_eq!(shown["evidence"]["members"][0]["continuous"], true, "{shown}");

    make_tree(&world.path("tree"));
    assert_same(&world.path("tree"), &restored(&world, first));
    change_tree(&world.path("tree"));
    assert_same(&world.path("tree"), &restored(&world, second));
    let service = restored(&world, application);
    assert_eq!(fs::read(service.join("file")).unwrap(), b"written by a service");
}

#[test]
fn version_1_is_written_to() {
    let (world, _) = v1();
    let points = world.json(["points"]);
    let ids: Vec<&str> = points.as_array().unwrap().iter().map(id).collect();
    make_tree(&world.path("tree"));
    change_tree(&world.path("tree"));
    let report = world.json(["backup", "--path", "tree"]);
    // Everything is there already but the listings, which have other numbers and times of change.
    assert!(report["statistics"]["stored"].as_u64().unwrap() < 100_000, "{report}");
    world.stillpoint(["release", ids[2]]).succeeded();
    world.stillpoint(["forget", ids[0], ids[1], ids[2]]).succeeded();
    let pin = fs::read_dir(world.repository().join("pin")).unwrap().next().unwrap().unwrap();
    let pin = pin.file_name().into_string().unwrap();
    let prune = ["prune", "--unpin", &pin, "--stalled-after", "1s", "--max-unused", "0"];
    let pruned = world.json(prune);
    assert_eq!(pruned["report"]["ended"].as_array().unwrap().len(), 1, "{pruned}");
    assert_same(&world.path("tree"), &restored(&world, &report));
    world.stillpoint(["check", "--read-data"]).succeeded();
    let config: Value =
        serde_json::from_slice(&fs::read(world.repository().join("config")).unwrap()).unwrap();
    assert_eq!(config["version"], 1, "a repository keeps its version");
}

fn id(point: &Value) -> &str {
    point["point"].as_str().unwrap()
}

/// A world with the repository of version 1; its passphrase is every world's. And its recovery key.
fn v1() -> (World, String) {
    let world = World::empty();
    unpack(V1, &world.repository());
    unpack(V1_KEYS, &world.path("keys"));
    let file = fs::Permissions::from_mode(0o600);
    fs::set_permissions(world.path("keys/file"), file).unwrap();
    let recovery = fs::read_to_string(world.path("keys/recovery")).unwrap();
    (world, recovery)
}

/// The only volume of a point.
fn restored(world: &World, point: &Value) -> PathBuf {
    let shown = world.json(["show", id(point)]);
    let target = world.path(id(point));
    world.stillpoint(["restore", id(point), "--to", id(point), "--no-pin"]).succeeded();
    target.join(shown["volumes"][0]["name"].as_str().unwrap().trim_start_matches('/'))
}

/// Writes `target/golden/v1`, from which the files here were taken. It is kept to show what is in
/// them, and for the next version.
#[test]
#[ignore = "golden repositories are written once"]
fn make() {
    let world = World::empty();
    let recovery = world.json(["init"])["recovery_key"].as_str().unwrap().to_owned();
    world.stillpoint(["key", "add", "--new-key-file", "key", "--label", "golden"]).succeeded();
    let tree = world.path("tree");
    fs::create_dir(&tree).unwrap();
    make_tree(&tree);
    // So much of its pack that the prune writes anew what is left of it.
    fs::write(tree.join("forgotten"), noise(1, 60_000)).unwrap();
    let forgotten = world.json(["backup", "--path", "tree"]);
    fs::remove_file(tree.join("forgotten")).unwrap();
    set_times(&tree);
    let first = world.json(["backup", "--path", "tree", "--tag", "golden", "--tag", "gone"]);
    world.stillpoint(["tag", id(&first), "--remove", "gone"]).succeeded();
    world.stillpoint(["hold", id(&first), "--reason", "golden"]).succeeded();
    change_tree(&tree);
    let second = world.json(["backup", "--path", "tree"]);
    world.stillpoint(["verify", id(&second)]).succeeded();
    back_up_service(&world);
    world.stillpoint(["forget", id(&forgotten)]).succeeded();
    let pruned = world.json(["prune", "--max-unused", "0"]);
    assert!(pruned["report"]["copied"].as_u64().unwrap() > 0, "{pruned}");
    let key = Key::Passphrase(Passphrase::new(PASSPHRASE));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(leave_behind(&world.repository(), &key, &second));
    fs::create_dir(world.path("keys")).unwrap();
    fs::write(world.path("keys/recovery"), recovery).unwrap();
    fs::copy(world.path("key"), world.path("keys/file")).unwrap();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../golden/v1");
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("repository.txt"), text_of(&world.repository())).unwrap();
    fs::write(out.join("keys.txt"), text_of(&world.path("keys"))).unwrap();
}

/// Backs up a process of this machine with its directory, frozen.
fn back_up_service(world: &World) {
    let directory = world.path(SERVICE);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("file"), b"written by a service").unwrap();
    let mut process = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(world.path("pid"), process.id().to_string()).unwrap();
    let config = format!(
        "[applications.golden]\nplatform = \"host\"\ndirectories = [\"{}\"]\n\
         processes = [{{ name = \"sleeper\", pid_file = \"{}\" }}]\n",
        directory.display(),
        world.path("pid").display()
    );
    fs::write(world.path("config.toml"), config).unwrap();
    world.stillpoint(["--config", "config.toml", "backup", "golden"]).succeeded();
    process.kill().unwrap();
    process.wait().unwrap();
}

/// What no command leaves unless it is cut off, or is a newer one.
async fn leave_behind(repository: &Path, key: &Key, second: &Value) {
    let store: Arc<dyn MaintainStore> = Arc::new(LocalStore::new(repository));
    let readable: Arc<dyn ReadStore> = Arc::<dyn MaintainStore>::clone(&store);
    let reader = Reader::open(readable, key).await.unwrap();
    let point = id(second).parse().unwrap();
    let who = ("golden", Timestamp::UNIX_EPOCH);
    let passed = format::annotation::Note::Drill { passed: true, detail: "it ran".into() };
    annotate(store.as_ref(), &reader, point, who, passed).await.unwrap();
    let pinned = Pinned::new(Arc::clone(&store), &reader, (pin::new_id(), &[point]), who).await;
    drop(pinned.unwrap());
    // A session that has ended nowhere.
    let writable: Arc<dyn Store> = Arc::<dyn MaintainStore>::clone(&store);
    let writer = Writer::register(writable, &reader, "golden").await.unwrap();
    let bytes = b"a chunk that no point has";
    let chunk = ChunkRecord { id: writer.keys().chunk_id(bytes), length: 25 };
    let frame = Encoder::new().unwrap().encode(ChunkKind::Data, vec![chunk], bytes);
    writer.store_pack(writer.seal(vec![frame]).unwrap()).await.unwrap();
    writer.beat().await.unwrap();
    // What a newer program may say. Its link is the chain's.
    let name = ObjectName::Annotation(point, 2);
    let last = store.get(ObjectName::Annotation(point, 1)).await.unwrap();
    let note = json!({ "kind": "blessed", "by": "a newer program" });
    let previous = control::link(writer.keys(), ObjectName::Annotation(point, 1), &last);
    let newer =
        json!({ "who": "golden", "when": who.1, "note": note, "previous": previous, "more": 1 });
    let bytes = control::seal(writer.keys(), name, &newer, [9; 16]).unwrap();
    Store::create(store.as_ref(), name, bytes.into()).await.unwrap();
}
