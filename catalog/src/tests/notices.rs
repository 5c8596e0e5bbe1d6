use super::*;

fn notice(channel: &str, second: u32) -> NewNotice {
    let (channel, subject) = (channel.to_owned(), "nightly".to_owned());
    NewNotice { channel, subject, moment: at(second), notice: "{}".into() }
}

async fn due(catalog: &Catalog, second: u32) -> Vec<(String, u32)> {
    let rows = catalog.notices_due(at(second), 9).await.unwrap();
    rows.into_iter().map(|row| (row.channel, row.attempts)).collect()
}

#[tokio::test]
async fn what_is_to_be_told_waits_until_it_was_or_is_given_up() {
    let world = World::new();
    let catalog = world.open().await;
    let job = JobName { application: Some("shop".into()), policy: "nightly".into() };
    let look = Look {
        job: job.clone(),
        task: Task::Backup,
        handled: at(1),
        timing: "{}".into(),
        run: None,
        joined: None,
        events: Vec::new(),
    };
    catalog.record_looks(vec![look], at(1)).await.unwrap();
    assert!(catalog.troubles().await.unwrap().is_empty());
    let notices = vec![notice("mail", 2), notice("chat", 3)];
    catalog.tell(job.clone(), Some(Trouble::Stale), notices).await.unwrap();
    assert_eq!(catalog.troubles().await.unwrap(), BTreeMap::from([(job.clone(), Trouble::Stale)]));
    assert_eq!(due(&catalog, 1).await, []);
    let both = [("mail".to_owned(), 0), ("chat".to_owned(), 0)];
    assert_eq!(due(&catalog, 3).await, both);
    let rows = catalog.notices_due(at(3), 9).await.unwrap();
    catalog.told(rows[0].id, Telling::Again(at(10)), at(3)).await.unwrap();
    catalog.told(rows[1].id, Telling::Told, at(3)).await.unwrap();
    assert_eq!(due(&catalog, 9).await, []);
    assert_eq!(due(&catalog, 10).await, [("mail".to_owned(), 1)]);
    // What is new about the same takes the place of what could not be told.
    catalog.tell(job.clone(), None, vec![notice("mail", 11)]).await.unwrap();
    assert_eq!(due(&catalog, 99).await, [("mail".to_owned(), 0)]);
    let rows = catalog.notices_due(at(99), 9).await.unwrap();
    catalog.told(rows[0].id, Telling::GivenUp("nobody answers".into()), at(12)).await.unwrap();
    assert_eq!(due(&catalog, 99).await, []);
    assert!(catalog.troubles().await.unwrap().is_empty());
    catalog.read_through().await.unwrap();
    catalog.forget_history(at(20)).await.unwrap();
}

#[tokio::test]
async fn a_run_that_ends_twice_is_told_of_once() {
    let world = World::new();
    let catalog = world.open().await;
    let run = catalog.begin_run(new_run(1)).await.unwrap();
    let end = || RunEnd { ended: at(2), outcome: RunOutcome::Succeeded, point: None };
    let notices = || vec![notice("ping", 2)];
    catalog.finish_run_telling(run, end(), notices()).await.unwrap();
    assert!(catalog.finish_run_telling(run, end(), notices()).await.is_err());
    assert_eq!(due(&catalog, 9).await, [("ping".to_owned(), 0)]);
}
