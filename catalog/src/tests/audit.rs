use super::*;

fn deed(second: u32) -> Deed {
    let (who, command) = ("alice as root".to_owned(), "stillpoint forget 0a1b".to_owned());
    let (repository, reason) = (Some("s3://backups".into()), Some("the contract ended".into()));
    Deed { moment: at(second), who, command, repository, reason }
}

#[tokio::test]
async fn who_did_what_is_known_and_how_it_ended() {
    let world = World::new();
    let catalog = world.open().await;
    let first = catalog.begin_deed(deed(1)).await.unwrap();
    let second = catalog.begin_deed(Deed { reason: None, ..deed(2) }).await.unwrap();
    catalog.begin_deed(deed(3)).await.unwrap();
    let end = |error: Option<&str>| {
        let error = error.map(ToOwned::to_owned);
        DeedEnd { ended: at(9), exit: error.is_some().into(), error }
    };
    assert!(catalog.end_deed(first, end(None)).await.unwrap());
    assert!(catalog.end_deed(second, end(Some("no such point"))).await.unwrap());
    assert!(!catalog.end_deed(second, end(None)).await.unwrap(), "it has ended");
    let rows = [
        DeedRow { deed: deed(3), end: None },
        DeedRow { deed: Deed { reason: None, ..deed(2) }, end: Some(end(Some("no such point"))) },
        DeedRow { deed: deed(1), end: Some(end(None)) },
    ];
    assert_eq!(catalog.deeds(9).await.unwrap(), rows);
    assert_eq!(catalog.deeds(1).await.unwrap(), rows[..1]);
    assert_eq!(catalog.forget_history(at(3)).await.unwrap(), 2);
    assert_eq!(catalog.deeds(9).await.unwrap(), rows[..1]);
    catalog.read_through().await.unwrap();
}
