use super::*;

fn request(who: &str) -> Request {
    let wanted = Wanted::Backup { tags: vec!["release".into()], full: false };
    Request { who: who.to_owned(), reason: Some("because".into()), at: None, wanted }
}

fn key(digest: &str) -> RequestKey {
    RequestKey { key: "one".into(), digest: digest.into() }
}

fn asking(who: &str, key: Option<RequestKey>) -> Asking {
    let (request, application) = (request(who), Some("shop".to_owned()));
    Asking { request, application, key, command: "POST".into(), moment: at(1) }
}

#[tokio::test]
async fn what_is_asked_for_twice_under_one_key_is_one_run() {
    let world = World::new();
    let catalog = world.open().await;
    let ask = async |who: &str, key| catalog.ask(asking(who, key)).await.unwrap();
    let Asked::New(run) = ask("alice", Some(key("a"))).await else { panic!("it is new") };
    assert_eq!(ask("alice", Some(key("a"))).await, Asked::Before(run));
    assert_eq!(ask("alice", Some(key("b"))).await, Asked::Another);
    let Asked::New(other) = ask("bob", Some(key("b"))).await else {
        panic!("bob has keys of his own")
    };
    let Asked::New(third) = ask("bob", None).await else { panic!("it has no key") };
    let row = catalog.run(run).await.unwrap().unwrap();
    assert_eq!((row.task, row.application.as_deref()), (Task::Backup, Some("shop")));
    assert_eq!(row.request, Some(request("alice")));
    assert!(row.is_for_service() && row.start.is_none() && row.job().is_none());
    let page = |filter: HistoryFilter, before, limit| {
        let catalog = &catalog;
        async move {
            let rows = catalog.run_page(&filter, before, limit).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        }
    };
    let all = HistoryFilter::default;
    assert_eq!(page(all(), None, 2).await, [third, other]);
    assert_eq!(page(all(), Some(other), 2).await, [run]);
    let none = HistoryFilter { applications: Some(vec!["wiki".into()]), ..all() };
    assert!(page(none, None, 9).await.is_empty());
    let restores = HistoryFilter { task: Some(Task::Restore), ..all() };
    assert!(page(restores, None, 9).await.is_empty());
    catalog.forget_history(at(2)).await.unwrap();
    assert!(matches!(ask("alice", Some(key("b"))).await, Asked::New(_)), "its key is forgotten");
    catalog.read_through().await.unwrap();
}

#[tokio::test]
async fn a_token_is_known_by_its_digest_until_it_is_revoked() {
    let world = World::new();
    let catalog = world.open().await;
    let token = |name: &str| TokenRow {
        name: name.to_owned(),
        role: Role::Operator,
        applications: Some(vec!["shop".into()]),
        created: at(1),
        expires: Some(at(9)),
        revoked: None,
    };
    assert!(catalog.insert_token(token("ci"), "d1".into()).await.unwrap());
    assert!(!catalog.insert_token(token("ci"), "d2".into()).await.unwrap(), "the name is taken");
    assert_eq!(catalog.token("d1").await.unwrap(), Some(token("ci")));
    assert_eq!(catalog.token("d2").await.unwrap(), None);
    assert!(catalog.revoke_token("ci", at(2)).await.unwrap());
    assert!(!catalog.revoke_token("ci", at(3)).await.unwrap(), "it was revoked");
    let revoked = TokenRow { revoked: Some(at(2)), ..token("ci") };
    assert_eq!(catalog.token("d1").await.unwrap(), Some(revoked));
    assert!(catalog.insert_token(token("ci"), "d2".into()).await.unwrap(), "the name is free");
    assert_eq!(catalog.token("d1").await.unwrap(), None);
    assert!(catalog.insert_token(token("other"), "d3".into()).await.unwrap());
    let asked = catalog.ask(asking("alice", None)).await.unwrap();
    catalog.distrust(at(4)).await.unwrap();
    let Asked::New(run) = asked else { panic!("{asked:?}") };
    let end = catalog.run(run).await.unwrap().unwrap().end.unwrap();
    assert_eq!(end.outcome, RunOutcome::Abandoned);
    assert_eq!(catalog.deeds(1).await.unwrap()[0].end.as_ref().unwrap().exit, 1);
    let tokens = catalog.tokens().await.unwrap();
    assert_eq!(tokens.len(), 2);
    assert!(tokens.iter().all(|token| token.revoked == Some(at(4))), "{tokens:?}");
    catalog.read_through().await.unwrap();
}

#[tokio::test]
async fn who_asked_is_written_down_until_the_run_has_ended() {
    let world = World::new();
    let catalog = world.open().await;
    let Asked::New(run) = catalog.ask(asking("alice", Some(key("a")))).await.unwrap() else {
        panic!("it is new")
    };
    assert_eq!(catalog.asked("alice", &key("a")).await.unwrap(), Some(Asked::Before(run)));
    assert_eq!(catalog.asked("alice", &key("b")).await.unwrap(), Some(Asked::Another));
    assert_eq!(catalog.asked("bob", &key("a")).await.unwrap(), None);
    let deeds = catalog.deeds(9).await.unwrap();
    assert_eq!((deeds.len(), deeds[0].deed.who.as_str()), (1, "alice"));
    assert_eq!((deeds[0].deed.reason.as_deref(), &deeds[0].end), (Some("because"), &None));
    let outcome = RunOutcome::Failed { error: "the disk is full".into() };
    catalog.finish_run(run, RunEnd { ended: at(5), outcome, point: None }).await.unwrap();
    let error = Some("the disk is full".to_owned());
    let end = DeedEnd { ended: at(5), exit: 1, error };
    assert_eq!(catalog.deeds(9).await.unwrap()[0].end, Some(end));
}

#[tokio::test]
async fn nobody_has_too_much_wait() {
    let world = World::new();
    let catalog = world.open().await;
    let ask = async |who: &str, key| catalog.ask(asking(who, key)).await.unwrap();
    let Asked::New(first) = ask("alice", Some(key("a"))).await else { panic!("it is new") };
    for _ in 1..100 {
        assert!(matches!(ask("alice", None).await, Asked::New(_)));
    }
    assert_eq!(ask("alice", None).await, Asked::TooMuch);
    assert_eq!(ask("alice", Some(key("a"))).await, Asked::Before(first));
    for number in 0..300 {
        assert!(matches!(ask(&format!("user {number}"), None).await, Asked::New(_)));
    }
    assert_eq!(ask("bob", None).await, Asked::TooMuch);
    let end = RunEnd { ended: at(5), outcome: RunOutcome::Cancelled, point: None };
    catalog.finish_run(first, end).await.unwrap();
    assert!(matches!(ask("alice", None).await, Asked::New(_)));
}
