//! For every operation of a script and every kind of fault: nothing that was reported as committed
//! is lost, nothing that failed is reported as done, and the next run works and finds all well.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test panics, and says what it did"
)]

use std::fs;
use std::sync::Arc;

use faults::fault::Fault;
use faults::files::version;
use faults::store::{FaultyStore, Plan};
use faults::trial::{Trial, all_well, resume};
use faults::world::{Account, Failure, Process, World, hurried};
use format::manifest::Manifest;
use repository::store::MaintainStore;
use repository::store::local::LocalStore;
use repository::store::remote::RemoteStore;

/// Longer than anything is tried again.
const OUTAGE: u64 = 12;
/// Of so many operations one fails on a directory. What is above a store sees no difference between it
/// and one in memory, where every operation fails; what is in it is tried by cuts of power.
const STRIDE: u64 = 23;
/// No script has as many operations.
const OPERATIONS_MAX: u64 = 2000;

#[test]
fn errors_before_and_after() {
    sweep(Fault::Before, 1);
    sweep(Fault::After, 1);
}

#[test]
fn requests_that_nobody_answers() {
    sweep(Fault::Timeout, 1);
    sweep(Fault::LateTimeout, 1);
}

#[test]
fn conflicts_and_our_own_writes() {
    sweep(Fault::Conflict, 1);
    sweep(Fault::OwnWrite, 1);
}

#[test]
fn refusals_that_pass() {
    sweep(Fault::Refused, 1);
}

#[test]
fn outages() {
    sweep(Fault::Refused, OUTAGE);
}

#[test]
fn answers_that_are_lost_for_long() {
    sweep(Fault::After, OUTAGE);
}

#[test]
fn reads_of_other_bytes() {
    sweep(Fault::ShortGet, 1);
    sweep(Fault::WrongRange, 1);
    sweep(Fault::FlippedBit, 1);
}

#[test]
fn packs_that_are_torn() {
    sweep(Fault::TornPut, 1);
}

#[test]
fn lists_of_other_objects() {
    sweep(Fault::StaleList, 1);
    sweep(Fault::DroppedPage, 1);
    sweep(Fault::RepeatedPage, 1);
}

#[test]
fn a_process_that_dies_before_an_operation() {
    sweep(Fault::Kill, 1);
}

#[test]
fn a_process_that_dies_after_an_operation() {
    sweep(Fault::KillAfter, 1);
}

#[test]
fn a_directory_that_fails_now_and_then() {
    let directory = |world: &World| {
        let path = world.path("repository");
        fs::create_dir(&path).unwrap();
        LocalStore::new(path)
    };
    for (first, fault) in (0..).zip(Fault::ALL) {
        sweep_below(fault, 1, (first % STRIDE, STRIDE), directory);
    }
}

// Runs the script once for every operation that the fault can hit.
fn sweep(fault: Fault, length: u64) {
    sweep_below(fault, length, (0, 1), |_| RemoteStore::in_memory());
}

// The same for some of the operations, on a store of any kind.
fn sweep_below<S: MaintainStore + 'static>(
    fault: Fault,
    length: u64,
    (first, stride): (u64, u64),
    make: impl Fn(&World) -> S,
) {
    let mut failures = 0;
    for number in (first..OPERATIONS_MAX).step_by(usize::try_from(stride).unwrap()) {
        let plan = Plan { fault, at: number..number + length };
        let world = World::new();
        let inner: Arc<dyn MaintainStore> = Arc::new(make(&world));
        let store = FaultyStore::new(Arc::clone(&inner), Some(plan));
        let mut account = Account::default();
        let result = hurried(async {
            let process = world.process(Arc::<FaultyStore>::clone(&store));
            tokio::select! {
                () = script(&process, &mut account) => {}
                () = store.death() => {}
            }
            after(&world.process(inner), &mut account).await
        });
        let trial = Trial { struck: store.struck(), account, result };
        if trial.is_last() {
            assert!(number > 0);
            println!("{fault:?} x {length}: {number} operations, {failures} runs with failures");
            return;
        }
        failures += u64::from(!trial.account.failures.is_empty());
    }
    panic!("the script does not end");
}

// Every step is a program of its own, which is run whatever became of the one before it.
async fn script(process: &Process<'_>, account: &mut Account) {
    let made = process.init().await;
    if account.note("init", made).is_none() {
        let again = process.init().await;
        account.note("init again", again);
    }
    let mut newest: Option<Manifest> = None;
    for number in 1..=3 {
        let files = version(number);
        let root = newest.as_ref().map(|manifest| manifest.volumes[0].root.clone());
        let made = process.backup(&files, root).await;
        newest = account.backup(made, files).or(newest);
        if let Some(manifest) = &newest {
            account.restore(manifest.point, process.restore(manifest.point).await);
        }
    }
    if let Some(oldest) = account.committed.keys().next().copied() {
        account.given_up.insert(oldest);
        let forgotten = process.forget(oldest).await;
        if account.note("forget", forgotten).is_some() {
            account.forgotten.insert(oldest);
        }
    }
    let pruned = process.prune().await;
    account.note("prune", pruned);
    let files = version(4);
    let root = newest.as_ref().map(|manifest| manifest.volumes[0].root.clone());
    let made = process.backup(&files, root).await;
    newest = account.backup(made, files).or(newest);
    if let Some(manifest) = &newest {
        account.restore(manifest.point, process.restore(manifest.point).await);
    }
    let checked = process.check().await;
    account.note("check", checked);
}

// What must hold when the store is well again.
async fn after(process: &Process<'_>, account: &mut Account) -> Result<(), Failure> {
    resume(process, account).await?;
    process.prune().await?;
    account.settle(process).await?;
    all_well(&process.check().await?)
}
