//! How fast content is cut, in MB (10^6 bytes) for each second of the thread's processor time.
//!
//! `cargo bench -p format`. Each figure is the median of five passes over 64 MiB. The columns
//! `open` are for a key that lets the first filter pass at every position of zeros.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark prints figures")]

use std::time::Duration;

use format::chunker::{Chunker, Cutter, Instructions};
use rustix::time::{ClockId, clock_gettime};

const BYTES: usize = 64 << 20;
const BLOCK_BYTES: usize = 1 << 20;
const PASSES: usize = 5;

fn main() {
    let (key, open_key) = ([7; 32], key_open_to_zeros());
    let data = [
        ("random", key, random(1)),
        ("zeros", key, zeros()),
        ("text", key, text()),
        ("open:zeros", open_key, zeros()),
        ("open:random", open_key, random(2)),
        ("open:sparse", open_key, sparse()),
        ("open:pages", open_key, pages()),
    ];
    row("", data.iter().map(|(name, ..)| (*name).to_owned()));
    for instructions in Instructions::available() {
        let speeds = data.iter().map(|(_, key, data)| {
            let chunker = Chunker::new(key).on(instructions);
            speed(|| cut(&chunker, data))
        });
        row(&instructions.to_string(), speeds);
    }
    let fed = data.iter().map(|(_, key, data)| {
        let chunker = Chunker::new(key);
        speed(|| feed(&chunker, data))
    });
    row("blocks of 1 MiB", fed);
    row("chunks", data.iter().map(|(_, key, data)| cut(&Chunker::new(key), data).to_string()));
}

fn row(title: &str, cells: impl Iterator<Item = String>) {
    print!("{title:16}");
    for cell in cells {
        print!("{cell:>12}");
    }
    println!();
}

fn cut(chunker: &Chunker, data: &[u8]) -> usize {
    let (mut rest, mut chunks) = (data, 0);
    while !rest.is_empty() {
        rest = &rest[chunker.cut(rest)..];
        chunks += 1;
    }
    chunks
}

fn feed(chunker: &Chunker, data: &[u8]) -> usize {
    let (mut cutter, mut ends) = (Cutter::new(chunker), Vec::new());
    data.chunks(BLOCK_BYTES).for_each(|block| cutter.feed(block, &mut ends));
    ends.extend(cutter.finish());
    ends.len()
}

fn speed(pass: impl Fn() -> usize) -> String {
    let mut times: Vec<Duration> = (0..PASSES)
        .map(|_| {
            let start = processor_time();
            std::hint::black_box(pass());
            processor_time().saturating_sub(start)
        })
        .collect();
    times.sort();
    format!("{:.0}", BYTES as f64 / 1e6 / times[PASSES / 2].as_secs_f64())
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn random(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Written, for memory that was never written to is one page that never leaves the cache.
fn zeros() -> Vec<u8> {
    let mut bytes = vec![1; BYTES];
    std::hint::black_box(&mut bytes).fill(0);
    bytes
}

fn text() -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "let ", "self", ".", "(", ");\n", "the ", "return ", "    ", "chunk", "fn ", " = ",
        "&mut ", "/// ", "value", "_", "}\n",
    ];
    let words = random(3).into_iter().map(|n| WORDS[usize::from(n % 16)].as_bytes());
    words.flatten().copied().take(BYTES).collect()
}

/// Zeros, and a random byte about every 100.
fn sparse() -> Vec<u8> {
    let mut bytes = zeros();
    let mut at = 0;
    for pair in random(4).chunks(2) {
        at += 1 + usize::from(pair[0]) * 200 / 256;
        let Some(byte) = bytes.get_mut(at) else { break };
        *byte = pair[1];
    }
    bytes
}

/// Pages of 4 KiB with the same short header, and nothing else but zeros.
fn pages() -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[..16].copy_from_slice(b"a header of page");
    page.into_iter().cycle().take(BYTES).collect()
}

/// See docs/format.md#cut-points: the offset is the four bytes after the factors.
fn key_open_to_zeros() -> [u8; 32] {
    let mut key = [0; 32];
    for number in 0_u32.. {
        key[..4].copy_from_slice(&number.to_le_bytes());
        let mut secret = [0; 12];
        blake3::Hasher::new_keyed(&key).finalize_xof().fill(&mut secret);
        let [.., a, b, c, d] = secret;
        if u32::from_le_bytes([a, b, c, d]) & 0x003f_f000 == 0 {
            break;
        }
    }
    key
}
