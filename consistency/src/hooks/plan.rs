//! Which hooks are run for an application, and in which order.

use std::collections::BTreeMap;

use platform::application::{Activity, Application};

use super::declared::{Declaration, Hook, MemberHooks};
use super::error::HookError;

/// The hooks of an application, in the order in which they are run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// What runs and ends before the freeze.
    pub pre: Vec<Planned>,
    /// What holds something meanwhile; the last is released first.
    pub hold: Vec<Planned>,
    /// What runs afterwards in any case.
    pub post: Vec<Planned>,
    /// Hooks that cannot be run; one sentence each.
    pub impossible: Vec<String>,
}

/// One hook of one container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Planned {
    /// The container's name.
    pub member: String,
    /// Its id on the platform.
    pub container: String,
    /// What it is called: `pre`, `hold`, `post`, or the name of a profile.
    pub name: &'static str,
    /// What is run.
    pub hook: Hook,
}

impl Plan {
    /// The hooks of the containers that run, by what is configured for a container's name, or by its
    /// labels, or by its image.
    ///
    /// # Errors
    /// [`HookError::Declaration`] when what is declared makes no sense.
    pub fn of(
        application: &Application,
        configured: &BTreeMap<String, Declaration>,
    ) -> Result<Self, HookError> {
        let mut found = Vec::new();
        for member in &application.members {
            let hooks = MemberHooks::of(member, configured.get(&member.name))?;
            if !hooks.is_empty() {
                found.push((member, hooks));
            }
        }
        found.sort_by(|(a, of_a), (b, of_b)| (of_a.order, &a.name).cmp(&(of_b.order, &b.name)));
        let is_there = |name: &str| application.members.iter().any(|member| member.name == name);
        let missing = configured.keys().filter(|name| !is_there(name));
        let missing = missing.map(|name| {
            format!("hooks are configured for container `{name}`, which does not exist")
        });
        let mut plan = Self { impossible: missing.collect(), ..Self::default() };
        for (member, hooks) in found {
            match member.activity {
                Activity::Running => {
                    let planned = |name, hook| {
                        let (member, container) = (member.name.clone(), member.id.clone());
                        Planned { member, container, name, hook }
                    };
                    plan.add(hooks, planned);
                }
                Activity::Paused => plan
                    .impossible
                    .push(format!("container `{}` is paused: its hooks cannot run", member.name)),
                // Nothing of it is in memory only.
                Activity::Stopped => {}
            }
        }
        plan.post.reverse();
        Ok(plan)
    }

    fn add(&mut self, hooks: MemberHooks, planned: impl Fn(&'static str, Hook) -> Planned) {
        let MemberHooks { profile, pre, hold, post, order: _ } = hooks;
        self.pre.extend(pre.map(|hook| planned("pre", hook)));
        self.hold.extend(hold.map(|hook| planned("hold", hook)));
        self.post.extend(post.map(|hook| planned("post", hook)));
        if let Some((profile, hook)) = profile {
            let steps = if profile.holds() { &mut self.hold } else { &mut self.pre };
            steps.push(planned(profile.name(), hook));
        }
    }

    /// Without what is held, which nobody could bear for as long as an upload takes.
    #[must_use]
    pub fn without_holds(mut self) -> Self {
        self.hold.clear();
        self
    }

    /// Whether there is nothing to run, and nothing to be told.
    pub fn is_empty(&self) -> bool {
        let Self { pre, hold, post, impossible } = self;
        pre.is_empty() && hold.is_empty() && post.is_empty() && impossible.is_empty()
    }

    /// All of it, in the order in which it begins.
    pub fn all(&self) -> impl Iterator<Item = &Planned> {
        self.pre.iter().chain(&self.hold).chain(&self.post)
    }
}

#[cfg(test)]
mod tests {
    use platform::application::Member;

    use super::*;

    fn member(name: &str, activity: Activity, labels: &[(&str, &str)]) -> Member {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (name, labels) = (name.to_owned(), labels.collect());
        Member { id: format!("id of {name}"), name, activity, labels, ..Member::default() }
    }

    fn plan(members: Vec<Member>) -> Plan {
        let application = Application {
            name: "shop".to_owned(),
            platform: "test",
            members,
            ..Application::default()
        };
        Plan::of(&application, &BTreeMap::new()).unwrap()
    }

    fn names(planned: &[Planned]) -> Vec<(&str, &str)> {
        planned.iter().map(|planned| (planned.member.as_str(), planned.name)).collect()
    }

    #[test]
    fn the_order_is_as_declared_before_the_freeze_and_reversed_after_it() {
        let both = [("stillpoint.hook.pre", "a"), ("stillpoint.hook.post", "b")];
        let last = [both[0], both[1], ("stillpoint.hook.order", "1")];
        let members = vec![
            member("a", Activity::Running, &last),
            member("b", Activity::Running, &both),
            member("c", Activity::Running, &[("stillpoint.profile", "redis")]),
            member("d", Activity::Running, &[]),
        ];
        let plan = plan(members);
        assert_eq!(names(&plan.pre), [("b", "pre"), ("a", "pre")]);
        assert_eq!(names(&plan.hold), [("c", "redis")]);
        assert_eq!(names(&plan.post), [("a", "post"), ("b", "post")]);
        assert_eq!(plan.pre[0].container, "id of b");
    }

    #[test]
    fn only_who_runs_can_run_a_hook() {
        let hook = [("stillpoint.hook.pre", "a")];
        let plan = plan(vec![
            member("a", Activity::Paused, &hook),
            member("b", Activity::Stopped, &hook),
            member("c", Activity::Paused, &[]),
        ]);
        assert_eq!(plan.all().count(), 0);
        assert_eq!(plan.impossible, ["container `a` is paused: its hooks cannot run"]);
    }
}
