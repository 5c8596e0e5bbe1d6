//! What the warden is given: every target once, however many containers share it.

use std::collections::{BTreeMap, BTreeSet};

use platform::application::{Activity, Application, FreezeTarget};

use super::record::Record;
use crate::error::ConsistencyError;
use crate::group::MemberIndex;
use crate::warden::Armed;

#[derive(Debug)]
pub(crate) struct Units {
    units: Vec<Unit>,
    // The names of all containers, in the order of the application's.
    members: Vec<String>,
}

#[derive(Debug)]
struct Unit {
    target: FreezeTarget,
    /// Whether it is frozen by us; somebody else paused it if not.
    held: bool,
    members: Vec<usize>,
}

impl Units {
    /// The targets of all containers that have processes.
    pub(crate) fn of(application: &Application) -> Result<Self, ConsistencyError> {
        let mut units: Vec<Unit> = Vec::new();
        for (number, member) in application.members.iter().enumerate() {
            let held = match member.activity {
                Activity::Running => true,
                Activity::Paused => false,
                Activity::Stopped => continue,
            };
            let Some(target) = &member.freezer else {
                if held {
                    return Err(ConsistencyError::NoFreezer { member: member.name.clone() });
                }
                // Nothing proves that it stands still, and the verdict will say so.
                continue;
            };
            if let Some(unit) = units.iter_mut().find(|unit| unit.target == *target) {
                unit.members.push(number);
                unit.held |= held;
            } else {
                units.push(Unit { target: target.clone(), held, members: vec![number] });
            }
        }
        let members = application.members.iter().map(|member| member.name.clone()).collect();
        Ok(Self { units, members })
    }

    pub(super) fn count(&self) -> usize {
        self.units.len()
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeSet<MemberIndex> {
        (0..self.units.len()).map(MemberIndex).collect()
    }

    /// Those that are frozen by us.
    pub(super) fn held(&self) -> BTreeSet<MemberIndex> {
        let held = self.units.iter().enumerate().filter(|(_, unit)| unit.held);
        held.map(|(number, _)| MemberIndex(number)).collect()
    }

    /// What the warden opens.
    pub(super) fn armed(&self) -> Vec<Armed> {
        let held = self.units.iter().enumerate().filter(|(_, unit)| unit.held);
        let armed =
            |(number, unit): (usize, &Unit)| Armed { number, target: (&unit.target).into() };
        held.map(armed).collect()
    }

    /// Whether engines pause some of it.
    pub(super) fn has_engines(&self) -> bool {
        self.units.iter().any(|unit| unit.held && matches!(unit.target, FreezeTarget::Engine(_)))
    }

    pub(super) fn target(&self, index: MemberIndex) -> Option<&FreezeTarget> {
        self.units.get(index.0).map(|unit| &unit.target)
    }

    /// Which target freezes this container.
    pub(super) fn unit_of(&self, member: usize) -> Option<usize> {
        self.units.iter().position(|unit| unit.members.contains(&member))
    }

    /// The containers behind these targets.
    pub(super) fn names(&self, indices: &BTreeSet<MemberIndex>) -> Vec<String> {
        let units = indices.iter().filter_map(|index| self.units.get(index.0));
        units.flat_map(|unit| self.members_of(unit)).cloned().collect()
    }

    /// The containers behind one target, as they are named in a sentence.
    pub(super) fn name(&self, index: MemberIndex) -> String {
        self.names(&BTreeSet::from([index])).join(", ")
    }

    /// What shows that a container moved between the two looks, by the container's name.
    pub(super) fn breaks(
        &self,
        moved: &BTreeSet<MemberIndex>,
        record: &Record,
    ) -> BTreeMap<String, String> {
        let mut breaks = BTreeMap::new();
        for index in moved {
            let trace = record.traces.get(index).map_or("it moved", String::as_str);
            let Some(unit) = self.units.get(index.0) else { continue };
            breaks.extend(self.members_of(unit).map(|name| (name.clone(), trace.to_owned())));
        }
        breaks
    }

    fn members_of<'a>(&'a self, unit: &'a Unit) -> impl Iterator<Item = &'a String> {
        unit.members.iter().filter_map(|member| self.members.get(*member))
    }
}

#[cfg(test)]
mod tests {
    use platform::application::Member;

    use super::*;

    fn member(name: &str, activity: Activity, root: Option<u32>) -> Member {
        let freezer = root.map(FreezeTarget::ProcessTree);
        let (id, started) = (name.to_owned(), String::new());
        Member { name: name.to_owned(), id, started, activity, freezer, ..Member::default() }
    }

    fn application(members: Vec<Member>) -> Application {
        Application { name: "shop".to_owned(), platform: "test", members, ..Application::default() }
    }

    #[test]
    fn a_target_that_two_containers_share_is_frozen_once() {
        let members = vec![
            member("a", Activity::Running, Some(7)),
            member("b", Activity::Stopped, None),
            member("c", Activity::Running, Some(7)),
            member("d", Activity::Paused, Some(8)),
        ];
        let units = Units::of(&application(members)).unwrap();
        assert_eq!((units.count(), units.unit_of(1), units.unit_of(2)), (2, None, Some(0)));
        assert_eq!(units.held(), BTreeSet::from([MemberIndex(0)]));
        assert_eq!(units.names(&units.held()), ["a", "c"]);
        assert_eq!(units.all().len(), 2);
        assert_eq!(units.armed().len(), 1, "somebody else paused the other");
    }

    #[test]
    fn a_running_container_without_a_freezer_is_named() {
        let members = vec![member("a", Activity::Running, None)];
        let error = Units::of(&application(members)).unwrap_err();
        assert!(matches!(error, ConsistencyError::NoFreezer { member } if member == "a"));
    }
}
