//! What a prune writes before it deletes anything, and what keeps it from deleting.
//!
//! See docs/format.md#prune.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::Link;
use crate::ids::{ObjectId, PointId};
use crate::names::ObjectName;

/// The content of `gen/<n>`: from now on writers register under this generation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Generation {
    /// Its number, which is also in its name; the first is 1.
    pub number: u64,
    /// The prune's own number for this object; see [`crate::session::Outcome::nonce`].
    pub nonce: ObjectId,
    /// Who prunes: a machine or a person.
    pub who: String,
    /// `cnd/<n>`, which was written just before it.
    pub previous: Option<Link>,
}

/// The content of `cnd/<n>`: what nobody may rely on from generation `n` on, and what is deleted
/// once no session of an older generation is at work. It is never revoked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Condemned {
    /// The prune's own number for this object.
    pub nonce: ObjectId,
    /// Packs and index segments.
    pub objects: Vec<ObjectName>,
    /// `gen/<n - 1>`, or nothing for the first.
    pub previous: Option<Link>,
}

/// The content of `fgt/<point>`: the restore point is to be forgotten. Written once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Forgotten {
    /// Who wants it gone: a person, a machine, a policy.
    pub who: String,
    /// Since when.
    pub when: Timestamp,
    /// Why, in a sentence.
    pub why: String,
    /// The newest annotation of the point, or its outcome.
    pub previous: Option<Link>,
}

/// The content of `pin/<id>`: a reader at work.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pin {
    /// Who reads.
    pub who: String,
    /// Since when.
    pub when: Timestamp,
    /// The newest generation that the reader saw.
    pub generation: u64,
    /// The restore points that it reads.
    pub points: Vec<PointId>,
    /// Nothing: a reader writes no more than this.
    pub previous: Option<Link>,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::control;
    use crate::ids::RepositoryId;
    use crate::keys::{Keys, RootKey};
    use crate::names::PackName;

    fn survives<T: Debug + DeserializeOwned + PartialEq + Serialize>(
        name: ObjectName,
        content: &T,
    ) {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let bytes = control::seal(&keys, name, content, [0; 16]).unwrap();
        assert_eq!(control::open::<T>(&keys, name, &bytes).unwrap(), *content);
    }

    #[test]
    fn records_survive_their_objects() {
        let (point, id) = (PointId::new([3; 16]), ObjectId::new([4; 16]));
        let (who, when) = (String::from("keeper"), "2026-01-02T03:04:05Z".parse().unwrap());
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let previous = Some(control::link(&keys, ObjectName::Condemned(1), b"bytes"));
        let generation = Generation { number: 1, nonce: id, who: who.clone(), previous };
        survives(ObjectName::Generation(1), &generation);
        let pack = ObjectName::Pack(PackName { session: point, id });
        let objects = vec![pack, ObjectName::Index(point, id)];
        survives(ObjectName::Condemned(1), &Condemned { nonce: id, objects, previous: None });
        let forgotten = Forgotten { who: who.clone(), when, why: "daily 7".into(), previous };
        survives(ObjectName::Forgotten(point), &forgotten);
        let pin = Pin { who, when, generation: 1, points: vec![point], previous: None };
        survives(ObjectName::Pin(id), &pin);
    }
}
