//! Opening files that are new, damaged, newer or somebody else's.

use std::os::unix::fs::PermissionsExt;

use sqlx::{Connection, Executor};

use super::*;

#[tokio::test]
async fn only_the_owner_may_look() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.insert_point(REPOSITORY, &manifest(1)).await.unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = world.path().parent().unwrap().to_owned();
    assert_eq!(world.names(), ["catalog.db", "catalog.db-shm", "catalog.db-wal"]);
    for name in world.names() {
        assert_eq!(mode(directory.join(&name)), 0o600, "{name}");
    }
    assert_eq!(mode(directory), 0o700);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let world = World::new();
    world.open().await.close().await;
    let mut raw = world.raw().await;
    raw.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (1000, 'later', TRUE, x'00', 0)",
    )
    .await
    .unwrap();
    raw.close().await.unwrap();

    let before = fs::read(world.path()).unwrap();
    let error = Catalog::open(&world.path()).await.unwrap_err();
    assert!(matches!(error, CatalogError::Newer { version: 1000, .. }), "{error:?}");
    assert!(error.to_string().contains("catalog.db"), "{error}");
    assert_eq!(fs::read(world.path()).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    for length in [1, 10, 99, 512, 4096, 100_000] {
        let world = World::new();
        fs::create_dir(world.path().parent().unwrap()).unwrap();
        fs::write(world.path(), "garbage\n".repeat(length).get(..length).unwrap()).unwrap();
        assert_damaged_and_untouched(&world, &format!("{length} bytes")).await;
    }
}

#[tokio::test]
async fn a_truncated_database_is_named_and_left_alone() {
    let world = World::new();
    let catalog = world.open().await;
    for number in 0..50 {
        catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
    }
    catalog.close().await;
    let whole = fs::read(world.path()).unwrap();
    for length in [
        50,
        100,
        4096,
        10_000,
        whole.len() / 2,
        whole.len() - 4096,
        whole.len() - 512,
        whole.len() - 1,
    ] {
        fs::write(world.path(), &whole[..length]).unwrap();
        assert_damaged_and_untouched(&world, &format!("cut to {length}")).await;
    }
}

#[tokio::test]
async fn a_database_with_a_page_overwritten_is_named_and_left_alone() {
    let world = World::new();
    let catalog = world.open().await;
    for number in 0..50 {
        catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
    }
    catalog.close().await;
    let whole = fs::read(world.path()).unwrap();
    for page in 1..5 {
        let mut bytes = whole.clone();
        bytes[page * 4096..][..4096].fill(0x5a);
        fs::write(world.path(), &bytes).unwrap();
        assert_damaged_and_untouched(&world, &format!("page {page}")).await;
    }
}

async fn assert_damaged_and_untouched(world: &World, what: &str) {
    let before = fs::read(world.path()).unwrap();
    let error = Catalog::open(&world.path()).await.expect_err(what);
    assert!(
        matches!(&error, CatalogError::Damaged { path, .. } if *path == world.path()),
        "{what}: {error:?}"
    );
    assert_eq!(fs::read(world.path()).unwrap(), before, "{what}");
}

#[tokio::test]
async fn the_database_of_another_program_is_left_alone() {
    let world = World::new();
    fs::create_dir(world.path().parent().unwrap()).unwrap();
    fs::write(world.path(), "").unwrap();
    let mut raw = world.raw().await;
    raw.execute("CREATE TABLE bookmarks (url TEXT)").await.unwrap();
    raw.close().await.unwrap();
    let before = fs::read(world.path()).unwrap();
    let error = Catalog::open(&world.path()).await.unwrap_err();
    assert!(matches!(error, CatalogError::Foreign { .. }), "{error:?}");
    assert_eq!(fs::read(world.path()).unwrap(), before);
}

#[tokio::test]
async fn a_row_that_we_cannot_have_written_is_damage() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.insert_point(REPOSITORY, &manifest(1)).await.unwrap();
    world.raw().await.execute("UPDATE points SET taken = 'yesterday'").await.unwrap();
    let error = catalog.points(&PointFilter::default()).await.unwrap_err();
    assert!(matches!(error, CatalogError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unusable_path_is_named() {
    let world = World::new();
    fs::write(world.directory.path().join("state"), "a file").unwrap();
    let error = Catalog::open(&world.path()).await.unwrap_err();
    assert!(matches!(error, CatalogError::NotCreated { .. }), "{error:?}");
    let error = Catalog::open(world.directory.path()).await.unwrap_err();
    assert!(matches!(error, CatalogError::NotCreated { .. }), "{error:?}");
}
