//! Power cuts: what was acknowledged is there, and a write that was cut is there whole or not at
//! all.
//!
//! `SQLite` writes its files itself, so their states are taken between the writes, and what a
//! power cut may leave in between is made of the two: of everything that differs, any part.

use std::path::Path;
use std::process::Command;

use super::*;

/// How many steps there are, and after how many the log is copied into the database.
const STEPS: u32 = 48;
const CHECKPOINT_EVERY: u32 = 12;
/// How often chance decides what is left of a step.
const SAMPLES: u64 = 8;
const STATES_MIN: usize = 500;
/// A page of the database, and the header of the log and of a page in it.
const PAGE: usize = 4096;
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;

/// What the catalog tells.
type Told = (Vec<PointRow>, Vec<RunRow>);

/// The files after a step, and what was acknowledged by then.
struct State {
    database: Vec<u8>,
    log: Vec<u8>,
    told: Told,
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_power_cut() {
    let states = record().await;
    let mut tried = 0;
    for pair in states.windows(2) {
        for number in 0..SAMPLES + 3 {
            let database = mix((&pair[0].database, &pair[1].database), 0, PAGE, number);
            let log = mix((&pair[0].log, &pair[1].log), LOG_HEADER, FRAME, number);
            let found = reopened(&database, &log).await;
            let found = found.unwrap_or_else(|error| panic!("sample {number}: {error:?}"));
            assert!(found == pair[0].told || found == pair[1].told, "sample {number}");
            tried += 1;
        }
    }
    assert!(tried >= STATES_MIN, "{tried}");
}

#[tokio::test]
async fn a_log_that_is_not_synced_with_each_write_would_lose_some() {
    let states = record().await;
    // As if the last write but one had not reached the disk before the last began.
    let mut lost = 0;
    for three in states.windows(3).filter(|three| three[0].told != three[1].told) {
        let log = mix((&three[0].log, &three[2].log), LOG_HEADER, FRAME, 0);
        let found = reopened(&three[0].database, &log).await.unwrap();
        lost += usize::from(found != three[1].told && found != three[2].told);
    }
    assert!(lost > 10, "{lost}");
    let world = World::new();
    drop(world.open().await);
    let mut writer = open::writer(&world.path()).await.unwrap();
    let synced: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut writer).await.unwrap();
    assert_eq!(synced, 2, "every write is synced");
}

// Points and runs, written one after another.
async fn record() -> Vec<State> {
    let world = World { directory: tempfile::tempdir_in("/dev/shm").unwrap() };
    let catalog = world.open().await;
    let mut states = vec![state(&world, &catalog).await];
    let mut running = Vec::new();
    for step in 0..STEPS {
        match step % 3 {
            0 => catalog.insert_point(REPOSITORY, &manifest(step)).await.unwrap(),
            1 => running.push(catalog.begin_run(new_run(step)).await.unwrap()),
            _ => {
                let outcome = RunOutcome::Succeeded;
                let end = RunEnd { ended: at(step), outcome, point: Some(point_id(step)) };
                catalog.finish_run(running.pop().unwrap(), end).await.unwrap();
            }
        }
        states.push(state(&world, &catalog).await);
        if step % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1 {
            let mut other = world.raw().await;
            let checkpoint = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)");
            checkpoint.execute(&mut other).await.unwrap();
            // Not closed: the last to close removes the log, and here nobody is the last.
            std::mem::forget(other);
            states.push(state(&world, &catalog).await);
        }
    }
    states
}

async fn state(world: &World, catalog: &Catalog) -> State {
    let (database, log) = (world.path(), log_of(&world.path()));
    // By another process: closing a file here would drop the locks that are held on it.
    let read = |path: &Path| Command::new("cat").arg(path).output().unwrap().stdout;
    State { database: read(&database), log: read(&log), told: told(catalog).await }
}

async fn told(catalog: &Catalog) -> Told {
    (everything(catalog).await, catalog.runs(1000).await.unwrap())
}

async fn reopened(database: &[u8], log: &[u8]) -> Result<Told, CatalogError> {
    let world = World { directory: tempfile::tempdir_in("/dev/shm").unwrap() };
    fs::create_dir_all(world.path().parent().unwrap()).unwrap();
    fs::write(world.path(), database).unwrap();
    fs::write(log_of(&world.path()), log).unwrap();
    let catalog = Catalog::open(&world.path()).await?;
    Ok(told(&catalog).await)
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

// What may be left of a file that was `old` and should be `new`: nothing new, all but the last
// part of it, the first half of every other part, or what chance says.
fn mix((old, new): (&[u8], &[u8]), header: usize, part: usize, number: u64) -> Vec<u8> {
    if old == new {
        return old.to_vec();
    }
    let starts =
        std::iter::once(0).chain((header..new.len()).step_by(part)).filter(|at| *at < new.len());
    let mut left = old.to_vec();
    let mut noise = number;
    for start in starts {
        let end = if start < header { header } else { start + part };
        let end = end.min(new.len());
        noise =
            noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let kept = match number {
            0 => 0,
            1 if end == new.len() => 0,
            1 => end - start,
            2 => (end - start) / 2,
            _ => [0, end - start, end - start, (end - start) / 3][(noise >> 33) as usize % 4],
        };
        if kept > 0 {
            left.resize(left.len().max(start + kept), 0);
            left[start..start + kept].copy_from_slice(&new[start..start + kept]);
        }
    }
    left
}
