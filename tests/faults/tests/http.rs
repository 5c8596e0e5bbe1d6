//! What a server of S3 does wrong, through the client library that the program uses: nothing that
//! was reported as committed is lost, nothing that failed is reported as done.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test panics, and says what it did"
)]

use std::time::Duration;

use faults::files::version;
use faults::s3::{S3, Trouble};
use faults::trial::{Trial, all_well, resume};
use faults::world::{Account, Failure, Process, World};
use repository::contract;
use tokio::runtime::Builder;

/// No script has as many requests.
const REQUESTS_MAX: u64 = 500;
/// More than the client library tries again, and fewer than `create_own` does.
const OUTAGE: u64 = 5;

#[test]
fn the_server_keeps_the_contract_when_it_is_well() {
    let server = S3::start(None);
    in_real_time(contract::check(server.store().as_ref())).unwrap();
}

#[test]
fn conflicts_and_our_own_writes() {
    sweep(Trouble::Status(409), 1);
    sweep(Trouble::Late(412), 1);
    sweep(Trouble::Late(500), 1);
}

#[test]
fn throttling_and_errors_of_the_server() {
    sweep(Trouble::Status(429), 1);
    sweep(Trouble::Status(503), 1);
    sweep(Trouble::Status(503), OUTAGE);
}

#[test]
fn connections_that_are_cut() {
    sweep(Trouble::CutBefore, 1);
    sweep(Trouble::CutAfter, 1);
    sweep(Trouble::CutBody, 1);
}

#[test]
fn answers_that_come_too_late() {
    sweep(Trouble::Slow, 1);
}

#[test]
fn ranges_that_are_forgotten() {
    sweep(Trouble::NoRange, 1);
}

#[test]
fn pages_that_are_dropped_or_repeated() {
    sweep(Trouble::DroppedPage, 1);
    sweep(Trouble::RepeatedPage, 1);
}

#[test]
fn bytes_that_arrive_as_others_are_refused() {
    sweep(Trouble::FlippedUpload, 1);
}

fn sweep(trouble: Trouble, length: u64) {
    for number in 0..REQUESTS_MAX {
        let server = S3::start(Some((trouble, number..number + length)));
        let world = World::new();
        let mut account = Account::default();
        let process = world.process(server.store());
        let result = in_real_time(async {
            script(&process, &mut account).await;
            server.calm();
            after(&process, &mut account).await
        });
        let trial = Trial { struck: server.struck(), account, result };
        if trial.is_last() {
            assert!(number > 0);
            println!("{trouble:?} x {length}: {number} requests");
            return;
        }
        println!("{:?}: {:?}", trial.struck, trial.account.failures);
    }
    panic!("the script does not end");
}

async fn script(process: &Process<'_>, account: &mut Account) {
    let made = process.init().await;
    account.note("init", made);
    let mut root = None;
    for number in 1..=2 {
        let files = version(number);
        let made = process.backup(&files, root.clone()).await;
        if let Some(manifest) = account.backup(made, files) {
            account.restore(manifest.point, process.restore(manifest.point).await);
            root = Some(manifest.volumes[0].root.clone());
        }
    }
}

async fn after(process: &Process<'_>, account: &mut Account) -> Result<(), Failure> {
    resume(process, account).await?;
    account.settle(process).await?;
    all_well(&process.check().await?)
}

fn in_real_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result =
        runtime.block_on(async { tokio::time::timeout(Duration::from_mins(5), work).await });
    runtime.shutdown_background();
    result.expect("a run ends")
}
