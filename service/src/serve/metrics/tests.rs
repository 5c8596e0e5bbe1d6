use std::collections::BTreeSet;
use std::fs;

use format::ids::PointId;
use format::manifest::{Level, Statistics};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn name() -> JobName {
    JobName { application: Some("shop".into()), policy: "nightly".into() }
}

fn row(newest: i64) -> ApplicationRow {
    let (name, platform) = ("shop".to_owned(), "docker".to_owned());
    ApplicationRow { name, platform, seen: None, newest: Some(at(newest)) }
}

fn report() -> BackupReport {
    BackupReport {
        point: PointId::new([1; 16]),
        application: "shop".into(),
        level: Level::Crash,
        taken: at(100),
        window_micros: Some(20_000),
        remarks: Vec::new(),
        volumes: Vec::new(),
        statistics: Statistics {
            files: 1,
            scanned: 50,
            read: 40,
            changed: 30,
            stored: 20,
            sent: 10,
        },
        omissions: Vec::new(),
        warnings: Vec::new(),
    }
}

fn happened(happening: Happening) -> Event {
    let (application, policy) = (Some("shop".to_owned()), Some("nightly".to_owned()));
    Event { moment: at(1), application, policy, happening }
}

/// One of everything.
fn filled() -> Metrics {
    let metrics = Metrics::new();
    let (due, succeeded) = (Some(at(100)), Some(at(50)));
    let standing = Standing { due, succeeded, ..Standing::default() };
    metrics.met(name(), Task::Backup, standing);
    metrics.backed_up(&report());
    let took = Some(SignedDuration::from_secs(20));
    for outcome in [RunOutcome::Partial, RunOutcome::Failed { error: "no".into() }] {
        metrics.job_ended((Task::Backup, &name()), &outcome, (at(130), took));
    }
    for happening in [
        Happening::Missed { first: at(1), last: at(3), count: 3 },
        Happening::Forgotten { count: 4 },
        Happening::Alarm { reason: "smaller".into(), told: true },
        Happening::Pruned { packs: 1, bytes: 5 },
        Happening::Verified { points: 6 },
        Happening::PutOff { error: "away".into(), until: at(200) },
    ] {
        metrics.happened(&happened(happening));
    }
    metrics.happened(&happened(Happening::NotForgotten { error: "away".into() }));
    metrics.queue(2, 7);
    metrics.looked(at(140));
    metrics
}

#[test]
fn what_deploy_and_documents_name_is_what_is_counted() {
    let text = filled().text(&[row(100)]).unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let offered: BTreeSet<_> =
        types.filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    for path in ["deploy/prometheus/alerts.yml", "deploy/grafana/stillpoint.json"] {
        let named = named(&read(path));
        assert!(named.len() > 5 && named.is_subset(&offered), "{path}: {named:?} {offered:?}");
    }
    assert_eq!(named(&read("docs/monitoring.md")), offered);
    let dashboard = read("deploy/grafana/stillpoint.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
}

/// Every metric that a text names, without what only a series of it has.
fn named(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = text.match_indices("stillpoint_").map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())]
    });
    let family = |name: &str| {
        let suffixes = ["_total", "_bucket", "_count", "_sum", "_info"];
        let without = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
        without.unwrap_or(name).to_owned()
    };
    names.map(family).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_series_has_the_number_that_was_counted() {
    let text = filled().text(&[row(100), row(90)]).unwrap();
    let job = "task=\"backup\",application=\"shop\",policy=\"nightly\"";
    let policy = "application=\"shop\",policy=\"nightly\"";
    for line in [
        format!("runs_total{{{job},outcome=\"partial\"}} 1"),
        format!("runs_total{{{job},outcome=\"failed\"}} 1"),
        // It began at nothing.
        format!("runs_total{{{job},outcome=\"succeeded\"}} 0"),
        format!("runs_missed_total{{{policy}}} 3"),
        format!("points_forgotten_total{{{policy}}} 4"),
        format!("retention_alarms_total{{{policy}}} 1"),
        format!("runs_put_off_total{{{policy}}} 1"),
        format!("retention_failures_total{{{policy}}} 1"),
        format!("last_failure_timestamp_seconds{{{job}}} 130"),
        format!("last_missed_timestamp_seconds{{{job}}} 1"),
        "last_look_timestamp_seconds 140".to_owned(),
        "pruned_bytes_total 5".to_owned(),
        "points_verified_total 6".to_owned(),
        "runs_going_on 2".to_owned(),
        "runs_waiting 7".to_owned(),
        "backup_scanned_bytes_total{application=\"shop\"} 50".to_owned(),
        "backup_sent_bytes_total{application=\"shop\"} 10".to_owned(),
        "freeze_duration_seconds_bucket{le=\"0.01\",application=\"shop\"} 0".to_owned(),
        "freeze_duration_seconds_bucket{le=\"0.025\",application=\"shop\"} 1".to_owned(),
        "run_duration_seconds_sum{task=\"backup\"} 40.0".to_owned(),
        format!("last_due_timestamp_seconds{{{job}}} 100"),
        // Neither of the two runs has done all of what it was for.
        format!("last_success_timestamp_seconds{{{job}}} 50"),
        "newest_point_timestamp_seconds{application=\"shop\"} 100".to_owned(),
    ] {
        assert!(text.contains(&format!("\nstillpoint_{line}\n")), "{line}\n{text}");
    }
}

#[test]
fn a_job_that_is_gone_is_not_overdue() {
    let metrics = filled();
    metrics.due(&name(), at(200));
    metrics.job_ended((Task::Backup, &name()), &RunOutcome::Succeeded, (at(210), None));
    let text = metrics.text(&[]).unwrap();
    assert!(text.contains("\"nightly\"} 200\n") && text.contains("\"nightly\"} 210\n"), "{text}");
    metrics.retain(|_| false);
    let text = metrics.text(&[]).unwrap();
    assert!(!text.contains("timestamp_seconds{"), "{text}");
}
