//! Restore points: the list, and one of them with its evidence.

use std::io::{self, Write};

use format::annotation::{Drill, Summary};
use format::evidence::{Evidence, MemberEvidence};
use format::manifest::Manifest;
use serde::{Serialize, Serializer};
use service::PointRow;

use super::{Answer, bytes, hooks, milliseconds, moment, table, timeline};

impl Answer for Vec<PointRow> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |point: &PointRow| {
            let size = point.volumes.iter().map(|volume| volume.bytes).fold(0, u64::saturating_add);
            [
                point.point.to_string().chars().take(8).collect(),
                moment(point.taken),
                point.application.clone(),
                point.level.to_string(),
                point.volumes.len().to_string(),
                bytes(size),
                bytes(point.statistics.stored),
                remarks(point),
            ]
        };
        let headings =
            ["POINT", "TAKEN (UTC)", "APPLICATION", "LEVEL", "VOLUMES", "SIZE", "STORED", ""];
        table::write(out, headings, &self.iter().map(row).collect::<Vec<_>>())
    }
}

// What sets a point apart, in a few words.
fn remarks(point: &PointRow) -> String {
    let Summary { held, tags, verified, drill } = &point.annotations;
    let mut remarks = Vec::new();
    if point.omissions > 0 {
        remarks.push(format!("{} missing", point.omissions));
    }
    remarks.extend(held.as_ref().map(|reason| format!("held: {reason}")));
    remarks.extend(verified.map(|when| format!("verified {}", moment(when))));
    let passed = |drill: &Drill| if drill.passed { "passed" } else { "FAILED" };
    remarks.extend(drill.as_ref().map(|d| format!("drill {} {}", passed(d), moment(d.when))));
    remarks.extend(tags.iter().map(|tag| format!("#{tag}")));
    remarks.join(", ")
}

/// A point: as JSON without its secrets, and the manifest for the text.
pub(crate) struct Shown(pub(crate) serde_json::Value, pub(crate) Manifest);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Answer for Shown {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let point = &self.1;
        writeln!(out, "restore point {}", point.point)?;
        writeln!(
            out,
            "application   {} on {} ({})",
            point.application, point.host, point.platform
        )?;
        writeln!(out, "taken         {} UTC", moment(point.taken))?;
        writeln!(out, "level         {}", point.level)?;
        for remark in &point.remarks {
            writeln!(out, "note          {remark}")?;
        }
        for volume in &point.volumes {
            let size = bytes(volume.bytes);
            writeln!(
                out,
                "volume        {} ({}): {} files, {size}",
                volume.name, volume.driver, volume.files
            )?;
        }
        for omission in &point.omissions {
            writeln!(
                out,
                "missing       {} of {}: {}",
                omission.path, omission.volume, omission.reason
            )?;
        }
        point.evidence.as_ref().map_or(Ok(()), |evidence| course(evidence, out))
    }
}

fn course(evidence: &Evidence, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "freeze        {} of at most {}",
        milliseconds(evidence.window_micros),
        milliseconds(evidence.deadline_micros)
    )?;
    let at = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), milliseconds);
    let member = |m: &MemberEvidence| {
        let continuous = if m.continuous { "yes" } else { "no" };
        [
            m.name.clone(),
            m.method.clone(),
            at(m.freeze_micros),
            at(m.frozen_micros),
            at(m.thawed_micros),
            continuous.to_owned(),
        ]
    };
    let headings = ["CONTAINER", "METHOD", "FREEZE", "FROZEN", "THAWED", "WITHOUT A BREAK"];
    table::write(out, headings, &evidence.members.iter().map(member).collect::<Vec<_>>())?;
    let volume = |v: &format::evidence::VolumeEvidence| {
        let times = (milliseconds(v.begin_micros), milliseconds(v.end_micros));
        [v.name.to_string(), v.driver.clone(), times.0, times.1]
    };
    let headings = ["VOLUME", "DRIVER", "SNAPSHOT BEGUN", "DONE"];
    table::write(out, headings, &evidence.volumes.iter().map(volume).collect::<Vec<_>>())?;
    hooks::draw(&evidence.hooks, out)?;
    timeline::draw(evidence, out)
}
