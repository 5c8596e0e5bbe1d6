//! Forgetting and pruning: the plans, and what was done.

use std::io::{self, Write};

use serde::Serialize;
use service::prune::{Plan, Reading, Reason, Report, Share, Waiting};
use service::upkeep::{ForgetPlan, Judged};

use super::{Answer, bytes, moment, warnings};

impl Answer for ForgetPlan {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "plan: forget {} restore points, {} stay", self.points.len(), self.stay)?;
        if !self.groups.is_empty() {
            return self.groups.iter().try_for_each(|group| judged(group, out));
        }
        for point in &self.points {
            let taken = moment(point.taken);
            writeln!(out, "  {} of {}, taken {taken} UTC", point.point, point.application)?;
        }
        Ok(())
    }
}

fn judged(group: &Judged, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} on {}", group.application, group.host)?;
    if let Some(alarm) = group.alarm {
        writeln!(out, "  nothing of it goes: {alarm}")?;
        writeln!(out, "  {}", alarm.remedy())?;
    }
    for point in &group.points {
        let reasons: Vec<_> = point.reasons.iter().map(ToString::to_string).collect();
        let verdict = match reasons.as_slice() {
            [] => "goes: no rule keeps it".to_owned(),
            reasons => format!("stays: {}", reasons.join(", ")),
        };
        writeln!(out, "  {} {} UTC {verdict}", point.point, moment(point.taken))?;
    }
    Ok(())
}

/// Points that were forgotten.
#[derive(Serialize)]
pub(crate) struct Forgotten {
    pub(crate) plan: ForgetPlan,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pruned: Option<Pruned>,
    pub(crate) warnings: Vec<String>,
}

impl Answer for Forgotten {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "forgot {} restore points", self.plan.points.len())?;
        warnings(&self.warnings, out)?;
        match &self.pruned {
            Some(pruned) => pruned.text(out),
            None => {
                writeln!(out, "`stillpoint prune` gives back the space of what only they needed")
            }
        }
    }
}

impl Answer for Plan {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Plan { points, forgotten, stored, used, .. } = self;
        writeln!(
            out,
            "plan: {points} restore points need {} of {}; {} were forgotten",
            bytes(*used),
            share(stored),
            forgotten.len()
        )?;
        writeln!(out, "  delete {} that nobody needs", share(&self.delete))?;
        if self.orphans.packs > 0 {
            writeln!(out, "    of these {} of backups that were cut off", share(&self.orphans))?;
        }
        writeln!(
            out,
            "  write anew {} of which only part is needed: {} to copy",
            share(&self.repack),
            bytes(self.copy)
        )?;
        let rescued = self.decisions.iter().filter(|d| d.reason == Reason::Rescue).count();
        if rescued > 0 {
            writeln!(out, "    of these copies some are from {rescued} packs that go anyway")?;
        }
        if self.condemned.packs > 0 {
            writeln!(out, "  delete {} that an earlier prune left", share(&self.condemned))?;
        }
        let segments = self.segments;
        writeln!(
            out,
            "  index: {} of {} segments go, {} are written anew",
            segments.delete + segments.rewrite,
            segments.stored,
            segments.rewrite
        )?;
        writeln!(out, "  the repository becomes {} smaller", bytes(self.freed))?;
        if self.at_work.packs > 0 {
            writeln!(out, "  {} of sessions that have not ended stay", share(&self.at_work))?;
        }
        for reading in &self.readings {
            let Reading { pin, who, since, points } = reading;
            let since = moment(*since);
            writeln!(
                out,
                "  {} forgotten points stay: {who} has read them since {since} UTC; if that was cut off: --unpin {pin}",
                points.len()
            )?;
        }
        for session in &self.sessions {
            writeln!(out, "  not ended: session {}{}", session.session, on(session))?;
        }
        Ok(())
    }
}

/// A prune that was only planned.
#[derive(Serialize)]
pub(crate) struct Planned {
    #[serde(flatten)]
    pub(crate) plan: Plan,
    pub(crate) warnings: Vec<String>,
    /// Whether it would not be carried out now, because of the sessions.
    pub(crate) refused: bool,
}

impl Answer for Planned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.plan.text(out)?;
        warnings(&self.warnings, out)?;
        if self.refused {
            writeln!(out, "refused: nothing is pruned here before these sessions have ended")?;
        }
        Ok(())
    }
}

/// A prune that was carried out.
#[derive(Serialize)]
pub(crate) struct Pruned {
    pub(crate) plan: Plan,
    pub(crate) report: Report,
    pub(crate) warnings: Vec<String>,
}

impl Answer for Pruned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Report { deleted, segments, copied, left, ended } = &self.report;
        writeln!(
            out,
            "deleted {} and {segments} index segments; {} were copied",
            share(deleted),
            bytes(*copied)
        )?;
        warnings(&self.warnings, out)?;
        for session in ended {
            writeln!(out, "ended session {session}, which showed no sign of life")?;
        }
        if left.packs > 0 {
            writeln!(
                out,
                "{} more go with the next prune: sessions at work may need them",
                share(left)
            )?;
        }
        Ok(())
    }
}

/// What is waited for, in a sentence.
pub(crate) fn waiting(waiting: &Waiting) -> String {
    let (session, still) = (waiting.session, waiting.still_seconds);
    format!("waiting for session {session}{}: no sign of life for {still} s", on(waiting))
}

fn on(waiting: &Waiting) -> String {
    waiting.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default()
}

fn share(share: &Share) -> String {
    format!("{} packs ({})", share.packs, bytes(share.bytes))
}
