//! How often something is done while an application runs, so that less is left for its freeze.

use std::time::Duration;

/// Whether one more round is worth it, after those that took so long: the first may have to do
/// everything; from then on one is while each is shorter than the one before by a quarter.
pub fn another_round_helps(took: &[Duration]) -> bool {
    match took {
        [] => true,
        [first] => *first > SHORT,
        [.., before, last] => *last > SHORT && *last * 4 < *before * 3 && took.len() < ROUNDS_MAX,
    }
}

/// What takes no longer need not be made shorter.
const SHORT: Duration = Duration::from_millis(50);
const ROUNDS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_again_while_that_helps() {
        let after = |millis: &[u64]| {
            let took: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            another_round_helps(&took)
        };
        assert!(after(&[]) && after(&[10_000]) && after(&[10_000, 900]));
        assert!(!after(&[20]), "short enough");
        assert!(!after(&[10_000, 900, 800]), "no shorter than before");
        assert!(!after(&[10_000, 900, 40]), "short enough");
        assert!(!after(&[1_000, 1_200]), "longer");
        let shrinking: Vec<_> = (0..8).map(|round| 100_000 >> round).collect();
        assert!(after(&shrinking[..7]) && !after(&shrinking), "not for ever");
    }
}
