//! Whether somebody has to be told of a job: from how it stands, and not from what just happened, so that a
//! service which died in between tells it all the same, and none tells it twice.

use std::time::Duration;

use catalog::{Standing, Trouble};
use jiff::Timestamp;

use super::Occurrence;

/// What is new about a job, and what somebody knows of it then; nothing where nothing is.
pub(crate) fn judge(
    standing: Standing,
    known: Option<Trouble>,
    stale_after: Duration,
    now: Timestamp,
) -> Option<(Occurrence, Option<Trouble>)> {
    let Standing { unmet, succeeded, failed, .. } = standing;
    let is_well = succeeded.is_some() && succeeded >= failed;
    let is_stale = unmet
        .is_some_and(|unmet| now > unmet && now.duration_since(unmet).unsigned_abs() > stale_after);
    match known {
        Some(Trouble::Stale) if is_stale => None,
        _ if is_stale => Some((Occurrence::Staleness, Some(Trouble::Stale))),
        None if !is_well && failed.is_some() => Some((Occurrence::Failure, Some(Trouble::Failed))),
        Some(_) if is_well => Some((Occurrence::Recovery, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(minute: i64) -> Timestamp {
        Timestamp::new(1_700_000_000 + minute * 60, 0).unwrap()
    }

    /// What is told at each minute to whoever listens.
    fn told(steps: &[(i64, Standing)]) -> Vec<(i64, Occurrence)> {
        let mut known = None;
        let mut told = Vec::new();
        for (minute, standing) in steps {
            // However often it is looked.
            for _ in 0..3 {
                if let Some((occurrence, trouble)) = judge(*standing, known, HOUR, at(*minute)) {
                    told.push((*minute, occurrence));
                    known = trouble;
                }
            }
        }
        told
    }

    fn standing(unmet: Option<i64>, succeeded: Option<i64>, failed: Option<i64>) -> Standing {
        let [unmet, succeeded, failed] = [unmet, succeeded, failed].map(|it| it.map(at));
        Standing { due: unmet, unmet, succeeded, failed }
    }

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        use Occurrence::{Failure, Recovery, Staleness};
        let told = told(&[
            (0, Standing::default()),
            (1, standing(Some(0), None, None)),
            (2, standing(None, Some(2), None)),
            // The first fails, and so do the others.
            (20, standing(Some(15), Some(2), Some(16))),
            (35, standing(Some(15), Some(2), Some(31))),
            (75, standing(Some(15), Some(2), Some(61))),
            (76, standing(Some(15), Some(2), Some(76))),
            (99, standing(None, Some(98), Some(76))),
            // Nothing runs at all.
            (160, standing(Some(100), Some(98), Some(76))),
            (161, standing(Some(100), Some(98), Some(76))),
            (162, standing(Some(100), Some(98), Some(162))),
            (163, standing(None, Some(163), Some(162))),
        ]);
        let expected =
            [(20, Failure), (76, Staleness), (99, Recovery), (161, Staleness), (163, Recovery)];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_clock_that_is_wrong_makes_nothing_stale() {
        let early = at(0);
        assert_eq!(judge(standing(Some(500), None, None), None, HOUR, early), None);
    }
}
