//! Points that rules let go.

use std::collections::{BTreeMap, BTreeSet};

use catalog::PointRow;
use format::ids::PointId;
use format::manifest::Level;
use jiff::{Timestamp, Zoned};
use scheduler::Schedule;
use scheduler::retention::{Alarm, Candidate, Judgement, Plan, Reason, Rules, judge};
use serde::Serialize;

use super::{ForgetPlan, Upkeep};
use crate::config::PolicyConfig;
use crate::error::ServiceError;

/// What rules say of the points of one application on one host.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The application, or the name given to a set of paths.
    pub application: String,
    /// The host.
    pub host: String,
    /// Why nothing of it goes for now.
    pub alarm: Option<Alarm>,
    /// Its points, the newest first.
    pub points: Vec<JudgedPoint>,
    /// Points of the application that are unlike those before them, and are not marked yet.
    #[serde(skip)]
    pub(crate) suspects: Vec<PointId>,
}

/// What rules say of one point.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedPoint {
    /// The point.
    pub point: PointId,
    /// When it was taken.
    pub taken: Timestamp,
    /// Why it stays; where there is no reason, it goes.
    pub reasons: Vec<Reason>,
}

impl Upkeep {
    /// What forgetting all points that these rules do not keep means; nothing is written. The points of each
    /// application on each host are looked at apart from the others.
    pub async fn plan_retention(
        &self,
        rules: &Rules,
        application: Option<&str>,
        now: &Zoned,
    ) -> Result<ForgetPlan, ServiceError> {
        let all = self.engine.points(None).await?;
        let is_meant = |row: &&PointRow| application.is_none_or(|name| name == row.application);
        let groups = grouped(all.iter().filter(is_meant));
        let judge = |(of, rows): (_, Vec<PointRow>)| {
            let (alarm, suspects) = look_through(&rows, now);
            let plan = plan(&rows, (rules, &[]), alarm, now);
            judged((of, rows), plan, suspects)
        };
        let groups: Vec<_> = groups.into_iter().map(judge).collect();
        Ok(plan_of(all, groups))
    }

    /// What forgetting all points means that a policy has made on this host, of an application or of all,
    /// and no longer keeps; nothing is written. Points that people or other policies have made are not
    /// looked at. Where nobody looks at the plan, most of the points of an application do not go at once.
    pub async fn plan_policy(
        &self,
        (name, policy): (&str, &PolicyConfig),
        application: Option<&str>,
        now: &Zoned,
        look: Look,
    ) -> Result<ForgetPlan, ServiceError> {
        let all = self.engine.points(None).await?;
        let is_meant = |row: &&PointRow| {
            application.is_none_or(|name| name == row.application) && row.host == self.engine.host
        };
        let is_its =
            |row: &PointRow| row.occasion.as_ref().is_some_and(|occasion| occasion.policy == name);
        let judge = |(of, mut rows): (_, Vec<PointRow>)| {
            // Whether something happened to an application is said by all of its points.
            let (alarm, suspects) = look_through(&rows, now);
            rows.retain(is_its);
            let mut plan = plan(&rows, (&policy.keep, &policy.schedules), alarm, now);
            if look == Look::Nobody {
                plan.stop_if_most_go();
            }
            judged((of, rows), plan, suspects)
        };
        let mut groups = grouped(all.iter().filter(is_meant));
        groups.retain(|_, rows| rows.iter().any(is_its));
        let groups: Vec<_> = groups.into_iter().map(judge).collect();
        Ok(plan_of(all, groups))
    }
}

/// Who looks at a plan before it is carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// A person may.
    Somebody,
    /// It happens by itself.
    Nobody,
}

/// The points of each application on each host.
type Groups = BTreeMap<(String, String), Vec<PointRow>>;

fn grouped<'a>(rows: impl Iterator<Item = &'a PointRow>) -> Groups {
    let mut groups = Groups::new();
    for row in rows {
        let group = (row.application.clone(), row.host.clone());
        groups.entry(group).or_default().push(row.clone());
    }
    groups
}

fn plan_of(all: Vec<PointRow>, groups: Vec<Judged>) -> ForgetPlan {
    let judged = groups.iter().flat_map(|group| &group.points);
    let go: BTreeSet<_> = judged.filter(|it| it.reasons.is_empty()).map(|it| it.point).collect();
    let stay = all.len().saturating_sub(go.len()) as u64;
    let points = all.into_iter().filter(|row| go.contains(&row.point)).collect();
    ForgetPlan { points, stay, groups, why: "no rule keeps it".to_owned() }
}

// What all points of an application say of one another: why none goes, and which are to be marked.
fn look_through(rows: &[PointRow], now: &Zoned) -> (Option<Alarm>, Vec<PointId>) {
    let candidates: Vec<_> = rows.iter().map(candidate).collect();
    let Judgement { alarm, suspects } = judge(&candidates, now.timestamp());
    let suspects = suspects.into_iter().filter_map(|index| Some(rows.get(index)?.point));
    (alarm, suspects.collect())
}

fn plan(
    rows: &[PointRow],
    (rules, schedules): (&Rules, &[Schedule]),
    alarm: Option<Alarm>,
    now: &Zoned,
) -> Plan {
    let wanted = |row: &PointRow| match &row.occasion {
        Some(occasion) if !schedules.is_empty() => rules.wanted(&occasion.schedules, schedules),
        _ => Vec::new(),
    };
    let candidate = |row| Candidate { schedules: wanted(row), ..candidate(row) };
    rules.plan_in_spite_of(alarm, &rows.iter().map(candidate).collect::<Vec<_>>(), now)
}

fn judged(
    ((application, host), rows): ((String, String), Vec<PointRow>),
    Plan { reasons, alarm }: Plan,
    suspects: Vec<PointId>,
) -> Judged {
    let point = |(row, reasons): (PointRow, Vec<Reason>)| JudgedPoint {
        point: row.point,
        taken: row.taken,
        reasons,
    };
    let points = rows.into_iter().zip(reasons).map(point).collect();
    Judged { application, host, alarm, points, suspects }
}

fn candidate(row: &PointRow) -> Candidate {
    let said = &row.annotations;
    // Plain paths are never more than that.
    let disagrees = row.level == Level::Fuzzy && row.platform != "path";
    Candidate {
        taken: row.taken,
        tags: said.tags.clone(),
        held: said.held.clone(),
        verified: said.verified.is_some() || said.drill.as_ref().is_some_and(|drill| drill.passed),
        flawed: row.omissions > 0 || disagrees,
        schedules: Vec::new(),
        bytes: row.volumes.iter().map(|volume| volume.bytes).sum(),
        changed: row.statistics.changed,
    }
}
