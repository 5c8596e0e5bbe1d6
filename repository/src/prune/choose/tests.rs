//! Every live chunk keeps a home, and what is written anew is worth it.

use proptest::prelude::*;

use super::*;

const PACK: Tally = Tally {
    is_condemned: false,
    is_resolved: true,
    is_indexed: true,
    is_needed: false,
    bytes: 100,
    live: 0,
    homed: 0,
    rescued: 0,
};

fn homing(homed: u32) -> Tally {
    Tally { homed, live: homed, ..PACK }
}

#[test]
fn a_tally_is_small() {
    assert_eq!(size_of::<Tally>(), 20);
}

#[test]
fn what_nobody_needs_is_condemned_with_the_reason() {
    let tallies = [
        Tally { is_condemned: true, ..PACK },
        Tally { is_resolved: false, ..PACK },
        Tally { is_indexed: false, ..PACK },
        Tally { is_indexed: false, bytes: 0, ..PACK },
        Tally { live: 60, ..PACK },
        PACK,
    ];
    let wanted =
        [(2, Reason::Orphan), (3, Reason::Orphan), (4, Reason::Duplicate), (5, Reason::Unneeded)];
    assert_eq!(choose(&tallies, Unused::Unlimited), wanted);
}

#[test]
fn the_emptiest_packs_are_written_anew_until_the_limit_holds() {
    let tallies = [90, 10, 50, 100, 40].map(homing);
    let chosen = |limit| {
        let chosen = choose(&tallies, limit);
        assert!(chosen.iter().all(|(_, reason)| *reason == Reason::MostlyUnneeded));
        chosen.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
    };
    // 210 of 500 are not used.
    assert_eq!(chosen(Unused::Unlimited), [0_u32; 0]);
    assert_eq!(chosen(Unused::Bytes(210)), [0_u32; 0]);
    assert_eq!(chosen(Unused::Bytes(209)), [1]);
    assert_eq!(chosen(Unused::Bytes(60)), [1, 4]);
    assert_eq!(chosen(Unused::Bytes(59)), [1, 2, 4]);
    assert_eq!(chosen(Unused::Bytes(0)), [0, 1, 2, 4]);
    assert_eq!(chosen(Unused::Percent(0.0)), [0, 1, 2, 4]);
    // 290 are used: 5 % are some 15 beside them.
    assert_eq!(chosen(Unused::Percent(5.0)), [1, 2, 4]);
    assert_eq!(chosen(Unused::Percent(42.1)), [0_u32; 0]);
    assert_eq!(chosen(Unused::Percent(100.0)), [0_u32; 0]);
}

#[test]
fn packs_of_sessions_at_work_and_condemned_ones_are_not_written_anew() {
    let mut tallies = [homing(1), homing(1)];
    tallies[0].is_resolved = false;
    tallies[1].is_condemned = true;
    assert!(choose(&tallies, Unused::Bytes(0)).is_empty());
    tallies[1].rescued = 1;
    assert_eq!(choose(&tallies, Unused::Unlimited), [(1, Reason::Rescue)]);
}

#[test]
fn a_chunk_that_lies_twice_in_a_pack_counts_once() {
    let mut tallies = [PACK, Tally { live: 90, ..PACK }];
    settle(&mut tallies, &[(1, 30), (1, 25), (0, 40)]);
    assert_eq!((tallies[0].homed, tallies[1].homed), (0, 30));
}

fn any_pack() -> impl Strategy<Value = (bool, bool, bool)> {
    (prop::bool::weighted(0.2), prop::bool::weighted(0.8), prop::bool::weighted(0.9))
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_live_chunk_keeps_a_home_or_is_copied(
        packs in prop::collection::vec(any_pack(), 1..6),
        chunks in prop::collection::vec((any::<bool>(), prop::collection::vec(0_u32..6, 1..5)), 0..12),
        limit in 0_u64..40,
    ) {
        let count = u32::try_from(packs.len()).unwrap();
        let chunks: Vec<(bool, Vec<(u32, u64)>)> = chunks
            .into_iter()
            .map(|(live, places)| (live, places.into_iter().map(|p| (p % count, 10)).collect()))
            .collect();
        let mut tallies: Vec<Tally> = packs
            .iter()
            .map(|(is_condemned, is_resolved, is_indexed)| Tally {
                is_condemned: *is_condemned,
                is_resolved: *is_resolved,
                is_indexed: *is_indexed,
                ..Tally::default()
            })
            .collect();
        for (live, places) in &chunks {
            for (pack, bytes) in places {
                tallies[*pack as usize].add(*bytes, *live);
            }
        }
        for (_, places) in chunks.iter().filter(|(live, _)| *live) {
            settle(&mut tallies, places);
        }
        let chosen = choose(&tallies, Unused::Bytes(limit));
        let reason = |pack: u32| chosen.iter().find(|(n, _)| *n == pack).map(|(_, reason)| *reason);
        let is_copied = |pack| matches!(reason(pack), Some(Reason::MostlyUnneeded | Reason::Rescue));
        for (_, places) in chunks.iter().filter(|(live, _)| *live) {
            match home_of(&tallies, places.iter().map(|(pack, _)| *pack)) {
                // It stays where it is, or is copied from there.
                Home::In(pack) => {
                    prop_assert!(!tallies[pack as usize].is_condemned);
                    prop_assert!(reason(pack).is_none() || is_copied(pack));
                }
                Home::Rescue(pack) => prop_assert!(is_copied(pack)),
                Home::Lost => prop_assert!(false, "a chunk with places has a home"),
            }
        }
        // Nothing of a session at work is touched.
        for (number, _) in &chosen {
            let tally = tallies[*number as usize];
            prop_assert!(tally.is_resolved || tally.rescued > 0);
        }
    }
}
