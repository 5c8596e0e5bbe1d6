//! For every operation of a repair and every kind of fault: nothing is lost that could be saved before,
//! a repair that is reported as done is done, and the next one finishes what another has left.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test panics, and says what it did"
)]

use std::sync::Arc;

use faults::fault::Fault;
use faults::files::version;
use faults::memory::Memory;
use faults::store::{FaultyStore, Plan};
use faults::trial::{Trial, all_well, resume};
use faults::world::{Account, Failure, Process, World, hurried};
use format::ids::PointId;
use format::names::{Folder, ObjectName};
use repository::store::{MaintainStore, ReadStore as _};

/// No repair has as many operations.
const OPERATIONS_MAX: u64 = 2000;
/// Of so many operations one fails where nothing is damaged: a repair reads there, and writes nothing.
const STRIDE: u64 = 5;

/// A repository with two points, and what was promised of it.
struct Before {
    objects: Arc<Memory>,
    account: Account,
}

#[test]
fn a_repair_that_is_told_of_its_errors() {
    sweep_damaged(|fault| !fault.is_silent() && !is_death(fault));
}

#[test]
fn a_repair_that_dies() {
    sweep_damaged(is_death);
}

#[test]
fn a_repair_that_is_given_other_bytes() {
    sweep_damaged(Fault::is_silent);
}

// Which half of a listing is left out is chance, for names are: so several repositories.
#[test]
fn a_repair_that_is_shown_half() {
    for _ in 0..5 {
        sweep_damaged(|fault| matches!(fault, Fault::DroppedPage));
    }
}

#[test]
fn a_repair_of_what_is_whole() {
    let before = before();
    for (first, fault) in (0..).zip(Fault::ALL) {
        sweep(&before, fault, (first % STRIDE, STRIDE));
    }
}

fn is_death(fault: Fault) -> bool {
    matches!(fault, Fault::Kill | Fault::KillAfter)
}

fn sweep_damaged(which: impl Fn(Fault) -> bool) {
    let before = before();
    let points: Vec<_> = before.account.committed.keys().copied().collect();
    damage(&before.objects, (points[0], points[1]));
    for fault in Fault::ALL.into_iter().filter(|fault| which(*fault)) {
        sweep(&before, fault, (0, 1));
    }
}

fn before() -> Before {
    let (world, objects) = (World::new(), Arc::new(Memory::default()));
    let mut account = Account::default();
    hurried(async {
        let process = world.process(Arc::<Memory>::clone(&objects));
        process.init().await.unwrap();
        for number in 1..=2 {
            let files = version(number);
            let made = process.backup(&files, None).await;
            account.backup(made, files).unwrap();
        }
    });
    Before { objects, account }
}

// The packs of one session cannot be read whole, and the index says nothing about those of the
// other: not one file is lost by that.
fn damage(objects: &Memory, (first, second): (PointId, PointId)) {
    let names = |folder| {
        let listed = hurried(objects.list(folder)).unwrap();
        listed.into_iter().map(|listed| listed.name).collect::<Vec<_>>()
    };
    for name in names(Folder::Packs) {
        if matches!(name, ObjectName::Pack(pack) if pack.session == first) {
            objects.spoil(name, |bytes| bytes[20] ^= 1);
        }
    }
    for name in names(Folder::Indexes) {
        if matches!(name, ObjectName::Index(session, _) if session == second) {
            objects.spoil(name, |bytes| bytes[100] ^= 1);
        }
    }
}

// Repairs once for every so manieth operation that the fault can hit.
fn sweep(before: &Before, fault: Fault, (first, stride): (u64, u64)) {
    for number in (first..OPERATIONS_MAX).step_by(usize::try_from(stride).unwrap()) {
        let plan = Plan { fault, at: number..number + 1 };
        let world = World::new();
        let inner: Arc<dyn MaintainStore> = Arc::new(before.objects.copy());
        let store = FaultyStore::new(Arc::clone(&inner), Some(plan));
        let mut account = before.account.clone();
        let result = hurried(async {
            let process = world.process(Arc::<FaultyStore>::clone(&store));
            let is_done = tokio::select! {
                is_done = script(&process, &mut account) => is_done && !fault.is_silent(),
                () = store.death() => false,
            };
            after(&world.process(inner), &mut account, is_done).await
        });
        let trial = Trial { struck: store.struck(), account, result };
        if trial.is_last() {
            println!("{fault:?}: {number} operations");
            return;
        }
    }
    panic!("the repair does not end");
}

// Repairs until it says that it is done, and restores. Returns whether it was done.
async fn script(process: &Process<'_>, account: &mut Account) -> bool {
    let repaired = process.repair().await;
    let mut is_done = account.note("repair", repaired).is_some();
    if !is_done {
        let again = process.repair().await;
        is_done = account.note("repair again", again).is_some();
    }
    for point in account.committed.keys().copied().collect::<Vec<_>>() {
        account.restore(point, process.restore(point).await);
    }
    is_done
}

// What must hold when the store is well again.
async fn after(process: &Process<'_>, account: &mut Account, is_done: bool) -> Result<(), Failure> {
    if is_done {
        all_well(&process.check().await?)?;
    } else {
        process.repair().await?;
    }
    resume(process, account).await?;
    process.prune().await?;
    account.settle(process).await?;
    all_well(&process.check().await?)
}
