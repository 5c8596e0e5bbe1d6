//! An S3 service keeps the contract of a store, and everything works through it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use repository::contract;
use repository::store::remote::RemoteStore;
use tests::compare::assert_same;
use tests::containers::unique;
use tests::world::World;
use tests::{every_kind, lab};

const BUCKET: &str = "stillpoint";

#[test]
fn the_service_keeps_the_contract() {
    let objects = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_endpoint(lab::s3())
        .with_region("us-east-1")
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .with_allow_http(true)
        .build()
        .unwrap();
    let prefix = unique("contract");
    let store = RemoteStore::new(Arc::new(objects), Path::from(prefix.as_str()), prefix.clone());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(contract::check(&store)).unwrap();
}

#[test]
fn a_bucket_holds_a_repository() {
    let world = in_bucket();
    let source = world.path("source");
    every_kind::make(&source);
    for round in 0..2 {
        fs::write(source.join("changes"), format!("round {round}")).unwrap();
        world.stillpoint(["backup", "--path", "source"]).succeeded();
    }
    let report = world.json(["check", "--read-data"]);
    assert_eq!(report["points"], 2, "{report}");
    assert_eq!(report["packs"], report["packs_read"], "{report}");
    world.stillpoint(["restore", "latest", "--to", "target"]).succeeded();
    assert_same(&source, &world.path("target").join(source.strip_prefix("/").unwrap()));

    fs::remove_dir_all(world.state()).unwrap();
    assert_eq!(world.json(["points"]).as_array().map(Vec::len), Some(2));
    world.stillpoint(["init"]).failed(1, BUCKET);
}

#[test]
fn a_bucket_without_a_repository_is_told_from_one_that_does_not_answer() {
    let mut world = World::empty();
    set_bucket(&mut world);
    world.stillpoint(["points"]).failed(10, BUCKET);
    world.set("STILLPOINT_REPO", "s3://no-such-bucket/here");
    let output = world.stillpoint(["init"]);
    output.failed(1, "no-such-bucket");
    world.set("AWS_ENDPOINT", "http://127.0.0.1:9");
    world.stillpoint(["points"]).failed(1, "no-such-bucket");
}

fn in_bucket() -> World {
    let mut world = World::empty();
    set_bucket(&mut world);
    world.init()
}

fn set_bucket(world: &mut World) {
    let prefix = unique("repository");
    world.set("STILLPOINT_REPO", format!("s3://{BUCKET}/{prefix}"));
    world.set("AWS_ENDPOINT", lab::s3());
    world.set("AWS_REGION", "us-east-1");
    world.set("AWS_ACCESS_KEY_ID", "test");
    world.set("AWS_SECRET_ACCESS_KEY", "test");
}
