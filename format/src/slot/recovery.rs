//! The text of a recovery key: 160 random bits that a person prints, keeps, and one day types.
//!
//! Each group of five characters carries its own check, so that a mistake is found where it is.
//! See docs/format.md#recovery-keys.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// Crockford's base 32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How many characters of a group carry the key.
const DATA: usize = 4;
/// How many characters a group has: the last one checks the others.
const GROUP: usize = DATA + 1;
/// How many groups there are.
const GROUPS: u8 = 8;
/// How many characters a recovery key has.
const CHARACTERS: usize = 40;
/// What a character outside the alphabet is read as, until it is reported.
const NO_CHARACTER: u8 = u8::MAX;

const _: () = assert!(CHARACTERS == GROUP * GROUPS as usize);

/// What a person keeps on paper to unlock a repository when all else is lost.
#[derive(Clone)]
pub struct RecoveryKey(Zeroizing<[u8; 20]>);

/// Why a text is no recovery key. It does not repeat the text.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ParseRecoveryKeyError {
    /// Characters are missing, or there are too many.
    #[error("the recovery key has {found} characters instead of {CHARACTERS}")]
    Length {
        /// How many there are, without dashes and spaces.
        found: usize,
    },
    /// Something was mistyped.
    #[error("the recovery key has a mistake in group {}", groups.join(" and group "))]
    Mistake {
        /// The numbers of the groups, from 1 on.
        groups: Vec<String>,
    },
}

impl RecoveryKey {
    /// The key made of these bytes, which must be random.
    pub fn new(bytes: [u8; 20]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What is printed: eight groups of five characters with dashes between them.
    pub fn text(&self) -> Zeroizing<String> {
        let mut symbols = Zeroizing::new([0; 32]);
        spread(&self.0, &mut symbols);
        let mut text = Zeroizing::new(String::with_capacity(64));
        let (groups, _) = symbols.as_chunks::<DATA>();
        for (number, group) in (1..=GROUPS).zip(groups) {
            if number > 1 {
                text.push('-');
            }
            let symbols = group.iter().copied().chain([check(number, *group)]);
            let letter = |symbol: u8| ALPHABET.get(usize::from(symbol)).copied();
            text.extend(symbols.filter_map(letter).map(char::from));
        }
        text
    }

    /// Reads what was typed: in either case, with or without dashes and spaces, O for 0, I and L
    /// for 1.
    pub fn parse(text: &str) -> Result<Self, ParseRecoveryKeyError> {
        let typed = || text.chars().filter(|c| !is_between(*c));
        let found = typed().count();
        if found != CHARACTERS {
            return Err(ParseRecoveryKeyError::Length { found });
        }
        let mut symbols = Zeroizing::new(Vec::with_capacity(CHARACTERS));
        symbols.extend(typed().map(|c| symbol(c).unwrap_or(NO_CHARACTER)));
        let (groups, _) = symbols.as_chunks::<GROUP>();
        let mut kept = Zeroizing::new([0; 32]);
        let mut wrong = Vec::new();
        for ((number, group), kept) in (1..=GROUPS).zip(groups).zip(kept.as_chunks_mut().0) {
            let [a, b, c, d, checked] = *group;
            *kept = [a, b, c, d];
            if group.contains(&NO_CHARACTER) || check(number, *kept) != checked {
                wrong.push(number.to_string());
            }
        }
        if !wrong.is_empty() {
            return Err(ParseRecoveryKeyError::Mistake { groups: wrong });
        }
        let mut bytes = Zeroizing::new([0; 20]);
        gather(&kept, &mut bytes);
        Ok(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

// Word processors make other dashes of what was printed.
fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn symbol(c: char) -> Option<u8> {
    let letter = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let at = ALPHABET.iter().position(|known| char::from(*known) == letter)?;
    u8::try_from(at).ok()
}

// Every character has a weight of its own in the field of 32 elements, so one wrong character, or
// any two swapped, change the sum; the number of the group makes swapped groups fail as well.
fn check(number: u8, data: [u8; DATA]) -> u8 {
    times_x(data.iter().fold(number, |sum, symbol| times_x(sum) ^ symbol))
}

// Modulo x^5 + x^2 + 1.
fn times_x(element: u8) -> u8 {
    let doubled = element << 1;
    (if doubled & 0x20 == 0 { doubled } else { doubled ^ 0x25 }) & 0x1f
}

/// The bits as 32 numbers of five, the highest first.
fn spread(bytes: &[u8; 20], symbols: &mut [u8; 32]) {
    let (fives, _) = bytes.as_chunks::<5>();
    for ([a, b, c, d, e], symbols) in fives.iter().zip(symbols.as_chunks_mut::<8>().0) {
        *symbols = [
            a >> 3,
            a << 2 & 0x1f | b >> 6,
            b >> 1 & 0x1f,
            b << 4 & 0x1f | c >> 4,
            c << 1 & 0x1f | d >> 7,
            d >> 2 & 0x1f,
            d << 3 & 0x1f | e >> 5,
            e & 0x1f,
        ];
    }
}

/// The reverse of [`spread`].
fn gather(symbols: &[u8; 32], bytes: &mut [u8; 20]) {
    let (eights, _) = symbols.as_chunks::<8>();
    for ([a, b, c, d, e, f, g, h], bytes) in eights.iter().zip(bytes.as_chunks_mut::<5>().0) {
        *bytes = [
            a << 3 | b >> 2,
            b << 6 | c << 1 | d >> 4,
            d << 4 | e >> 1,
            e << 7 | f << 2 | g >> 3,
            g << 5 | h,
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl Iterator<Item = RecoveryKey> {
        let bytes = |n: u8| std::array::from_fn(|i| (i as u8).wrapping_mul(37) ^ n);
        [0, 1, 0x5a, 0xff].into_iter().map(move |n| RecoveryKey::new(bytes(n)))
    }

    fn mistake(text: &str) -> Vec<String> {
        match RecoveryKey::parse(text) {
            Err(ParseRecoveryKeyError::Mistake { groups }) => groups,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_recovery_key_survives_its_text_however_it_is_typed() {
        for key in keys() {
            let text = key.text();
            assert_eq!(text.len(), 47, "{}", *text);
            let typed = [
                text.to_string(),
                text.to_lowercase(),
                text.replace('-', ""),
                text.replace('-', " \u{2013} "),
                format!("  {}\n", *text),
                text.replace('0', "O").replace('1', "l"),
                text.replace('0', "o").replace('1', "I"),
            ];
            for typed in typed {
                assert_eq!(RecoveryKey::parse(&typed).unwrap().as_bytes(), key.as_bytes());
            }
        }
    }

    #[test]
    fn every_wrong_character_is_found_in_its_group() {
        for key in keys() {
            let text = key.text();
            for at in (0..text.len()).filter(|at| at % 6 != 5) {
                for other in ALPHABET.iter().chain(b"U!").filter(|c| **c != text.as_bytes()[at]) {
                    let mut bad = text.as_bytes().to_vec();
                    bad[at] = *other;
                    let group = (at / 6 + 1).to_string();
                    assert_eq!(mistake(std::str::from_utf8(&bad).unwrap()), [group]);
                }
            }
        }
    }

    #[test]
    fn every_two_swapped_characters_are_found_in_their_groups() {
        for key in keys() {
            let text = key.text();
            for (one, two) in (0..47).flat_map(|one| (0..one).map(move |two| (one, two))) {
                let mut bad = text.as_bytes().to_vec();
                bad.swap(one, two);
                if one % 6 == 5 || two % 6 == 5 || bad == text.as_bytes() {
                    continue;
                }
                let mut groups = vec![(two / 6 + 1).to_string(), (one / 6 + 1).to_string()];
                groups.dedup();
                assert_eq!(mistake(std::str::from_utf8(&bad).unwrap()), groups);
            }
        }
    }

    #[test]
    fn swapped_groups_are_found() {
        for key in keys() {
            let text = key.text();
            let mut groups: Vec<&str> = text.split('-').collect();
            groups.swap(2, 5);
            assert_eq!(mistake(&groups.join("-")), ["3", "6"]);
        }
    }

    #[test]
    fn a_mistake_is_named_and_the_key_is_not() {
        let text = keys().next().unwrap().text();
        let short = RecoveryKey::parse(&text[1..]).unwrap_err().to_string();
        assert_eq!(short, "the recovery key has 39 characters instead of 40");
        let other = format!("{}U{}", &text[..12], &text[13..]);
        let wrong = RecoveryKey::parse(&other).unwrap_err().to_string();
        assert_eq!(wrong, "the recovery key has a mistake in group 3");
    }
}
