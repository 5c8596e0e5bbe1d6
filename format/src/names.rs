//! The names of the objects in a repository.
//!
//! A name is used once: nothing is ever overwritten. See docs/format.md#objects.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::ids::{ObjectId, PointId, SlotId};

/// The name of an object, relative to the repository's root.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ObjectName {
    /// `config`: which repository this is, in which version of the format.
    Descriptor,
    /// `key/<slot>`: one way to unlock it.
    Slot(SlotId),
    /// `gen/<n>`: a generation of the repository, begun by a prune.
    Generation(u64),
    /// `cnd/<n>`: what is condemned from generation `n` on.
    Condemned(u64),
    /// `ses/<n>/<point>`: a writer at work, registered under generation `n`.
    Session(u64, PointId),
    /// `out/<point>`: how the session ended; for a commit, the manifest.
    Outcome(PointId),
    /// `pack/<point>/<id>`: frames full of chunks.
    Pack(PackName),
    /// `idx/<point>/<id>`: where the chunks of a session's packs are.
    Index(PointId, ObjectId),
    /// `hb/<point>/<n>`: the writer of a session is still at work.
    Heartbeat(PointId, u64),
    /// `fgt/<point>`: the restore point is to be forgotten.
    Forgotten(PointId),
    /// `ann/<point>/<n>`: something that was said about a restore point later.
    Annotation(PointId, u64),
    /// `pin/<id>`: a reader at work, whose points a prune leaves alone.
    Pin(ObjectId),
    /// `probe/<id>`: somebody tried what the store does; it means nothing.
    Probe(ObjectId),
}

/// The name of a pack.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PackName {
    /// The session that wrote it.
    pub session: PointId,
    /// Its own random part.
    pub id: ObjectId,
}

/// A folder of objects, for listing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Folder {
    /// `key/`
    Slots,
    /// `gen/`
    Generations,
    /// `cnd/`
    Condemned,
    /// `ses/`
    Sessions,
    /// `out/`
    Outcomes,
    /// `pack/`
    Packs,
    /// `idx/`
    Indexes,
    /// `hb/`
    Heartbeats,
    /// `fgt/`
    Forgotten,
    /// `ann/`
    Annotations,
    /// `pin/`
    Pins,
    /// `probe/`
    Probes,
}

/// A text that names no object of a repository.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is not the name of an object of a repository")]
pub struct ParseNameError(String);

impl Folder {
    /// The folder's name, without a slash.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slots => "key",
            Self::Generations => "gen",
            Self::Condemned => "cnd",
            Self::Sessions => "ses",
            Self::Outcomes => "out",
            Self::Packs => "pack",
            Self::Indexes => "idx",
            Self::Heartbeats => "hb",
            Self::Forgotten => "fgt",
            Self::Annotations => "ann",
            Self::Pins => "pin",
            Self::Probes => "probe",
        }
    }
}

impl ObjectName {
    /// The folder that it lies in; `None` for the descriptor, which lies in none.
    pub fn folder(self) -> Option<Folder> {
        Some(match self {
            Self::Descriptor => return None,
            Self::Slot(_) => Folder::Slots,
            Self::Generation(_) => Folder::Generations,
            Self::Condemned(_) => Folder::Condemned,
            Self::Session(..) => Folder::Sessions,
            Self::Outcome(_) => Folder::Outcomes,
            Self::Pack(_) => Folder::Packs,
            Self::Index(..) => Folder::Indexes,
            Self::Heartbeat(..) => Folder::Heartbeats,
            Self::Forgotten(_) => Folder::Forgotten,
            Self::Annotation(..) => Folder::Annotations,
            Self::Pin(_) => Folder::Pins,
            Self::Probe(_) => Folder::Probes,
        })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptor => f.write_str("config"),
            Self::Slot(slot) => write!(f, "key/{slot}"),
            Self::Generation(number) => write!(f, "gen/{number}"),
            Self::Condemned(number) => write!(f, "cnd/{number}"),
            Self::Session(generation, point) => write!(f, "ses/{generation}/{point}"),
            Self::Outcome(point) => write!(f, "out/{point}"),
            Self::Pack(pack) => write!(f, "{pack}"),
            Self::Index(point, id) => write!(f, "idx/{point}/{id}"),
            Self::Heartbeat(point, number) => write!(f, "hb/{point}/{number}"),
            Self::Forgotten(point) => write!(f, "fgt/{point}"),
            Self::Annotation(point, number) => write!(f, "ann/{point}/{number}"),
            Self::Pin(id) => write!(f, "pin/{id}"),
            Self::Probe(id) => write!(f, "probe/{id}"),
        }
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack/{}/{}", self.session, self.id)
    }
}

impl FromStr for ObjectName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let refused = || ParseNameError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let name = match parts.as_slice() {
            ["config"] => Some(Self::Descriptor),
            ["key", slot] => slot.parse().ok().map(Self::Slot),
            ["gen", number] => number.parse().ok().map(Self::Generation),
            ["cnd", number] => number.parse().ok().map(Self::Condemned),
            ["ses", number, point] => both(number, point).map(|(n, p)| Self::Session(n, p)),
            ["out", point] => point.parse().ok().map(Self::Outcome),
            ["pack", session, id] => {
                both(session, id).map(|(session, id)| Self::Pack(PackName { session, id }))
            }
            ["idx", point, id] => both(point, id).map(|(p, i)| Self::Index(p, i)),
            ["hb", point, number] => both(point, number).map(|(p, n)| Self::Heartbeat(p, n)),
            ["fgt", point] => point.parse().ok().map(Self::Forgotten),
            ["ann", point, number] => both(point, number).map(|(p, n)| Self::Annotation(p, n)),
            ["pin", id] => id.parse().ok().map(Self::Pin),
            ["probe", id] => id.parse().ok().map(Self::Probe),
            _ => None,
        };
        // A number has one spelling only: `gen/07` is nobody's name.
        name.filter(|name| name.to_string() == text).ok_or_else(refused)
    }
}

fn both<A: FromStr, B: FromStr>(first: &str, second: &str) -> Option<(A, B)> {
    first.parse().ok().zip(second.parse().ok())
}

// Inside other objects a name is its text.
impl Serialize for ObjectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_survives_its_text() {
        let (point, id) = (PointId::new([1; 16]), ObjectId::new([2; 16]));
        for name in [
            ObjectName::Descriptor,
            ObjectName::Slot(SlotId::new([3; 8])),
            ObjectName::Generation(17),
            ObjectName::Condemned(17),
            ObjectName::Session(u64::MAX, point),
            ObjectName::Outcome(point),
            ObjectName::Pack(PackName { session: point, id }),
            ObjectName::Index(point, id),
            ObjectName::Heartbeat(point, 0),
            ObjectName::Forgotten(point),
            ObjectName::Annotation(point, 18),
            ObjectName::Pin(id),
            ObjectName::Probe(id),
        ] {
            assert_eq!(name.to_string().parse(), Ok(name));
            let folder = name.folder().map(Folder::as_str);
            assert_eq!(name.to_string().split_once('/').map(|(folder, _)| folder), folder);
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<ObjectName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn foreign_and_ambiguous_names_are_refused() {
        for text in
            ["", "config/", "/config", "gen/07", "gen/+7", "gen/-1", "out/..", "pack/x", "hb/x/1"]
        {
            assert!(text.parse::<ObjectName>().is_err(), "{text}");
        }
    }
}
