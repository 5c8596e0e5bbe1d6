//! Labels of other backup tools that mean the same as ours.
//!
//! [docker-volume-backup](https://offen.github.io/docker-volume-backup/): `archive-pre` and
//! `archive-post` with their users; its other phases have no counterpart here.
//! [Velero](https://velero.io/docs/main/backup-hooks/): the annotations of a pod, as labels.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use platform::session::Command;

use super::declared::{Hook, MemberHooks, OnError, Orders, TIMEOUT, bounded};
use super::words::Words;

/// The hooks that other tools would run; Velero's where there are both.
pub(super) fn hooks(labels: &BTreeMap<String, String>) -> Result<MemberHooks, String> {
    let pre = velero(labels, "pre")?.or(volume_backup(labels, "archive-pre")?);
    let post = velero(labels, "post")?.or(volume_backup(labels, "archive-post")?);
    Ok(MemberHooks { pre, post, ..MemberHooks::default() })
}

fn velero(labels: &BTreeMap<String, String>, phase: &str) -> Result<Option<Hook>, String> {
    let key = |name: &str| format!("{phase}.hook.backup.velero.io/{name}");
    let label = |name: &str| labels.get(&key(name));
    let timeout = match label("timeout") {
        Some(text) => {
            let timeout = text.parse::<SignedDuration>().ok().and_then(bounded);
            timeout.ok_or_else(|| format!("the label `{}` is no time: `{text}`", key("timeout")))?
        }
        None => TIMEOUT,
    };
    let on_error = match label("on-error").map(String::as_str) {
        None | Some("Fail") => OnError::Fail,
        Some("Continue") => OnError::Continue,
        Some(other) => {
            return Err(format!(
                "the label `{}` is Fail or Continue, not `{other}`",
                key("on-error")
            ));
        }
    };
    let Some(text) = label("command") else { return Ok(None) };
    // A program without a shell, also where it is no list.
    let words = match Words::parse(text) {
        Words::List(words) if !words.is_empty() => words,
        Words::List(_) => return Err(format!("the label `{}` has no words", key("command"))),
        Words::Line(program) => vec![program],
    };
    let command = Command { words, user: None };
    Ok(Some(Hook { command, timeout, on_error, orders: Orders::default() }))
}

fn volume_backup(labels: &BTreeMap<String, String>, phase: &str) -> Result<Option<Hook>, String> {
    let key = format!("docker-volume-backup.{phase}");
    let Some(text) = labels.get(&key) else { return Ok(None) };
    let words = shlex::split(text).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| format!("the label `{key}` cannot be split into words"))?;
    let user = labels.get(&format!("{key}.user")).cloned();
    let (command, orders) = (Command { words, user }, Orders::default());
    Ok(Some(Hook { command, timeout: TIMEOUT, on_error: OnError::Fail, orders }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(labels: &[(&str, &str)]) -> MemberHooks {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        hooks(&labels.collect()).unwrap()
    }

    #[test]
    fn those_of_docker_volume_backup_are_split_without_a_shell() {
        let found = of(&[
            ("docker-volume-backup.archive-pre", "/bin/sh -c 'pg_dump > /dump/a b'"),
            ("docker-volume-backup.archive-pre.user", "postgres"),
            ("docker-volume-backup.archive-post", "rm /dump/a"),
            ("docker-volume-backup.copy-post", "curl there"),
        ]);
        let pre = found.pre.unwrap();
        assert_eq!(pre.command.words, ["/bin/sh", "-c", "pg_dump > /dump/a b"]);
        assert_eq!(pre.command.user.as_deref(), Some("postgres"));
        assert_eq!(
            found.post.unwrap().command,
            Command { words: vec!["rm".to_owned(), "/dump/a".to_owned()], user: None }
        );
    }

    #[test]
    fn those_of_velero_have_a_time_and_may_fail() {
        let found = of(&[
            ("pre.hook.backup.velero.io/command", r#"["fsfreeze", "--freeze", "/data"]"#),
            ("pre.hook.backup.velero.io/timeout", "1m"),
            ("pre.hook.backup.velero.io/on-error", "Continue"),
            ("post.hook.backup.velero.io/command", "/bin/thaw it"),
        ]);
        let pre = found.pre.unwrap();
        assert_eq!(pre.command.words, ["fsfreeze", "--freeze", "/data"]);
        assert_eq!((pre.timeout, pre.on_error), (Duration::from_mins(1), OnError::Continue));
        let post = found.post.unwrap();
        assert_eq!(post.command.words, ["/bin/thaw it"]);
        assert_eq!((post.timeout, post.on_error), (TIMEOUT, OnError::Fail));
    }

    #[test]
    fn without_their_labels_there_are_none() {
        assert_eq!(
            of(&[("docker-volume-backup.stop-during-backup", "true")]),
            MemberHooks::default()
        );
    }
}
