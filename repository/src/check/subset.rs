//! Which packs a check reads when it reads some of them.

use std::fmt;
use std::str::FromStr;

use format::names::PackName;
use thiserror::Error;

/// A choice of packs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subset {
    /// `n/t`: the n-th of t groups, counted from 1. The group of a pack follows from its name, so
    /// that t checks read every pack.
    Group {
        /// Which group.
        number: u64,
        /// How many there are.
        total: u64,
    },
    /// `x%`: so many thousandths of a percent of the packs, chosen by chance.
    Share {
        /// How many.
        millipercent: u32,
    },
    /// Such as `500M`: packs chosen by chance that have about so many bytes together.
    Bytes(u64),
}

/// A text that says no subset.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is no part of the packs, such as 2/7, 5% or 500M")]
pub struct ParseSubsetError(String);

impl ParseSubsetError {
    /// This text says none.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Subset {
    /// The chosen ones among `packs`. `seed` is for those that are chosen by chance.
    pub fn choose(self, mut packs: Vec<(PackName, u64)>, seed: u64) -> Vec<(PackName, u64)> {
        match self {
            Self::Group { number, total } => {
                packs.retain(|(pack, _)| random_part(*pack) % total == number - 1);
            }
            Self::Share { millipercent } => {
                shuffle(&mut packs, seed);
                let count = (packs.len() as u64).saturating_mul(millipercent.into());
                packs.truncate(usize::try_from(count.div_ceil(WHOLE.into())).unwrap_or(usize::MAX));
            }
            Self::Bytes(bytes) => {
                shuffle(&mut packs, seed);
                let mut sum = 0_u64;
                packs.retain(|(_, size)| {
                    let wanted = sum < bytes;
                    sum = sum.saturating_add(if wanted { *size } else { 0 });
                    wanted
                });
            }
        }
        packs
    }
}

/// A hundred percent.
const WHOLE: u32 = 100_000;

impl FromStr for Subset {
    type Err = ParseSubsetError;

    fn from_str(text: &str) -> Result<Self, ParseSubsetError> {
        let parsed = if let Some((number, total)) = text.split_once('/') {
            number.parse().ok().zip(total.parse().ok()).and_then(|(number, total)| {
                (1..=total).contains(&number).then_some(Self::Group { number, total })
            })
        } else if let Some(share) = text.strip_suffix('%') {
            millipercent(share).map(|millipercent| Self::Share { millipercent })
        } else {
            bytes(text).map(Self::Bytes)
        };
        parsed.ok_or_else(|| ParseSubsetError::new(text))
    }
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group { number, total } => write!(f, "{number}/{total}"),
            Self::Share { millipercent } => {
                write!(f, "{}.{:03}%", millipercent / 1000, millipercent % 1000)
            }
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

// Up to three digits after the point, from above 0 to 100.
fn millipercent(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    let value = whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(part)?;
    (1..=WHOLE).contains(&value).then_some(value)
}

// Like restic: a number with K, M, G or T for powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']);
    let shift = match text.get(digits.len()..)?.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

// The names of packs are random.
fn random_part(pack: PackName) -> u64 {
    pack.id.as_bytes().first_chunk().map_or(0, |part| u64::from_be_bytes(*part))
}

// An order that follows from the names and the seed, by the finalizer of SplitMix64.
fn shuffle(packs: &mut [(PackName, u64)], seed: u64) {
    packs.sort_by_cached_key(|(pack, _)| mix(random_part(*pack) ^ mix(seed)));
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use format::ids::{ObjectId, PointId};

    use super::*;

    fn packs(count: u64) -> Vec<(PackName, u64)> {
        let pack = |number: u64| {
            let id = u128::from(mix(number)) << 64 | u128::from(number);
            let id = ObjectId::new(id.to_be_bytes());
            (PackName { session: PointId::new([0; 16]), id }, 100)
        };
        (0..count).map(pack).collect()
    }

    fn subset(text: &str) -> Subset {
        text.parse().unwrap()
    }

    #[test]
    fn all_groups_together_are_all_packs_and_none_twice() {
        let all = packs(1000);
        for total in [1, 2, 7, 1000] {
            let groups = (1..=total).map(|number| subset(&format!("{number}/{total}")));
            let mut read: Vec<_> = groups.flat_map(|group| group.choose(all.clone(), 0)).collect();
            read.sort_unstable();
            let mut wanted = all.clone();
            wanted.sort_unstable();
            assert_eq!(read, wanted, "{total}");
        }
    }

    #[test]
    fn a_share_is_as_large_as_it_says_and_another_one_for_another_seed() {
        let all = packs(1000);
        let chosen = |text: &str, seed| subset(text).choose(all.clone(), seed);
        assert_eq!(chosen("2.5%", 1).len(), 25);
        assert_eq!(chosen("100%", 1).len(), 1000);
        assert_eq!(chosen("0.001%", 1).len(), 1);
        assert_eq!(chosen("1K", 1).len(), 11);
        assert_eq!(chosen("10%", 1), chosen("10%", 1));
        let both: BTreeSet<_> = [chosen("10%", 1), chosen("10%", 2)].concat().into_iter().collect();
        assert!(both.len() > 150, "{}", both.len());
    }

    #[test]
    fn what_is_no_subset_is_refused() {
        for text in
            ["", "0/5", "6/5", "1/0", "-1/2", "0%", "101%", "1.2345%", "x%", "5KK", "0", "%"]
        {
            assert!(text.parse::<Subset>().is_err(), "{text}");
        }
    }
}
