//! Backups, rebuilds, and files with a bit that is not as it was.

use std::os::unix::fs::PermissionsExt;

use super::*;

impl World {
    fn backup(&self) -> PathBuf {
        self.directory.path().join("backup.db")
    }
}

fn verified_note() -> Note {
    Note::Verified { bytes: 5 }
}

/// A catalog with something of everything.
async fn filled(world: &World) -> Catalog {
    let catalog = world.open().await;
    let manifests: Vec<_> = (0..40).map(manifest).collect();
    catalog.insert_points(REPOSITORY, &manifests).await.unwrap();
    let said = Annotation { who: "me".into(), when: at(9), note: verified_note(), previous: None };
    catalog.insert_annotations(REPOSITORY, vec![((point_id(3), 0), said)]).await.unwrap();
    for second in 0..20 {
        let run = catalog.begin_run(new_run(second)).await.unwrap();
        let end = RunEnd { ended: at(second), outcome: RunOutcome::Succeeded, point: None };
        catalog.finish_run(run, end).await.unwrap();
    }
    let (application, policy) = (Some("shop".to_owned()), None);
    let happening = Happening::Forgotten { count: 3 };
    let event = Event { moment: at(1), application, policy, happening };
    catalog.record_event(event).await.unwrap();
    let seen = Seen { size: 7, digest: Some(Digest::new([3; 16])) };
    let seen = vec![(ObjectName::Outcome(point_id(1)), seen)];
    catalog.remember_seen(REPOSITORY, seen).await.unwrap();
    catalog
}

async fn state(catalog: &Catalog) -> (Vec<RunRow>, Vec<Event>, BTreeMap<ObjectName, Seen>) {
    let (runs, events) = (catalog.runs(100).await.unwrap(), catalog.events(100).await.unwrap());
    (runs, events, catalog.seen(REPOSITORY).await.unwrap())
}

#[tokio::test]
async fn a_backup_has_everything_and_is_for_the_owner_alone() {
    let world = World::new();
    let catalog = filled(&world).await;
    for _ in 0..2 {
        catalog.back_up(&world.backup()).await.unwrap();
    }
    assert_eq!(fs::metadata(world.backup()).unwrap().permissions().mode() & 0o777, 0o600);
    let names = fs::read_dir(world.directory.path()).unwrap();
    assert_eq!(names.count(), 2, "the backup and the directory of the state");
    let backup = Catalog::open(&world.backup()).await.unwrap();
    assert_eq!(everything(&backup).await, everything(&catalog).await);
    assert_eq!(state(&backup).await, state(&catalog).await);
    assert_eq!(Condition::of(&world.backup()).await.unwrap(), Condition::Sound);
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_leaves_the_last_one() {
    let world = World::new();
    let catalog = filled(&world).await;
    let nowhere = world.path().join("backup.db");
    let error = catalog.back_up(&nowhere).await.unwrap_err();
    assert!(matches!(error, CatalogError::NotCreated { .. }), "{error:?}");
    catalog.back_up(&world.backup()).await.unwrap();
    let before = fs::read(world.backup()).unwrap();
    fs::create_dir(world.directory.path().join("backup.db.new")).unwrap();
    catalog.back_up(&world.backup()).await.unwrap_err();
    assert_eq!(fs::read(world.backup()).unwrap(), before);
}

#[tokio::test]
async fn a_backup_of_what_is_damaged_does_not_replace_the_last_one() {
    let world = World::new();
    let catalog = filled(&world).await;
    catalog.back_up(&world.backup()).await.unwrap();
    let before = fs::read(world.backup()).unwrap();
    let sql = "UPDATE runs SET queued = 'now' WHERE id = 7";
    sqlx::Executor::execute(&mut world.raw().await, sql).await.unwrap();
    let error = catalog.back_up(&world.backup()).await.unwrap_err();
    let is_ours = |path: &PathBuf| *path == world.path();
    assert!(matches!(&error, CatalogError::Damaged { path, .. } if is_ours(path)), "{error:?}");
    assert_eq!(fs::read(world.backup()).unwrap(), before);
    let names = fs::read_dir(world.directory.path()).unwrap();
    assert_eq!(names.count(), 2, "the backup and the directory of the state");
}

#[tokio::test]
async fn a_rebuild_replaces_row_for_row_and_goes_on_where_it_was_cut_off() {
    let world = World::new();
    let catalog = filled(&world).await;
    let (before, elsewhere) = (everything(&catalog).await, RepositoryId::new([8; 16]));
    catalog.insert_point(elsewhere, &manifest(1)).await.unwrap();
    let sql = "UPDATE points SET application = 'flipped'; UPDATE volumes SET driver = 'flipped';
        UPDATE annotations SET who = 'flipped'";
    sqlx::Executor::execute(&mut world.raw().await, sql).await.unwrap();
    let reread = async |since| catalog.reread_points(REPOSITORY, at(since)).await.unwrap();
    let manifests: Vec<_> = (0..40).map(manifest).collect();
    catalog.replace_points(REPOSITORY, &manifests[..20], at(100)).await.unwrap();
    // Nobody sees a point without what is said about it.
    let verified = |row: &PointRow| row.annotations.verified.is_some();
    assert_eq!(everything(&catalog).await.iter().filter(|row| verified(row)).count(), 1);
    assert_eq!((reread(100).await.len(), reread(101).await.len()), (20, 0));
    catalog.replace_points(REPOSITORY, &manifests[20..], at(101)).await.unwrap();
    let said = Annotation { who: "me".into(), when: at(9), note: verified_note(), previous: None };
    let said = vec![((point_id(3), 0), said)];
    catalog.end_rebuild(REPOSITORY, Gone::default(), said).await.unwrap();
    let mut after = everything(&catalog).await;
    after.retain(|row| row.repository == REPOSITORY);
    assert_eq!(after, before);
    assert_eq!(reread(0).await.len(), 0);
    // What the repository has not goes.
    let gone = Gone { points: vec![point_id(5)], annotations: vec![(point_id(3), 0)] };
    catalog.end_rebuild(REPOSITORY, gone, Vec::new()).await.unwrap();
    let after = everything(&catalog).await;
    assert_eq!((after.len(), after.iter().filter(|row| verified(row)).count()), (40, 0));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_no_damage() {
    let world = World::new();
    assert_eq!(Condition::of(&world.path()).await.unwrap(), Condition::Absent);
    filled(&world).await.close().await;
    assert_eq!(Condition::of(&world.path()).await.unwrap(), Condition::Sound);
}

#[tokio::test]
async fn a_newer_one_is_neither_sound_nor_damaged() {
    let world = World::new();
    filled(&world).await.close().await;
    sqlx::Executor::execute(
        &mut world.raw().await,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'later', TRUE, x'00', 0)",
    )
    .await
    .unwrap();
    let error = Condition::of(&world.path()).await.unwrap_err();
    assert!(matches!(error, CatalogError::Newer { version: 99, .. }), "{error:?}");
}

#[tokio::test]
async fn a_row_that_we_cannot_have_written_is_found() {
    for sql in [
        "UPDATE points SET taken = 'yesterday'",
        "UPDATE runs SET queued = 'now' WHERE id = 7",
        "UPDATE events SET happening = '{'",
        "UPDATE seen SET object = 'nothing'",
        "DROP TABLE pins",
    ] {
        let world = World::new();
        filled(&world).await.close().await;
        sqlx::Executor::execute(&mut world.raw().await, sql).await.unwrap();
        let condition = Condition::of(&world.path()).await.unwrap();
        assert!(matches!(condition, Condition::Damaged { .. }), "{sql}: {condition:?}");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_answered_and_never_worse() {
    let world = World::new();
    filled(&world).await.close().await;
    let whole = fs::read(world.path()).unwrap();
    let (mut sound, mut damaged) = (0, 0);
    for flip in 0..FLIPS {
        // Spread evenly, and not always the same bit of a byte.
        let position = flip * whole.len() / FLIPS;
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (flip % 8);
        let world = World::new();
        fs::create_dir(world.path().parent().unwrap()).unwrap();
        fs::write(world.path(), &bytes).unwrap();
        match Condition::of(&world.path()).await {
            Ok(Condition::Sound) => sound += 1,
            Ok(Condition::Damaged { .. })
            | Err(
                CatalogError::Newer { .. }
                | CatalogError::Foreign { .. }
                | CatalogError::Schema { .. },
            ) => damaged += 1,
            other => panic!("bit {} of byte {position}: {other:?}", flip % 8),
        }
    }
    // Most of a database is empty, and there is no digest of what is not.
    assert!(sound > 0 && damaged > FLIPS / 20, "{sound} sound, {damaged} damaged");
}

const FLIPS: usize = 300;

#[tokio::test]
async fn a_name_in_the_schema_that_is_another_is_damage() {
    let names: [[&[u8]; 2]; 2] = [
        [b"happening   TEXT", b"happenine   TEXT"],
        // This one is no text at all.
        [b"not_before TEXT", b"not\xffbefore TEXT"],
    ];
    for [found, other] in names {
        let world = World::new();
        filled(&world).await.close().await;
        let mut bytes = fs::read(world.path()).unwrap();
        let at = bytes.windows(found.len()).position(|window| window == found).unwrap();
        bytes[at..at + other.len()].copy_from_slice(other);
        fs::write(world.path(), bytes).unwrap();
        let condition = Condition::of(&world.path()).await.unwrap();
        assert!(matches!(condition, Condition::Damaged { .. }), "{condition:?}");
    }
}
