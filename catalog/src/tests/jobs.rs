use format::manifest::Occasion;

use super::*;

fn job(application: &str) -> JobName {
    JobName { application: Some(application.into()), policy: "nightly".into() }
}

fn occasion(second: u32) -> Occasion {
    let schedules = vec!["daily \"02:00\"".into(), "hourly :00".into()];
    Occasion { policy: "nightly".into(), due: at(second), schedules }
}

fn look(application: &str, second: u32) -> Look {
    let (run, timing) = (Some(occasion(second)), "hourly".to_owned());
    let (job, handled) = (job(application), at(second));
    Look { job, task: Task::Backup, handled, timing, run, joined: None, events: Vec::new() }
}

async fn unfinished(catalog: &Catalog) -> RunRow {
    catalog.unfinished_runs().await.unwrap().remove(0)
}

#[tokio::test]
async fn a_look_is_written_down_with_the_run_that_it_leads_to() {
    let world = World::new();
    let catalog = world.open().await;
    let missed = Happening::Missed { first: at(1), last: at(3), count: 3 };
    let (application, policy) = (Some("shop".to_owned()), Some("nightly".to_owned()));
    let event = Event { moment: at(6), application, policy, happening: missed };
    let look = Look { events: vec![event.clone()], ..look("shop", 5) };
    assert_eq!(catalog.record_looks(vec![look], at(6)).await.unwrap(), 1);
    catalog.close().await;
    let catalog = world.open().await;
    let run = unfinished(&catalog).await;
    assert_eq!((run.occasion, run.queued), (Some(occasion(5)), at(6)));
    assert_eq!((run.start, run.attempts, run.end), (None, 0, None));
    let row = JobRow { handled: at(5), timing: "hourly".into() };
    assert_eq!(catalog.jobs().await.unwrap(), BTreeMap::from([(job("shop"), row)]));
    assert_eq!(catalog.events(9).await.unwrap(), [event]);
}

#[tokio::test]
async fn for_each_moment_of_a_job_there_is_one_run() {
    let world = World::new();
    let catalog = world.open().await;
    let looks = vec![look("shop", 5), look("shop", 5), look("wiki", 5), look("shop", 6)];
    assert_eq!(catalog.record_looks(looks, at(6)).await.unwrap(), 3);
    assert_eq!(catalog.record_looks(vec![look("shop", 5)], at(7)).await.unwrap(), 0);
    let shop = job("shop");
    let after = async |second| catalog.runs_after(&shop, at(second)).await.unwrap();
    assert_eq!(after(4).await, BTreeSet::from([at(5), at(6)]));
    assert_eq!(after(5).await, BTreeSet::from([at(6)]));
    // The last look counts, also where it is earlier.
    assert_eq!(catalog.jobs().await.unwrap()[&job("shop")].handled, at(5));
}

#[tokio::test]
async fn a_run_that_was_cut_off_waits_again() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.record_looks(vec![look("shop", 5)], at(6)).await.unwrap();
    let id = unfinished(&catalog).await.id;
    let start = RunStart { started: at(7), process: NOBODY };
    for attempts in 1..3 {
        catalog.start_run(id, start).await.unwrap();
        let twice = catalog.start_run(id, start).await;
        assert!(matches!(twice, Err(CatalogError::NoUnfinishedRun { .. })), "{twice:?}");
        let run = unfinished(&catalog).await;
        assert_eq!((run.start, run.attempts), (Some(start), attempts));
        catalog.requeue_run(id, Again::default()).await.unwrap();
        assert_eq!(unfinished(&catalog).await.start, None);
    }
    catalog.start_run(id, start).await.unwrap();
    let again = Again { not_before: Some(at(8)), is_forgiven: true };
    catalog.requeue_run(id, again).await.unwrap();
    let run = unfinished(&catalog).await;
    assert_eq!((run.attempts, run.not_before), (2, Some(at(8))));
    catalog.start_run(id, start).await.unwrap();
    assert_eq!(unfinished(&catalog).await.not_before, None);
    let end = RunEnd { ended: at(9), outcome: RunOutcome::Abandoned, point: None };
    catalog.finish_run(id, end).await.unwrap();
    for late in [catalog.requeue_run(id, again).await, catalog.start_run(id, start).await] {
        assert!(matches!(late, Err(CatalogError::NoUnfinishedRun { .. })), "{late:?}");
    }
}

#[tokio::test]
async fn a_run_for_a_repository_has_no_application() {
    let world = World::new();
    let catalog = world.open().await;
    let job = JobName { application: None, policy: "nightly".into() };
    let look = Look { job: job.clone(), task: Task::Prune, ..look("shop", 5) };
    assert_eq!(catalog.record_looks(vec![look.clone(), look], at(6)).await.unwrap(), 1);
    let run = unfinished(&catalog).await;
    assert_eq!((run.task, run.application), (Task::Prune, None));
    assert!(catalog.jobs().await.unwrap().contains_key(&job));
    assert_eq!(catalog.runs_after(&job, at(4)).await.unwrap(), BTreeSet::from([at(5)]));
}

#[tokio::test]
async fn a_run_that_waits_stands_for_more() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.record_looks(vec![look("shop", 5)], at(6)).await.unwrap();
    let id = unfinished(&catalog).await.id;
    let join = async |schedules: &[&str]| {
        let schedules = schedules.iter().map(ToString::to_string).collect();
        let look = Look { run: None, joined: Some((id, schedules)), ..look("shop", 7) };
        assert_eq!(catalog.record_looks(vec![look], at(8)).await.unwrap(), 0);
        unfinished(&catalog).await.occasion.unwrap()
    };
    let both = ["hourly :00", "weekly sunday@00:00"];
    let joined = join(&both).await;
    assert_eq!((joined.due, joined.schedules), (at(5), both.map(str::to_owned).to_vec()));
    catalog.start_run(id, RunStart { started: at(9), process: NOBODY }).await.unwrap();
    assert_eq!(join(&["daily"]).await.schedules.len(), 2, "it has begun");
}

#[tokio::test]
async fn history_is_forgotten_but_for_what_goes_on() {
    let world = World::new();
    let catalog = world.open().await;
    let start = |second| RunStart { started: at(second), process: NOBODY };
    catalog
        .record_looks(vec![look("shop", 5), look("wiki", 5), look("blog", 9)], at(9))
        .await
        .unwrap();
    let ids: Vec<_> = catalog.unfinished_runs().await.unwrap().iter().map(|run| run.id).collect();
    for (run, second) in [(ids[0], 10), (ids[2], 20)] {
        catalog.start_run(run, start(second)).await.unwrap();
        let end = RunEnd { ended: at(second), outcome: RunOutcome::Partial, point: None };
        catalog.finish_run(run, end).await.unwrap();
    }
    for second in [3, 15] {
        let happening = Happening::Started;
        let event = Event { moment: at(second), application: None, policy: None, happening };
        catalog.record_event(event).await.unwrap();
    }
    let runs: Vec<_> = catalog.runs(9).await.unwrap().iter().map(|run| run.id).collect();
    for run in &runs {
        catalog.record_report(*run, "{}".to_owned()).await.unwrap();
        catalog.record_report(*run, "{ }".to_owned()).await.unwrap();
        assert_eq!(catalog.report(*run).await.unwrap().as_deref(), Some("{ }"));
    }
    assert_eq!(catalog.forget_history(at(12)).await.unwrap(), 2);
    let left = catalog.runs(9).await.unwrap();
    for run in runs {
        let is_left = left.iter().any(|row| row.id == run);
        assert_eq!(catalog.report(run).await.unwrap().is_some(), is_left);
    }
    catalog.forget_reports(at(1000)).await.unwrap();
    for run in left.iter().filter(|run| run.end.is_some()) {
        assert_eq!(catalog.report(run.id).await.unwrap(), None);
    }
    let left: Vec<_> = catalog.runs(9).await.unwrap().iter().map(|run| run.id).collect();
    assert_eq!((left.len(), left.contains(&ids[0])), (2, false));
    assert_eq!(catalog.events(9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_point_knows_what_it_was_made_for() {
    let world = World::new();
    let catalog = world.open().await;
    let made = Manifest { occasion: Some(occasion(1)), ..manifest(1) };
    catalog.insert_point(REPOSITORY, &made).await.unwrap();
    catalog.insert_point(REPOSITORY, &manifest(2)).await.unwrap();
    let occasions: Vec<_> =
        everything(&catalog).await.into_iter().map(|point| point.occasion).collect();
    assert_eq!(occasions, [None, Some(occasion(1))]);
}

#[tokio::test]
async fn a_job_stands_where_its_last_runs_have_left_it() {
    let world = World::new();
    let catalog = world.open().await;
    let standing = async || catalog.standing(&job("shop")).await.unwrap();
    assert_eq!(standing().await, Standing::default());
    let end = async |second, outcome: RunOutcome| {
        let looks = vec![look("shop", second), look("wiki", second + 50)];
        catalog.record_looks(looks, at(second)).await.unwrap();
        for run in catalog.unfinished_runs().await.unwrap() {
            let (ended, outcome) = (at(second + 1), outcome.clone());
            let end = RunEnd { ended, outcome, point: None };
            catalog.finish_run(run.id, end).await.unwrap();
        }
    };
    end(5, RunOutcome::Succeeded).await;
    let stands = |due, unmet: Option<u32>, failed: Option<u32>| {
        let (due, succeeded) = (Some(at(due)), Some(at(6)));
        Standing { due, unmet: unmet.map(at), succeeded, failed: failed.map(at) }
    };
    assert_eq!(standing().await, stands(5, None, None));
    end(8, RunOutcome::Partial).await;
    assert_eq!(standing().await, stands(8, Some(8), None), "since it was queued");
    end(10, RunOutcome::Failed { error: "no".into() }).await;
    assert_eq!(standing().await, stands(10, Some(8), Some(11)));
}
