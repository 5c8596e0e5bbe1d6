//! What is declared about the hooks of a container, by its labels or in the configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use platform::application::Member;
use platform::session::Command;
use serde::{Deserialize, Serialize};

use super::error::HookError;
use super::foreign;
use super::profile::Profile;
use super::words::Words;

/// One command, and what becomes of the restore point when it fails.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hook {
    /// What is run.
    pub command: Command,
    /// How long it may take; one that holds something may take so long to begin and to end.
    pub timeout: Duration,
    /// What becomes of the restore point when it fails.
    pub on_error: OnError,
    /// What a command that holds something is told.
    pub orders: Orders,
}

/// What a command that holds something reads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Orders {
    /// At the beginning.
    pub hold: &'static str,
    /// Before its input ends.
    pub release: &'static str,
}

/// What becomes of a restore point when a hook fails.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// There is none.
    #[default]
    Fail,
    /// Its level is `crash` at the most.
    Continue,
}

/// The hooks of one container.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemberHooks {
    /// What to do for a known database; it goes without saying when the image is one and nothing else
    /// is declared.
    pub profile: Option<(Profile, Hook)>,
    /// Runs before the freeze.
    pub pre: Option<Hook>,
    /// Runs from before the freeze until after the thaw.
    pub hold: Option<Hook>,
    /// Runs after the thaw, whatever happened.
    pub post: Option<Hook>,
    /// Those with a lower number come first before the freeze, and last after it.
    pub order: i64,
}

/// What can be declared in one place, for one container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The name of a profile, or `none`.
    pub profile: Option<String>,
    /// What runs before the freeze.
    pub pre: Option<Words>,
    /// What runs from before the freeze until after the thaw.
    pub hold: Option<Words>,
    /// What runs after the thaw.
    pub post: Option<Words>,
    /// Who runs it.
    pub user: Option<String>,
    /// How long each may take.
    pub timeout: Option<SignedDuration>,
    /// What becomes of the restore point when one fails.
    pub on_error: Option<OnError>,
    /// Which container comes first.
    #[serde(default)]
    pub order: i64,
}

impl MemberHooks {
    /// The hooks of a container: what the configuration says goes before its labels, and those before
    /// what its image suggests.
    pub(super) fn of(member: &Member, configured: Option<&Declaration>) -> Result<Self, HookError> {
        let wrong = |reason| HookError::Declaration { member: member.name.clone(), reason };
        let mut own = match configured {
            Some(declaration) if declaration.says_what() => declaration.clone(),
            _ => own(&member.labels).map_err(wrong)?,
        };
        if let Some(configured) = configured {
            own.adopt(configured);
        }
        let mut hooks = own.hooks().map_err(wrong)?;
        if !own.says_what() {
            let foreign = foreign::hooks(&member.labels).map_err(wrong)?;
            hooks.pre = foreign.pre.map(|hook| own.adapt(hook));
            hooks.post = foreign.post.map(|hook| own.adapt(hook));
        }
        if !own.says_what() && hooks.pre.is_none() && hooks.post.is_none() {
            hooks.profile = Profile::of_image(&member.image).map(|profile| {
                // Nobody asked for it: nobody is refused a backup for it.
                (profile, own.profile_hook(profile, OnError::Continue))
            });
        }
        Ok(hooks)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        let Self { profile, pre, hold, post, order: _ } = self;
        profile.is_none() && pre.is_none() && hold.is_none() && post.is_none()
    }
}

impl Declaration {
    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        self.hooks().map(drop)
    }

    fn hooks(&self) -> Result<MemberHooks, String> {
        if let Some(timeout) = self.timeout {
            bounded(timeout)
                .ok_or_else(|| format!("the timeout {timeout} is not within an hour"))?;
        }
        let hook = |words: &Option<Words>| {
            let words = words.clone()?.into_words();
            Some(self.hook(words, TIMEOUT, OnError::default()))
        };
        let profile = match self.profile.as_deref() {
            None | Some("none") => None,
            Some(name) => Some(Profile::named(name).ok_or_else(|| {
                format!("`{name}` is no profile; there are mysql, postgresql, redis and none")
            })?),
        };
        let profile =
            profile.map(|profile| (profile, self.profile_hook(profile, OnError::default())));
        let (pre, hold, post) = (hook(&self.pre), hook(&self.hold), hook(&self.post));
        let all = [&pre, &hold, &post];
        if all.into_iter().flatten().any(|hook| hook.command.words.is_empty()) {
            return Err("a command has no words".to_owned());
        }
        Ok(MemberHooks { profile, pre, hold, post, order: self.order })
    }

    // Whether it is said what to do, and not only how.
    fn says_what(&self) -> bool {
        let Self { profile, pre, hold, post, .. } = self;
        profile.is_some() || pre.is_some() || hold.is_some() || post.is_some()
    }

    // How another declaration wants it, where it says so.
    fn adopt(&mut self, other: &Self) {
        self.user = other.user.clone().or(self.user.take());
        self.timeout = other.timeout.or(self.timeout);
        self.on_error = other.on_error.or(self.on_error);
        self.order = if other.order == 0 { self.order } else { other.order };
    }

    // A hook as this declaration wants it.
    fn adapt(&self, hook: Hook) -> Hook {
        let user = self.user.clone().or(hook.command.user);
        Hook {
            command: Command { words: hook.command.words, user },
            timeout: self.timeout.and_then(bounded).unwrap_or(hook.timeout),
            on_error: self.on_error.unwrap_or(hook.on_error),
            orders: hook.orders,
        }
    }

    fn hook(&self, words: Vec<String>, timeout: Duration, on_error: OnError) -> Hook {
        Hook {
            command: Command { words, user: self.user.clone() },
            timeout: self.timeout.and_then(bounded).unwrap_or(timeout),
            on_error: self.on_error.unwrap_or(on_error),
            orders: Orders::default(),
        }
    }

    fn profile_hook(&self, profile: Profile, on_error: OnError) -> Hook {
        let words = Words::Line(profile.script().to_owned()).into_words();
        // A checkpoint of much memory takes a while; who holds something must not.
        let timeout = if profile.holds() { TIMEOUT } else { CHECKPOINT_TIMEOUT };
        Hook { orders: profile.orders(), ..self.hook(words, timeout, on_error) }
    }
}

/// A time that a command may take.
pub(super) fn bounded(timeout: SignedDuration) -> Option<Duration> {
    let timeout = Duration::try_from(timeout).ok()?;
    (Duration::ZERO < timeout && timeout <= TIMEOUT_MAX).then_some(timeout)
}

// What our own labels say.
fn own(labels: &BTreeMap<String, String>) -> Result<Declaration, String> {
    let mut declaration = Declaration::default();
    for (label, value) in labels {
        let wrong = |what: &str| format!("the label `{label}` is {what}, and says `{value}`");
        match label.as_str() {
            "stillpoint.profile" => declaration.profile = Some(value.clone()),
            "stillpoint.hook.pre" => declaration.pre = Some(Words::parse(value)),
            "stillpoint.hook.hold" => declaration.hold = Some(Words::parse(value)),
            "stillpoint.hook.post" => declaration.post = Some(Words::parse(value)),
            "stillpoint.hook.user" => declaration.user = Some(value.clone()),
            "stillpoint.hook.timeout" => {
                let timeout = value.parse().map_err(|_| wrong("a time such as 30s"))?;
                declaration.timeout = Some(timeout);
            }
            "stillpoint.hook.on-error" => {
                declaration.on_error = Some(match value.as_str() {
                    "fail" => OnError::Fail,
                    "continue" => OnError::Continue,
                    _ => return Err(wrong("`fail` or `continue`")),
                });
            }
            "stillpoint.hook.order" => {
                declaration.order = value.parse().map_err(|_| wrong("a whole number"))?;
            }
            other if other.starts_with("stillpoint.hook") => {
                return Err(format!("there is no label `{other}`"));
            }
            _ => {}
        }
    }
    Ok(declaration)
}

/// How long a hook may take unless it is said otherwise, as with Velero.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
const CHECKPOINT_TIMEOUT: Duration = Duration::from_mins(2);
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(image: &str, labels: &[(&str, &str)]) -> Result<MemberHooks, HookError> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (name, image) = ("db".to_owned(), image.to_owned());
        let member = Member { name, image, labels: labels.collect(), ..Member::default() };
        MemberHooks::of(&member, None)
    }

    fn profile(hooks: &MemberHooks) -> Option<(Profile, OnError)> {
        hooks.profile.as_ref().map(|(profile, hook)| (*profile, hook.on_error))
    }

    #[test]
    fn labels_declare_commands_and_how_they_are_run() {
        let found = hooks(
            "postgres:16",
            &[
                ("stillpoint.hook.pre", "sync"),
                ("stillpoint.hook.post", r#"["rm", "/a b"]"#),
                ("stillpoint.hook.user", "postgres"),
                ("stillpoint.hook.timeout", "1m30s"),
                ("stillpoint.hook.on-error", "continue"),
                ("stillpoint.hook.order", "-3"),
                ("other", "label"),
            ],
        );
        let found = found.unwrap();
        let pre = found.pre.as_ref().unwrap();
        assert_eq!(pre.command.words, ["sh", "-c", "sync"]);
        assert_eq!(pre.command.user.as_deref(), Some("postgres"));
        assert_eq!((pre.timeout, pre.on_error), (Duration::from_secs(90), OnError::Continue));
        assert_eq!(found.post.as_ref().unwrap().command.words, ["rm", "/a b"]);
        assert_eq!((&found.hold, found.order, profile(&found)), (&None, -3, None));
    }

    #[test]
    fn a_profile_is_chosen_by_the_image_unless_something_is_declared() {
        let by_image = hooks("postgres:16", &[]).unwrap();
        assert_eq!(profile(&by_image), Some((Profile::PostgreSql, OnError::Continue)));
        let by_label = hooks("my/own", &[("stillpoint.profile", "mariadb")]).unwrap();
        assert_eq!(profile(&by_label), Some((Profile::MySql, OnError::Fail)));
        let none = hooks("postgres:16", &[("stillpoint.profile", "none")]).unwrap();
        assert!(none.is_empty());
        assert!(hooks("busybox", &[]).unwrap().is_empty());
        // How is not what.
        let slower = hooks("postgres:16", &[("stillpoint.hook.timeout", "5m")]).unwrap();
        assert_eq!(slower.profile.unwrap().1.timeout, Duration::from_mins(5));
        let foreign = ("docker-volume-backup.archive-pre", "true");
        let slow = ("stillpoint.hook.timeout", "5m");
        let both = hooks("postgres:16", &[foreign, slow]).unwrap();
        assert_eq!((both.pre.unwrap().timeout, both.profile), (Duration::from_mins(5), None));
    }

    #[test]
    fn the_configuration_goes_before_labels() {
        let member = Member {
            labels: BTreeMap::from([("stillpoint.hook.pre".to_owned(), "a".to_owned())]),
            ..Member::default()
        };
        let configured =
            Declaration { post: Some(Words::List(vec!["b".to_owned()])), ..Declaration::default() };
        let found = MemberHooks::of(&member, Some(&configured)).unwrap();
        assert_eq!((found.pre, found.post.unwrap().timeout), (None, TIMEOUT));
        // One that says only how leaves what to the labels.
        let how = Declaration { user: Some("root".to_owned()), ..Declaration::default() };
        let found = MemberHooks::of(&member, Some(&how)).unwrap().pre.unwrap();
        assert_eq!(found.command.user.as_deref(), Some("root"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (label, value) in [
            ("stillpoint.profile", "oracle"),
            ("stillpoint.hook.before", "x"),
            ("stillpoint.hook.timeout", "soon"),
            ("stillpoint.hook.timeout", "-1s"),
            ("stillpoint.hook.timeout", "9223372036854775807s"),
            ("stillpoint.hook.on-error", "panic"),
            ("stillpoint.hook.order", "first"),
            ("stillpoint.hook.pre", "[]"),
            ("pre.hook.backup.velero.io/timeout", "soon"),
            ("pre.hook.backup.velero.io/timeout", "0s"),
            ("docker-volume-backup.archive-pre", "sh -c 'unfinished"),
        ] {
            let error = hooks("", &[(label, value), ("pre.hook.backup.velero.io/command", "x")]);
            let Err(HookError::Declaration { member, .. }) = error else {
                panic!("{label}={value}: {error:?}")
            };
            assert_eq!(member, "db");
        }
    }
}
