use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { runs: 3, per_repository: 2, upkeep: 1, overtaken: 5, waiting: 100 };

fn ticket(id: u32, priority: Priority, subject: &str, repository: &str) -> Ticket<u32> {
    let (subject, repository) = (Some(subject.to_owned()), repository.to_owned());
    let is_upkeep = priority == Priority::Upkeep;
    Ticket { id, priority, is_upkeep, subject, repository, alone: false }
}

fn queue(tickets: impl IntoIterator<Item = Ticket<u32>>) -> Queue<u32> {
    let mut queue = Queue::new(LIMITS);
    tickets.into_iter().for_each(|ticket| queue.add(ticket).unwrap());
    queue
}

fn begin_all(queue: &mut Queue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.begin(|_| true)).map(|ticket| ticket.id).collect()
}

#[test]
fn what_is_urgent_comes_first_and_else_who_came_first() {
    use Priority::{Asked, Scheduled, Upkeep};
    let mut queue = queue([
        ticket(1, Upkeep, "a", "x"),
        ticket(2, Scheduled, "b", "x"),
        ticket(3, Scheduled, "c", "y"),
        ticket(4, Asked, "d", "z"),
        ticket(5, Scheduled, "e", "z"),
    ]);
    assert_eq!(begin_all(&mut queue), [4, 2, 3]);
    queue.end(&4);
    assert_eq!(begin_all(&mut queue), [5]);
    assert_eq!(queue.waiting().map(|ticket| ticket.id).collect::<Vec<_>>(), [1]);
}

#[test]
fn nothing_works_on_one_subject_or_too_much_on_one_repository() {
    use Priority::Scheduled;
    let mut queue = queue([
        ticket(1, Scheduled, "a", "x"),
        ticket(2, Scheduled, "a", "y"),
        ticket(3, Scheduled, "b", "x"),
        ticket(4, Scheduled, "c", "x"),
        ticket(5, Scheduled, "d", "y"),
    ]);
    assert_eq!(begin_all(&mut queue), [1, 3, 5]);
    queue.end(&1);
    assert_eq!(begin_all(&mut queue), [2]);
}

#[test]
fn who_is_to_be_alone_waits_and_nobody_passes() {
    use Priority::{Scheduled, Upkeep};
    let prune = Ticket { alone: true, ..ticket(2, Scheduled, "prune", "x") };
    let mut queue = queue([
        ticket(1, Scheduled, "a", "x"),
        prune,
        ticket(3, Scheduled, "b", "x"),
        ticket(4, Upkeep, "c", "y"),
    ]);
    assert_eq!(begin_all(&mut queue), [1, 4]);
    queue.end(&1);
    assert_eq!(begin_all(&mut queue), [2]);
    queue.end(&2);
    assert_eq!(begin_all(&mut queue), [3]);
}

#[test]
fn who_is_not_ready_holds_nobody_up() {
    use Priority::Scheduled;
    let later = Ticket { alone: true, ..ticket(1, Scheduled, "a", "x") };
    let mut queue = queue([later, ticket(2, Scheduled, "b", "x")]);
    assert_eq!(queue.begin(|ticket| ticket.id != 1).map(|ticket| ticket.id), Some(2));
    assert_eq!(queue.begin(|ticket| ticket.id != 1), None);
}

#[test]
fn nobody_is_overtaken_for_ever() {
    use Priority::{Scheduled, Upkeep};
    let prune = Ticket { alone: true, ..ticket(0, Upkeep, "prune", "x") };
    let mut queue = queue([ticket(1, Scheduled, "1", "x"), prune]);
    let mut begun = Vec::new();
    for id in 2..20 {
        queue.add(ticket(id, Scheduled, &id.to_string(), "x")).unwrap();
        begun.extend(queue.begin(|_| true).map(|ticket| ticket.id));
        if let Some(oldest) = queue.running.first().map(|ticket| ticket.id) {
            queue.end(&oldest);
        }
    }
    assert_eq!(begun.iter().position(|id| *id == 0), Some(5), "{begun:?}");
}

#[test]
fn many_that_come_at_once_do_not_overtake_before_they_begin() {
    use Priority::{Scheduled, Upkeep};
    let check = ticket(0, Upkeep, "check", "x");
    let mut queue = queue(
        [check].into_iter().chain((1..20).map(|id| ticket(id, Scheduled, &id.to_string(), "y"))),
    );
    assert_eq!(queue.begin(|_| true).map(|ticket| ticket.id), Some(1));
}

#[test]
fn who_waits_for_other_upkeep_keeps_nothing_free() {
    use Priority::{Scheduled, Upkeep};
    let prune = Ticket { alone: true, ..ticket(2, Upkeep, "prune", "x") };
    let mut queue = queue([ticket(1, Upkeep, "check", "y"), prune]);
    assert_eq!(begin_all(&mut queue), [1]);
    for id in 3..20 {
        queue.add(ticket(id, Scheduled, &id.to_string(), "x")).unwrap();
        assert_eq!(begin_all(&mut queue), [id]);
        queue.end(&id);
    }
}

#[test]
fn upkeep_that_somebody_asks_for_leaves_place_for_others() {
    use Priority::{Asked, Scheduled};
    let check = |id| Ticket { is_upkeep: true, subject: None, ..ticket(id, Asked, "", "x") };
    let checks = [1, 2].map(check);
    let mut queue = queue(checks.into_iter().chain([ticket(3, Scheduled, "shop", "x")]));
    assert_eq!(begin_all(&mut queue), [1, 3]);
}

#[test]
fn who_is_taken_away_does_not_begin() {
    let mut queue = queue([1, 2].map(|id| ticket(id, Priority::Asked, "shop", "x")));
    queue.remove(&1);
    assert_eq!(begin_all(&mut queue), [2]);
}

#[test]
fn a_full_queue_says_so() {
    let mut queue = Queue::new(Limits { waiting: 1, ..LIMITS });
    queue.add(ticket(1, Priority::Asked, "a", "x")).unwrap();
    assert_eq!(queue.add(ticket(2, Priority::Asked, "b", "x")), Err(Full));
}

proptest! {
    // Whatever comes and ends: the limits hold, and everything runs in the end.
    #[test]
    fn limits_hold_and_nobody_waits_for_ever(
        tickets in
            prop::collection::vec((0..6_u8, 0..3_u8, prop::bool::weighted(0.2), 0..3_usize), 1..60),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let priorities = [Priority::Asked, Priority::Scheduled, Priority::Upkeep];
        let count = tickets.len();
        let mut queue = queue((0..).zip(tickets).map(|(id, (subject, repository, alone, urgency))| {
            let (subject, repository) = (Some(subject.to_string()), repository.to_string());
            let priority = priorities[urgency];
            Ticket { id, priority, is_upkeep: priority == Priority::Upkeep, subject, repository, alone }
        }));
        let mut begun = 0;
        for end in ends {
            begun += begin_all(&mut queue).len();
            let running = &queue.running;
            prop_assert!(running.len() <= LIMITS.runs);
            let upkeep = running.iter().filter(|it| it.priority == Priority::Upkeep);
            prop_assert!(upkeep.count() <= LIMITS.upkeep);
            for ticket in running {
                let same = |other: &&Ticket<u32>| other.repository == ticket.repository;
                let there = running.iter().filter(same).count();
                let most = if ticket.alone { 1 } else { LIMITS.per_repository };
                prop_assert!(there <= most);
                prop_assert_eq!(running.iter().filter(|it| it.subject == ticket.subject).count(), 1);
            }
            if running.is_empty() {
                break;
            }
            let id = running[end.index(running.len())].id;
            queue.end(&id);
        }
        prop_assert_eq!((begun, queue.waiting().len()), (count, 0));
    }
}
