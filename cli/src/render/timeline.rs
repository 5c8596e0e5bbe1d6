//! A freeze, drawn: who stood still when, and when each volume was snapshotted.

use std::io::{self, Write};

use format::evidence::{Evidence, MemberEvidence, VolumeEvidence};

use super::milliseconds;

/// How many columns the window takes.
const COLUMNS: usize = 50;

/// Draws a line for each container that was frozen and for each volume: `.` on the way to stand
/// still, `#` while it stood still, `=` while the snapshot was made.
pub(super) fn draw(evidence: &Evidence, out: &mut dyn Write) -> io::Result<()> {
    let window = evidence.window_micros;
    let members =
        evidence.members.iter().filter_map(|m| Some((m.name.clone(), frozen(m, window)?)));
    let volumes = evidence.volumes.iter().map(|v| (v.name.to_string(), snapshot(v, window)));
    let lines: Vec<(String, String)> = members.chain(volumes).collect();
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let end = milliseconds(window);
    writeln!(out, "{:width$}  0{end:>columns$}", "", columns = COLUMNS.saturating_sub(1))?;
    lines.iter().try_for_each(|(name, bar)| writeln!(out, "{name:width$}  {}", bar.trim_end()))
}

fn frozen(member: &MemberEvidence, window: u64) -> Option<String> {
    let (asked, frozen) = (member.freeze_micros?, member.frozen_micros?);
    let thawed = member.thawed_micros.unwrap_or(window);
    Some(bar(&[('.', asked, frozen), ('#', frozen, thawed)], window))
}

fn snapshot(volume: &VolumeEvidence, window: u64) -> String {
    bar(&[('=', volume.begin_micros, volume.end_micros)], window)
}

// Each span takes at least one column; a later one is drawn over those before it.
fn bar(spans: &[(char, u64, u64)], window: u64) -> String {
    let column = |micros: u64| {
        let share = u128::from(micros) * COLUMNS as u128 / u128::from(window.max(1));
        usize::try_from(share).unwrap_or(COLUMNS).min(COLUMNS)
    };
    let mut columns = vec![' '; COLUMNS];
    for (mark, begin, end) in spans {
        let begin = column(*begin).min(COLUMNS.saturating_sub(1));
        let end = column(*end).max(begin.saturating_add(1));
        columns.iter_mut().take(end).skip(begin).for_each(|column| *column = *mark);
    }
    columns.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use format::raw::RawPath;

    use super::*;

    fn member(name: &str, times: Option<(u64, u64, u64)>) -> MemberEvidence {
        MemberEvidence {
            name: name.to_owned(),
            method: "cgroup-v2".to_owned(),
            freeze_micros: times.map(|(asked, _, _)| asked),
            frozen_micros: times.map(|(_, frozen, _)| frozen),
            thawed_micros: times.map(|(_, _, thawed)| thawed),
            continuous: true,
        }
    }

    #[test]
    fn each_line_begins_and_ends_where_it_should() {
        let volume = VolumeEvidence {
            name: RawPath::new("/data"),
            driver: "btrfs".to_owned(),
            begin_micros: 200,
            end_micros: 600,
        };
        let evidence = Evidence {
            window_micros: 1000,
            deadline_micros: 10_000,
            members: vec![member("db", Some((0, 100, 1000))), member("off", None)],
            volumes: vec![volume],
            hooks: Vec::new(),
        };
        let mut out = Vec::new();
        draw(&evidence, &mut out).unwrap();
        let db = format!("db     .....{}", "#".repeat(45));
        let data = format!("/data  {}{}", " ".repeat(10), "=".repeat(20));
        let scale = format!("       0{:>49}", "1.0 ms");
        assert_eq!(String::from_utf8(out).unwrap(), format!("{scale}\n{db}\n{data}\n"));
    }

    #[test]
    fn what_is_too_short_or_out_of_the_window_is_drawn_all_the_same() {
        assert_eq!(bar(&[('=', 500, 500)], 1000).find('='), Some(25));
        assert_eq!(bar(&[('=', 1000, 1000)], 1000).find('='), Some(49));
        assert_eq!(bar(&[('=', 5000, u64::MAX)], 1000).find('='), Some(49));
        assert_eq!(bar(&[('=', 0, 0)], 0).find('='), Some(0));
    }
}
