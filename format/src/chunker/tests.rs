use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn text(seed: u8, length: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["let ", "self.", "(", ")\n", "the ", "return ", "    ", "chunk"];
    let words = noise(seed, length).into_iter().map(|n| WORDS[n as usize % 8].as_bytes());
    words.flatten().copied().take(length).collect()
}

fn periodic(seed: u8, length: usize, period: usize) -> Vec<u8> {
    noise(seed, period).into_iter().cycle().take(length).collect()
}

// Zeros with the same few bytes here and there, as in files that were never filled.
fn sparse(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (at, chance) in (0..length).step_by(50).zip(noise(seed, length)) {
        if chance < 128 {
            bytes[at] = chance % 4;
        }
    }
    bytes
}

fn chunks<'a>(chunker: &Chunker, mut data: &'a [u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    while !data.is_empty() {
        let (chunk, rest) = data.split_at(chunker.cut(data));
        chunks.push(chunk);
        data = rest;
    }
    chunks
}

fn ends(chunker: &Chunker, data: &[u8]) -> Vec<u64> {
    let start = data.as_ptr() as usize;
    let end = |chunk: &[u8]| chunk.as_ptr_range().end as usize - start;
    chunks(chunker, data).into_iter().map(|chunk| end(chunk) as u64).collect()
}

fn ends_by_blocks(cutter: &mut Cutter, data: &[u8], sizes: &[usize]) -> Vec<u64> {
    let (mut ends, mut rest) = (Vec::new(), data);
    for size in sizes.iter().cycle() {
        let (block, later) = rest.split_at(rest.len().min(*size));
        cutter.feed(block, &mut ends);
        if later.is_empty() {
            break;
        }
        rest = later;
    }
    ends.extend(cutter.finish());
    ends
}

// The rule of the document, position by position.
fn cut_by_the_document(key: &Chunker, data: &[u8]) -> usize {
    let passes = |end: usize, mask| {
        let numbers = data[end - 8..end].as_chunks().0.iter().map(|n| i16::from_le_bytes(*n));
        let products = numbers.zip(key.sieve.factors).map(|(n, k)| i64::from(n) * i64::from(k));
        let sum = (products.sum::<i64>() + i64::from(key.sieve.offset)).rem_euclid(1 << 32);
        let hash = || blake3::keyed_hash(&key.window_key, &data[end - 64..end]);
        (sum >> 12) % 1024 == 0
            && u32::from_le_bytes(*hash().as_bytes().first_chunk().unwrap()) & mask == 0
    };
    let last = data.len().min(CHUNK_BYTES_MAX);
    (CHUNK_BYTES_MIN..last)
        .find(|end| passes(*end, if *end < CHUNK_BYTES_AVERAGE { 0x7ff } else { 0x1ff }))
        .unwrap_or(last)
}

// A chunker whose first filter passes at every position of zeros, as for one key in 1,024.
fn open_to_zeros(cut_key: u8) -> Chunker {
    let mut chunker = Chunker::new(&[cut_key; 32]);
    chunker.sieve.offset = 0;
    chunker
}

fn any_data() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        1 => 0..300_usize,
        2 => CHUNK_BYTES_MIN - 80..CHUNK_BYTES_MIN + 200,
        8 => CHUNK_BYTES_MIN..3 * MIB,
        1 => CHUNK_BYTES_MAX - 80..5 * MIB,
    ];
    let period = prop_oneof![1..9_usize, 1..200_usize, 1..5000_usize];
    (length, any::<u8>(), 0..5, period).prop_map(|(length, seed, kind, period)| match kind {
        0 => noise(seed, length),
        1 => text(seed, length),
        2 => vec![0; length],
        3 => sparse(seed, length),
        _ => periodic(seed, length, period),
    })
}

fn any_chunker() -> impl Strategy<Value = Chunker> {
    (any::<u8>(), any::<bool>())
        .prop_map(|(key, open)| if open { open_to_zeros(key) } else { Chunker::new(&[key; 32]) })
}

impl std::fmt::Debug for Chunker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Chunker").field(&self.window_key).field(&self.sieve.offset).finish()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_instructions_cut_as_the_document_says(data in any_data(), chunker in any_chunker()) {
        let expected = cut_by_the_document(&chunker, &data);
        for instructions in Instructions::available() {
            prop_assert_eq!(chunker.clone().on(instructions).cut(&data), expected, "{}", instructions);
        }
    }

    #[test]
    fn a_cutter_cuts_alike_whatever_the_blocks(
        data in any_data(),
        chunker in any_chunker(),
        sizes in prop_oneof![
            vec(1..MIB, 1..8),
            vec(1..200_usize, 1..8),
            vec(prop_oneof![1..130_usize, 1..300 * KIB], 1..20),
        ],
    ) {
        let expected = ends(&chunker, &data);
        let mut cutter = Cutter::new(&chunker);
        prop_assert_eq!(&ends_by_blocks(&mut cutter, &data, &sizes), &expected);
        prop_assert_eq!(&ends_by_blocks(&mut cutter, &data, &[data.len()]), &expected, "again");
    }
}

#[test]
fn a_cutter_takes_single_bytes() {
    for chunker in [Chunker::new(&[9; 32]), open_to_zeros(9)] {
        for data in [noise(5, 3 * MIB), sparse(5, 3 * MIB)] {
            let mut cutter = Cutter::new(&chunker);
            assert_eq!(ends_by_blocks(&mut cutter, &data, &[1]), ends(&chunker, &data));
        }
    }
}

#[test]
fn a_cutter_tells_an_end_with_the_byte_that_decides_it() {
    for (chunker, data) in
        [(Chunker::new(&[9; 32]), noise(6, 5 * MIB)), (Chunker::new(&[9; 32]), vec![0; 5 * MIB])]
    {
        let end = chunker.cut(&data);
        let (mut cutter, mut ends) = (Cutter::new(&chunker), Vec::new());
        for later in 1..200 {
            cutter.feed(&data[..end - later], &mut ends);
            cutter.feed(&data[end - later..end - 1], &mut ends);
            assert_eq!(ends, [0; 0], "{later}");
            cutter.feed(&data[end - 1..end], &mut ends);
            assert_eq!(ends, [end as u64], "{later}");
            assert_eq!(cutter.finish(), None, "nothing is left");
            ends.clear();
        }
        assert_eq!(cutter.finish(), None, "an empty content has no chunk");
    }
}

#[test]
fn a_cutter_finds_an_end_anywhere_in_a_block() {
    for (chunker, data) in
        [(Chunker::new(&[9; 32]), noise(7, 5 * MIB)), (Chunker::new(&[9; 32]), vec![0; 5 * MIB])]
    {
        let end = chunker.cut(&data);
        let (mut cutter, mut ends) = (Cutter::new(&chunker), Vec::new());
        for before in 0..200 {
            let (first, second) = data[..end + 100].split_at(end - before);
            cutter.feed(first, &mut ends);
            cutter.feed(second, &mut ends);
            assert_eq!(ends, [end as u64], "{before}");
            assert_eq!(cutter.finish(), Some(end as u64 + 100));
            ends.clear();
        }
    }
}

#[test]
fn chunks_keep_their_bounds_and_their_mean() {
    let data = noise(1, 64 << 20);
    let chunks = chunks(&Chunker::new(&[9; 32]), &data);
    let (last, others) = chunks.split_last().unwrap();
    assert!(others.iter().all(|c| (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&c.len())));
    assert!(last.len() <= CHUNK_BYTES_MAX);
    assert!((40..100).contains(&chunks.len()), "{}", chunks.len());
}

#[test]
fn an_insertion_changes_the_chunks_around_it_only() {
    let chunker = Chunker::new(&[9; 32]);
    let mut data = noise(2, 32 << 20);
    let before: std::collections::BTreeSet<_> =
        chunks(&chunker, &data).into_iter().map(blake3::hash).map(|h| *h.as_bytes()).collect();
    data.splice(16 << 20..16 << 20, *b"inserted");
    let new = chunks(&chunker, &data)
        .into_iter()
        .filter(|c| !before.contains(blake3::hash(c).as_bytes()))
        .count();
    assert!((1..=4).contains(&new), "{new}");
}

#[test]
fn another_key_cuts_elsewhere() {
    let data = noise(3, 16 << 20);
    let cuts =
        |key| chunks(&Chunker::new(&[key; 32]), &data).iter().map(|c| c.len()).collect::<Vec<_>>();
    assert_ne!(cuts(1), cuts(2));
}

#[test]
fn short_and_uniform_data_are_cut_at_the_limits() {
    let chunker = Chunker::new(&[9; 32]);
    assert_eq!(chunker.cut(b""), 0);
    assert_eq!(chunker.cut(&noise(4, CHUNK_BYTES_MIN)), CHUNK_BYTES_MIN);
    assert_eq!(chunker.cut(&vec![0; 5 << 20]), CHUNK_BYTES_MAX);
}

#[test]
fn the_document_has_the_cuts_of_an_example() {
    let mut content = vec![0; 8 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    let document = include_str!("../../../docs/format.md");
    let example = document.lines().find_map(|line| line.strip_prefix("chunk ends: ")).unwrap();
    let documented: Result<Vec<u64>, _> = example.split_whitespace().map(str::parse).collect();
    assert_eq!(documented.unwrap(), ends(&Chunker::new(&[9; 32]), &content));
}
