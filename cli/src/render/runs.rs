//! Runs and events.

use std::io::{self, Write};

use service::history::{History, Run, State};
use service::{Event, Happening, RunOutcome};

use super::{Answer, bytes, moment, table};

impl Answer for History {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let headings =
            ["RUN", "TASK", "APPLICATION", "POLICY", "DUE (UTC)", "BEGUN (UTC)", "STATE", "POINT"];
        table::write(out, headings, &self.runs.iter().map(row).collect::<Vec<_>>())?;
        if !self.events.is_empty() {
            writeln!(out)?;
            let rows: Vec<_> = self.events.iter().map(event).collect();
            table::write(out, ["TIME (UTC)", "APPLICATION", "POLICY", "EVENT"], &rows)?;
        }
        Ok(())
    }
}

fn row(run: &Run) -> [String; 8] {
    let row = &run.row;
    let occasion = row.occasion.as_ref();
    let point = row.end.as_ref().and_then(|end| end.point);
    [
        row.id.to_string(),
        row.task.name().to_owned(),
        row.application.clone().unwrap_or_default(),
        occasion.map(|it| it.policy.clone()).unwrap_or_default(),
        occasion.map(|it| moment(it.due)).unwrap_or_default(),
        row.start.map(|start| moment(start.started)).unwrap_or_default(),
        state(run),
        point.map(|point| point.to_string().chars().take(8).collect()).unwrap_or_default(),
    ]
}

fn state(run: &Run) -> String {
    match (run.state, run.row.end.as_ref().map(|end| &end.outcome)) {
        (State::Waits, _) => "waits".to_owned(),
        (State::GoesOn, _) => "goes on".to_owned(),
        (_, Some(RunOutcome::Succeeded)) => "succeeded".to_owned(),
        (_, Some(RunOutcome::Partial)) => "succeeded in part".to_owned(),
        (_, Some(RunOutcome::Cancelled)) => "was called off".to_owned(),
        (_, None | Some(RunOutcome::Abandoned)) => "was cut off".to_owned(),
        (_, Some(RunOutcome::Failed { error })) => format!("failed: {error}"),
    }
}

fn event(event: &Event) -> [String; 4] {
    let Event { moment: when, application, policy, happening } = event;
    let [application, policy] = [application, policy].map(|it| it.clone().unwrap_or_default());
    [moment(*when), application, policy, happened(happening)]
}

fn happened(happening: &Happening) -> String {
    match happening {
        Happening::Missed { first, last, count } => {
            format!("{count} runs were missed, due from {} to {}", moment(*first), moment(*last))
        }
        Happening::ClockWentBack { from, to } => {
            format!("the clock went back from {} to {}", moment(*from), moment(*to))
        }
        Happening::Forgotten { count } => format!("{count} points were forgotten"),
        Happening::Pruned { packs, bytes: size } => {
            format!("{} were given back, in {packs} packs", bytes(*size))
        }
        Happening::Verified { points } => format!("{points} points were read and verified"),
        Happening::Alarm { reason, .. } => format!("no point goes: {reason}"),
        Happening::PutOff { error, until } => {
            format!("a run waits until {}: {error}", moment(*until))
        }
        Happening::NotForgotten { error } => format!("points were not forgotten: {error}"),
        Happening::UnknownPolicy => "there is no such policy".to_owned(),
        Happening::CatalogReplaced { backup: Some(made) } => {
            format!("the catalog was damaged or lost: its backup from {} is used", moment(*made))
        }
        Happening::CatalogReplaced { backup: None } => {
            "the catalog was damaged or lost: what was known of earlier runs is gone".to_owned()
        }
        Happening::Reloaded => "the service goes by another configuration".to_owned(),
        Happening::NotReloaded { error } => format!("the old configuration stays: {error}"),
        Happening::NotTold { channel, error } => format!("`{channel}` could not tell: {error}"),
        Happening::Started => "the service was started".to_owned(),
        Happening::Stopped => "the service has ended".to_owned(),
        Happening::Other => "something that a newer version wrote down".to_owned(),
    }
}
