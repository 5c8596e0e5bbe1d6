//! Runs one target for a while, and says how to do the same again when it fails.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::mutator::Mutator;

/// What a parser may take beyond what the process has; a reader of frames takes 8 MiB.
const MEMORY_BYTES_MAX: u64 = 512 << 20;
/// No input takes as long, even on a machine that does much else.
const INPUT_DURATION_MAX: Duration = Duration::from_secs(2);

/// Gives `parse` spoiled inputs for `STILLPOINT_FUZZ_SECONDS`, or one second. All of `corpus` is
/// valid: `parse` answers whether its input is.
pub(crate) fn fuzz(corpus: &[Vec<u8>], parse: impl Fn(&[u8]) -> bool) {
    for (number, valid) in corpus.iter().enumerate() {
        assert!(parse(valid), "corpus {number} is not valid: {}", hex(valid));
    }
    bound_memory();
    let seed = variable("STILLPOINT_FUZZ_SEED").unwrap_or_else(random);
    let duration = Duration::from_secs(variable("STILLPOINT_FUZZ_SECONDS").unwrap_or(1));
    println!("STILLPOINT_FUZZ_SEED={seed}");
    let (mut mutator, start) = (Mutator::new(seed), Instant::now());
    let (mut inputs, mut valid) = (0_u64, 0_u64);
    while start.elapsed() < duration {
        let input = mutator.input(corpus);
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| parse(&input)));
        let took = began.elapsed();
        let again = || format!("seed {seed}, input {inputs}: {}", hex(&input));
        valid += u64::from(outcome.unwrap_or_else(|_| panic!("it panicked: {}", again())));
        assert!(took < INPUT_DURATION_MAX, "it took {took:?}: {}", again());
        inputs += 1;
    }
    println!("{inputs} inputs, {valid} of them valid");
    assert!(inputs > 100, "only {inputs} inputs in {duration:?}");
    assert!(valid < inputs, "nothing was refused");
}

// Beyond it an allocation fails, which ends the process.
fn bound_memory() {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a size");
    let kibibytes: u64 = size.trim().trim_end_matches(" kB").parse().expect("a number");
    let limit = getrlimit(Resource::As);
    if limit.current.is_none() {
        let current = Some((kibibytes << 10) + MEMORY_BYTES_MAX);
        setrlimit(Resource::As, Rlimit { current, ..limit }).expect("less is allowed");
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("the operating system gives random bytes");
    u64::from_le_bytes(bytes)
}

#[allow(clippy::disallowed_methods, reason = "how long and how is said by the environment")]
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text can be written");
        text
    })
}
