use std::os::unix::fs::FileExt as _;

use format::content::ContentHasher;
use format::ids::{Digest, RepositoryId};
use format::keys::RootKey;
use tempfile::TempDir;

use super::*;
use crate::large::page_map::NewPageMap;

/// More than one run may hold, with holes before, between and behind.
const PAGES: [u64; 6] = [1, 2, 3, 700, 9999, u64::MAX / 4096 - 1];

fn keys(seed: u8) -> Keys {
    Keys::derive(&RootKey::new([seed; 32]), RepositoryId::new([2; 16]))
}

fn pages() -> impl Iterator<Item = (u64, Digest)> {
    let many = 20_000..30_000;
    let numbers = PAGES[..5].iter().copied().chain(many).chain(PAGES[5..].iter().copied());
    numbers.map(|number| (number, keys(1).digest(&number.to_le_bytes())))
}

fn hash() -> ContentHash {
    let mut hasher = ContentHasher::new(&keys(1));
    pages().for_each(|(number, digest)| hasher.page(number, digest));
    hasher.finish(u64::MAX)
}

fn write(cache: &MapCache) -> NewPageMap {
    let mut writer = cache.writer().unwrap();
    pages().for_each(|(number, digest)| writer.page(number, digest).unwrap());
    writer.finish(u64::MAX, hash()).unwrap()
}

fn cache() -> (TempDir, MapCache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = MapCache::open(&directory.path().join("maps")).unwrap();
    (directory, cache)
}

fn names(cache: &MapCache) -> Vec<String> {
    let entries = fs::read_dir(&cache.workplace.directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with(UNFINISHED)).collect()
}

#[test]
fn a_kept_map_has_every_page_that_was_written() {
    let (_directory, cache) = cache();
    let new = write(&cache);
    assert!(cache.verified(hash(), &keys(1)).is_none());
    new.keep().unwrap();
    let mut map = cache.verified(hash(), &keys(1)).unwrap();
    assert_eq!(map.digest(0), None);
    let numbers: HashSet<u64> = pages().map(|(number, _)| number).collect();
    for (number, digest) in pages() {
        // Asked twice, and for pages that are not there in between.
        assert_eq!(map.digest(number), Some(digest), "{number}");
        assert_eq!(map.digest(number), Some(digest), "{number}");
        if !numbers.contains(&(number + 1)) {
            assert_eq!(map.digest(number + 1), None, "{number}");
        }
    }
}

#[test]
fn what_is_not_kept_leaves_nothing() {
    let (directory, cache) = cache();
    drop(write(&cache));
    let mut unfinished = cache.writer().unwrap();
    unfinished.page(1, keys(1).digest(b"x")).unwrap();
    assert_eq!(fs::read_dir(&cache.workplace.path).unwrap().count(), 1);
    drop(unfinished);
    assert_eq!(fs::read_dir(&cache.workplace.path).unwrap().count(), 0);
    drop(cache);
    assert_eq!(fs::read_dir(directory.path().join("maps")).unwrap().count(), 0);
}

#[test]
fn torn_altered_and_foreign_maps_are_refused_and_removed() {
    let (_directory, cache) = cache();
    let path = cache.workplace.directory.join(file_name(hash()));
    write(&cache).keep().unwrap();
    let good = fs::read(&path).unwrap();
    let length = good.len();
    let refused = |bytes: &[u8], keys: &Keys, why: &str| {
        fs::write(&path, bytes).unwrap();
        assert!(cache.verified(hash(), keys).is_none(), "{why}");
        assert!(!path.exists(), "{why}");
    };
    for torn in [0, 7, 8, 12, 16, 17, 32, 40, 48, 64, length / 2, length - 16, length - 1] {
        refused(&good[..torn], &keys(1), "torn");
    }
    for place in [0, 7, 8, 15, 16, 24, 31, 32, 47, length / 2, length - 1] {
        let mut altered = good.clone();
        altered[place] ^= 1;
        refused(&altered, &keys(1), "altered");
    }
    refused(&[&good[..], b"x"].concat(), &keys(1), "longer");
    refused(&good, &keys(2), "of another repository");
    refused(b"SPpages\x01 not at all a map", &keys(1), "foreign");
    fs::write(&path, &good).unwrap();
    assert!(cache.verified(hash(), &keys(1)).is_some());
}

#[test]
fn a_map_is_read_to_its_end_whatever_becomes_of_its_name() {
    let (_directory, cache) = cache();
    write(&cache).keep().unwrap();
    let mut map = cache.verified(hash(), &keys(1)).unwrap();
    write(&cache).keep().unwrap();
    cache.sweep(&HashSet::new()).unwrap();
    assert!(names(&cache).is_empty());
    assert!(pages().all(|(number, digest)| map.digest(number) == Some(digest)));
}

#[test]
fn a_map_that_fails_later_on_has_no_more_pages() {
    let (_directory, cache) = cache();
    write(&cache).keep().unwrap();
    let mut map = cache.verified(hash(), &keys(1)).unwrap();
    let path = cache.workplace.directory.join(file_name(hash()));
    let file = OpenOptions::new().write(true).open(path).unwrap();
    // The header of the long run, whose pages it then does not have.
    let header = 16 + (16 + 3 * 16) + 2 * (16 + 16);
    file.write_all_at(&[0; 16], header).unwrap();
    file.set_len(header + 16).unwrap();
    assert!(map.digest(9999).is_some());
    assert!((20_000..20_002).all(|number| map.digest(number).is_none()));
}

#[test]
fn a_sweep_removes_what_nobody_needs() {
    let (_directory, cache) = cache();
    let other = ContentHash::new([7; 32]);
    write(&cache).keep().unwrap();
    let directory = cache.workplace.directory.clone();
    fs::write(directory.join(file_name(other)), b"x").unwrap();
    fs::write(directory.join("notes.pages"), b"not ours").unwrap();
    fs::write(directory.join("unfinished-business"), b"not ours").unwrap();
    let left = directory.join("unfinished-1-0");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("0"), b"x").unwrap();
    let second = MapCache::open(&directory).unwrap();
    let new = write(&second);
    cache.sweep(&HashSet::from([hash()])).unwrap();
    assert!(!left.exists());
    let mut names = names(&cache);
    names.sort();
    assert_eq!(names, [file_name(hash()).to_str().unwrap(), "notes.pages"]);
    // That of a run that goes on was left alone.
    new.keep().unwrap();
}
