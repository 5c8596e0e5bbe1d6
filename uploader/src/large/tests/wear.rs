//! How files age that a database rewrites page by page.

use super::*;

struct Year {
    /// Slices a MiB after each round.
    slices: Vec<u64>,
    /// Blocks that were cut anew in each round, about.
    recuts: Vec<u64>,
    /// The first round after which the whole file should be cut anew.
    worn: Option<usize>,
}

fn worn(world: &World, point: &Point) -> bool {
    let length = |chunk| Ok::<_, UploadError>(Some(world.chunks[&chunk].len() as u64));
    is_worn(point.extents.iter().copied().map(Ok), length).unwrap()
}

/// Rewrites 1 % of the pages of a file, round by round.
fn age(size: u64, page: u64, rounds: usize) -> Year {
    let (mut world, mut noise) = (World::new(), Noise(11));
    let mut file = noisy(size);
    let mut point = world.cut(&file);
    let mut year = Year { slices: Vec::new(), recuts: Vec::new(), worn: None };
    for round in 1..=rounds {
        let before = file.bytes.clone();
        rewrite_pages(&mut file, &mut noise, size / page / 100, page);
        let pages = file.bytes.chunks(4096).zip(before.chunks(4096));
        let changed = pages.filter(|(now, before)| now != before).count() as u64 * PAGE;
        point = world.revise(&file, &point, Map::Kept);
        assert!(point.given >= changed);
        year.slices.push(point.slices() as u64 / (size / MIB));
        year.recuts.push((point.given - changed).div_ceil(BLOCK_BYTES as u64));
        if year.worn.is_none() && worn(&world, &point) {
            year.worn = Some(round);
        }
        if round % 10 == 0 {
            world.check(&file, &point);
        }
    }
    let Year { slices, recuts, worn } = &year;
    println!("{} MiB, 1 % of {} KiB pages: slices a MiB {slices:?}", size / MIB, page / KIB);
    println!("blocks cut anew {recuts:?}, the whole file after {worn:?}");
    year
}

#[test]
fn thirty_rounds_of_one_percent_store_only_what_changed() {
    let year = age(64 * MIB, 8 * KIB, 30);
    assert!(year.slices.iter().all(|slices| *slices <= 64), "{:?}", year.slices);
    assert_eq!(year.recuts.iter().sum::<u64>(), 0);
    assert_eq!(year.worn, None);
}

#[test]
fn a_hundred_rounds_keep_slices_and_their_chunks_in_bounds() {
    // How often each of the 8 blocks may be cut anew.
    for (page, times) in [(4 * KIB, 4), (8 * KIB, 2)] {
        let year = age(32 * MIB, page, 100);
        let limit = SLICES_PER_MIB_MAX as u64;
        assert!(year.slices.iter().all(|slices| *slices <= limit), "{:?}", year.slices);
        let recuts = year.recuts.iter().sum::<u64>();
        assert!((1..=times * 8).contains(&recuts), "{recuts}");
    }
}
