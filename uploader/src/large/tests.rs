use proptest::prelude::*;

use self::world::{Map, Noise, Point, Recorder, Sample, World};
use super::assemble::Assembler;
use super::block::BLOCK_BYTES;
use super::wear::{SLICES_PER_MIB_MAX, is_worn};
use crate::error::UploadError;

mod parents;
mod wear;
mod world;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;

#[derive(Clone, Debug)]
enum Edit {
    /// Pages of 8 KiB here and there.
    Pages {
        count: u64,
    },
    Bytes {
        at: u64,
        length: u64,
    },
    Append {
        length: u64,
    },
    Truncate {
        to: u64,
    },
    Punch {
        at: u64,
        length: u64,
    },
    PunchPages {
        count: u64,
    },
    Insert {
        at: u64,
        length: u64,
    },
    LoseChunk,
}

/// Positions are reduced to the size that the file has by then.
fn edit() -> impl Strategy<Value = Edit> {
    let (at, length) = (0..20 * MIB, prop_oneof![1..9 * KIB, 1..5 * MIB]);
    let place = (at.clone(), length.clone());
    prop_oneof![
        3 => (1..200_u64).prop_map(|count| Edit::Pages { count }),
        3 => place.clone().prop_map(|(at, length)| Edit::Bytes { at, length }),
        2 => length.prop_map(|length| Edit::Append { length }),
        1 => at.prop_map(|to| Edit::Truncate { to }),
        2 => place.clone().prop_map(|(at, length)| Edit::Punch { at, length }),
        1 => (1..600_u64).prop_map(|count| Edit::PunchPages { count }),
        1 => place.prop_map(|(at, length)| Edit::Insert { at, length }),
        1 => Just(Edit::LoseChunk),
    ]
}

fn apply(edit: &Edit, file: &mut Sample, world: &mut World, noise: &mut Noise) {
    let size = file.size();
    match *edit {
        Edit::Pages { count } => rewrite_pages(file, noise, count, 2 * PAGE),
        Edit::Bytes { at, length } => {
            let bytes = noise.bytes(length);
            file.write(at % size.max(1), &bytes);
        }
        Edit::Append { length } if size < 16 * MIB => file.append(&noise.bytes(length)),
        Edit::Insert { at, length } if size < 16 * MIB => {
            let bytes = noise.bytes(length);
            file.insert(at % (size + 1), &bytes);
        }
        Edit::Append { .. } | Edit::Insert { .. } => {}
        Edit::Truncate { to } => file.truncate(to % (size + 1)),
        Edit::Punch { at, length } => {
            let at = at % (size + 1);
            file.punch(&(at..at + length));
        }
        Edit::PunchPages { count } => {
            for _ in 0..count {
                let at = noise.below(size / PAGE) * PAGE;
                file.punch(&(at..at + PAGE));
            }
        }
        Edit::LoseChunk => {
            let mut chunks: Vec<_> = world.chunks.keys().copied().collect();
            chunks.sort_unstable();
            let lost = usize::try_from(noise.below(chunks.len() as u64)).unwrap();
            chunks.get(lost).map(|chunk| world.chunks.remove(chunk));
        }
    }
}

fn rewrite_pages(file: &mut Sample, noise: &mut Noise, count: u64, page: u64) {
    for _ in 0..count {
        let bytes = noise.bytes(page);
        let at = noise.below(file.size() / page) * page;
        file.write(at, &bytes);
    }
}

fn noisy(size: u64) -> Sample {
    Sample { bytes: Noise(7).bytes(size), ..Sample::default() }
}

fn is_lost(lost: bool) -> Map {
    if lost { Map::Lost } else { Map::Kept }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_point_restores_to_the_file_as_it_was(
        size in prop_oneof![0..3 * MIB, 3 * MIB..14 * MIB],
        rounds in prop::collection::vec(
            (prop::collection::vec(edit(), 0..4), any::<bool>(), any::<bool>()),
            1..6,
        ),
        seed in any::<u64>(),
    ) {
        let (mut world, mut noise) = (World::new(), Noise(seed));
        let mut file = Sample { bytes: noise.bytes(size), ..Sample::default() };
        let mut point = world.cut(&file);
        world.check(&file, &point);
        for (edits, lost, based) in rounds {
            let before = file.clone();
            for edit in &edits {
                apply(edit, &mut file, &mut world, &mut noise);
            }
            let base = based.then_some(&before);
            point = world.revise_some(&file, (&point, is_lost(lost)), base);
            world.check(&file, &point);
            world::check_joined(&point);
            // Stored as a new file, it is the same file.
            let anew = world.cut(&file);
            world.check(&file, &anew);
            prop_assert_eq!(anew.hash, point.hash);
            // What was restored from is all there, so nothing is left to do.
            let again = world.revise(&file, &point, is_lost(!lost));
            world.check(&file, &again);
            prop_assert_eq!(again.given, 0);
            prop_assert_eq!(&again.extents, &point.extents);
        }
    }

    #[test]
    fn no_more_than_the_changed_pages_is_stored(
        pages in prop::collection::btree_set(0..3072_u64, 1..300),
        seed in any::<u64>(),
    ) {
        let (mut world, mut noise) = (World::new(), Noise(seed));
        // The last page is short.
        let mut file = noisy(12 * MIB - 1000);
        let point = world.cut(&file);
        for page in &pages {
            let at = page * PAGE + noise.below(PAGE - 1000);
            let bytes = noise.bytes(noise.clone().below(999) + 1);
            file.write(at, &bytes);
        }
        let next = world.revise(&file, &point, Map::Kept);
        world.check(&file, &next);
        prop_assert!(next.given <= pages.len() as u64 * PAGE, "{}", next.given);
    }
}

#[test]
fn an_unchanged_file_costs_nothing_with_and_without_its_map() {
    let mut world = World::new();
    let mut file = noisy(20 * MIB + 5000);
    file.punch(&(5 * MIB + 1..9 * MIB + 77));
    let mut point = world.cut(&file);
    rewrite_pages(&mut file, &mut Noise(1), 100, PAGE);
    point = world.revise(&file, &point, Map::Kept);
    for map in [Map::Lost, Map::Kept] {
        let again = world.revise(&file, &point, map);
        world.check(&file, &again);
        assert_eq!((again.given, &again.extents), (0, &point.extents), "{map:?}");
    }
}

#[test]
fn what_is_known_not_to_have_changed_is_not_read() {
    let mut world = World::new();
    let mut file = noisy(41 * MIB + 5000);
    file.punch(&(20 * MIB + 1..26 * MIB + 77));
    let point = world.cut(&file);
    let before = file.clone();
    for (at, length) in [(9 * MIB, 4 * PAGE), (30 * MIB - 1, 2)] {
        file.write(at, &Noise(at).bytes(length));
    }
    let all = world.revise(&file, &point, Map::Kept);
    let some = world.revise_some(&file, (&point, Map::Kept), Some(&before));
    world.check(&file, &some);
    assert_eq!((&some.extents, some.given), (&all.extents, all.given));
    // Two blocks, and what of an extent lies before or behind them.
    let block = BLOCK_BYTES as u64;
    assert!((2 * block..4 * block).contains(&some.read), "{}", some.read);
    let again = world.revise_some(&file, (&some, Map::Kept), Some(&file.clone()));
    assert_eq!((again.read, &again.extents), (0, &some.extents));
    // Without the digests of its pages it is read all the same.
    let lost = world.revise_some(&file, (&some, Map::Lost), Some(&file.clone()));
    assert!(lost.read > 30 * MIB && lost.hash == some.hash);
}

#[test]
fn without_a_map_only_the_slices_that_changed_are_stored() {
    let mut world = World::new();
    let mut file = noisy(20 * MIB);
    let point = world.cut(&file);
    let longest = point.extents.iter().map(format::tree::Extent::length).max().unwrap();
    file.write(10 * MIB, b"changed");
    let next = world.revise(&file, &point, Map::Lost);
    world.check(&file, &next);
    assert!((1..=longest).contains(&next.stored), "{}", next.stored);
}

#[test]
fn an_insertion_is_found_again_by_its_content() {
    let mut world = World::new();
    let mut file = noisy(40 * MIB);
    let point = world.cut(&file);
    file.insert(MIB, b"inserted");
    for map in [Map::Kept, Map::Lost] {
        let next = world.revise(&file, &point, map);
        world.check(&file, &next);
        assert!(next.stored < 12 * MIB, "{map:?} {}", next.stored);
    }
}

#[test]
fn what_grew_keeps_what_it_was() {
    let mut world = World::new();
    let mut file = noisy(5 * MIB + 100);
    let point = world.cut(&file);
    let grown = 6 * MIB;
    file.append(&Noise(9).bytes(grown));
    let next = world.revise(&file, &point, Map::Kept);
    world.check(&file, &next);
    // The page that was the last and short is another one now.
    assert_eq!(next.given, grown + 100);
}

#[test]
fn long_runs_are_cut_and_short_ones_share_a_chunk() {
    let (mut world, mut noise) = (World::new(), Noise(3));
    let mut file = noisy(32 * MIB);
    let point = world.cut(&file);
    let before = world.chunks.len();
    let long = 2 * MIB + 8 * KIB;
    // Over the border between two blocks.
    file.write(7 * MIB, &noise.bytes(long));
    for number in 0..80 {
        file.write(12 * MIB + number * 64 * KIB, &noise.bytes(PAGE));
    }
    let next = world.revise(&file, &point, Map::Kept);
    world.check(&file, &next);
    assert_eq!(next.given, long + 80 * PAGE);
    let new = world.chunks.len() - before;
    assert!((2..=9).contains(&new), "{new}");
    let shared: std::collections::BTreeMap<_, u32> = next
        .extents
        .iter()
        .filter_map(format::tree::Extent::slice)
        .filter(|slice| u64::from(slice.length) == PAGE)
        .fold(std::collections::BTreeMap::new(), |mut counts, slice| {
            *counts.entry(slice.chunk).or_default() += 1;
            counts
        });
    assert_eq!(shared.into_values().collect::<Vec<_>>(), [80]);
}

#[test]
fn one_short_run_alone_is_a_whole_chunk() {
    let mut world = World::new();
    let mut file = noisy(6 * MIB);
    let point = world.cut(&file);
    file.write(3 * MIB, &Noise(3).bytes(8 * PAGE));
    let next = world.revise(&file, &point, Map::Kept);
    world.check(&file, &next);
    let whole = next.extents.iter().filter(|extent| {
        matches!(extent, format::tree::Extent::Whole(slice) if u64::from(slice.length) == 8 * PAGE)
    });
    assert_eq!(whole.count(), 1);
}

#[test]
fn a_block_that_is_mostly_others_is_cut_anew() {
    let mut world = World::new();
    let mut file = noisy(12 * MIB);
    let point = world.cut(&file);
    let block = BLOCK_BYTES as u64;
    let rewrite = |file: &mut Sample, pages: u64| {
        for page in 0..pages {
            file.write(
                block + page * 2 % 1024 * PAGE + page / 512 * PAGE,
                &Noise(page).bytes(PAGE),
            );
        }
    };
    rewrite(&mut file, 100);
    let some = world.revise(&file, &point, Map::Kept);
    assert_eq!(some.given, 100 * PAGE);
    rewrite(&mut file, 513);
    let most = world.revise(&file, &point, Map::Kept);
    world.check(&file, &most);
    assert_eq!(most.given, block);
}

#[test]
fn extents_do_not_wait_for_ever() {
    let mut world = World::new();
    let point = Point::default();
    let mut sink = Recorder { keys: &world.keys, chunks: &mut world.chunks, point, file: &[] };
    let mut assembler = Assembler::new(&world.keys, &world.chunker);
    for _ in 0..40_000 {
        assembler.changed(b"x", &mut sink).unwrap();
        assembler.hole(1, &mut sink).unwrap();
    }
    assert!(sink.point.extents.len() > 30_000, "{}", sink.point.extents.len());
    assembler.finish(&mut sink).unwrap();
    assert_eq!(sink.point.extents.len(), 80_000);
}
