use super::*;

const OTHER: RepositoryId = RepositoryId::new([9; 16]);

/// Thirty points of three applications, some taken at the same instant, half of them in two repositories.
async fn fill(catalog: &Catalog) {
    let made: Vec<_> = (0..30)
        .map(|number| {
            let application = ["shop", "wiki", "blog"][number as usize % 3].to_owned();
            Manifest { application, taken: at(number / 4), ..manifest(number) }
        })
        .collect();
    catalog.insert_points(REPOSITORY, &made).await.unwrap();
    catalog.insert_points(OTHER, &made[..15]).await.unwrap();
    let when = at(50);
    let annotation = Annotation {
        who: "alice".into(),
        when,
        note: Note::Tag { tag: "x".into() },
        previous: None,
    };
    catalog.insert_annotations(OTHER, vec![((point_id(3), 1), annotation)]).await.unwrap();
}

async fn pages(catalog: &Catalog, filter: &PointPageFilter, limit: u32) -> Vec<PointRow> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = catalog.point_page(filter, after, limit).await.unwrap();
        let Some(last) = page.last() else { return rows };
        after = Some((last.taken, last.point, last.repository));
        rows.extend(page);
    }
}

#[tokio::test]
async fn pages_of_any_size_are_the_whole_list() {
    let world = World::new();
    let catalog = world.open().await;
    fill(&catalog).await;
    let mut whole = everything(&catalog).await;
    let order = |row: &PointRow| std::cmp::Reverse((row.taken, row.point, row.repository));
    whole.sort_by_key(order);
    assert_eq!(whole.len(), 45);
    let all = PointPageFilter::default();
    for limit in [1, 2, 7, 44, 45, 99] {
        assert_eq!(pages(&catalog, &all, limit).await, whole, "{limit}");
    }
    let filter = PointPageFilter {
        repository: Some(OTHER),
        applications: Some(vec!["shop".into(), "blog".into()]),
        since: Some(at(1)),
        until: Some(at(3)),
    };
    let mut some = whole.clone();
    some.retain(|row| {
        row.repository == OTHER && row.application != "wiki" && (at(1)..at(3)).contains(&row.taken)
    });
    assert!(!some.is_empty() && some.len() < 15);
    assert_eq!(pages(&catalog, &filter, 2).await, some);
    let nobody = PointPageFilter { applications: Some(Vec::new()), ..all };
    assert!(pages(&catalog, &nobody, 9).await.is_empty());
    let copies = catalog.copies(point_id(3)).await.unwrap();
    assert_eq!(copies.len(), 2);
    let tags = |row: &PointRow| row.annotations.tags.len();
    assert_eq!(copies.iter().map(tags).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(catalog.copies(point_id(99)).await.unwrap(), []);
}

#[tokio::test]
async fn events_are_told_in_both_directions() {
    let world = World::new();
    let catalog = world.open().await;
    for number in 0..9_u32 {
        let application = Some(["shop", "wiki"][number as usize % 2].to_owned());
        let happening = Happening::Forgotten { count: u64::from(number) };
        let event = Event { moment: at(number), application, policy: None, happening };
        catalog.record_event(event).await.unwrap();
    }
    let all = HistoryFilter::default();
    let numbers = |events: Vec<(EventId, Event)>| {
        events.into_iter().map(|(id, _)| id.number()).collect::<Vec<_>>()
    };
    let page = catalog.event_page(&all, Some(EventId::new(8)), 3).await.unwrap();
    assert_eq!(numbers(page), [7, 6, 5]);
    let after = catalog.events_after(&all, EventId::new(6), 2).await.unwrap();
    assert_eq!(numbers(after), [7, 8]);
    let wiki = HistoryFilter { applications: Some(vec!["wiki".into()]), ..all };
    assert_eq!(numbers(catalog.event_page(&wiki, None, 2).await.unwrap()), [8, 6]);
    assert_eq!(numbers(catalog.events_after(&wiki, EventId::new(4), 9).await.unwrap()), [6, 8]);
}
