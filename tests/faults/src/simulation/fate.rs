//! What becomes of a request, by chance.

use std::time::Duration;

use crate::files::Dice;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Done,
    /// Not done, and told so: it may be tried again, or not.
    Refused {
        passing: bool,
    },
    /// Done, and not told.
    Lost,
    /// Not done, and told after a long time.
    Silent,
    /// Told that nobody answers; it is done hours or days later.
    Late,
    /// Not done, and told that the name is taken.
    Conflict,
    /// Done, and told that the name is taken.
    OwnWrite,
    /// Another bit is read.
    Flipped,
    /// The process dies before or after it is done.
    Dies,
    DiesAfter,
}

/// For how long the process stands still, if it does. That is no fate of a request, but it begins
/// with one.
pub(super) fn standstill(dice: &mut Dice, harm: u64) -> Option<Duration> {
    if dice.below(1_000_000) >= harm {
        return None;
    }
    let most = match dice.below(3) {
        0 => 2 * HOUR,
        1 => DAY,
        _ => 4 * DAY,
    };
    Some(Duration::from_secs(dice.below(most)))
}

/// What becomes of a request, when so many of a million come to harm in each of the ways.
pub(super) fn of_request(dice: &mut Dice, harm: u64, operation: &str) -> Fate {
    let writes = matches!(operation, "create" | "delete");
    let fates = [
        (6, true, Fate::Refused { passing: true }),
        (2, true, Fate::Refused { passing: false }),
        (2, true, Fate::Silent),
        (1, true, Fate::Dies),
        (4, writes, Fate::Lost),
        (3, writes, Fate::Late),
        (1, writes, Fate::DiesAfter),
        (2, operation == "create", Fate::Conflict),
        (2, operation == "create", Fate::OwnWrite),
        (1, operation == "get" || operation == "range", Fate::Flipped),
    ];
    let mut chance = dice.below(1_000_000);
    for (weight, _, fate) in fates.into_iter().filter(|(_, applies, _)| *applies) {
        match chance.checked_sub(weight * harm) {
            None => return fate,
            Some(rest) => chance = rest,
        }
    }
    Fate::Done
}

/// How many seconds a late request is on its way: about an hour, or days.
pub(super) fn delay_seconds(dice: &mut Dice) -> u64 {
    let most = if dice.below(2) == 0 { HOUR } else { 3 * DAY };
    dice.below(most)
}
