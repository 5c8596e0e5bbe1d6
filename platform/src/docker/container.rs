//! A container as the engine's `inspect` describes it, reduced to what a backup has to know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, HealthConfig, HostConfig, MountPoint,
};

use crate::application::{Activity, Watch};

/// One container.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Container {
    pub(super) id: String,
    /// Its name without the slash.
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) activity: Activity,
    /// Whether the engine is about to start it again.
    pub(super) restarting: bool,
    pub(super) started: String,
    /// Its first process; `None` when it has none.
    pub(super) pid: Option<u32>,
    pub(super) mounts: Vec<ContainerMount>,
    /// Who would miss it.
    pub(super) watch: Watch,
    /// The id of its image.
    pub(super) image: String,
    /// What whoever made it called the image.
    pub(super) image_name: String,
    /// The names of the networks it is attached to; it has no ids of them before its first start.
    pub(super) networks: BTreeSet<String>,
}

/// Something mounted into a container.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ContainerMount {
    /// The type in the engine's words, such as `bind`.
    pub(super) kind: String,
    /// The volume's name, if it is one.
    pub(super) volume: Option<String>,
    /// Where it lies on the host.
    pub(super) source: PathBuf,
    /// The path in the container.
    pub(super) target: PathBuf,
    pub(super) read_only: bool,
}

impl Container {
    /// Reads the engine's answer. What it does not say is empty.
    pub(super) fn new(answer: &ContainerInspectResponse) -> Self {
        let state = answer.state.clone().unwrap_or_default();
        let config = answer.config.clone().unwrap_or_default();
        let labels: BTreeMap<_, _> = config.labels.unwrap_or_default().into_iter().collect();
        let health = config.healthcheck.as_ref().and_then(|check| patience(check, &state));
        let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        Self {
            id: answer.id.clone().unwrap_or_default(),
            name: answer.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
            watch: Watch { health, lease: labels.get(LEASE_LABEL).cloned() },
            labels,
            activity: activity(&state, pid),
            restarting: state.restarting == Some(true),
            started: state.started_at.unwrap_or_default(),
            pid,
            mounts: mounts(answer),
            image: answer.image.clone().unwrap_or_default(),
            image_name: config.image.unwrap_or_default(),
            networks: networks(answer),
        }
    }

    /// Whether whoever made it says that a service like us is in it.
    pub(super) fn is_service(&self) -> bool {
        self.labels.get(OWN_SERVICE_LABEL).is_some_and(|value| value == "true")
    }

    /// What it sees of the host's files, under the same paths.
    pub(super) fn visible(&self) -> Vec<PathBuf> {
        let same = self.mounts.iter().filter(|mount| mount.source == mount.target);
        same.map(|mount| mount.source.clone()).collect()
    }

    /// The application it belongs to, if any.
    pub(super) fn application(&self) -> Option<&str> {
        [OWN_LABEL, PROJECT_LABEL]
            .into_iter()
            .filter_map(|label| self.labels.get(label))
            .map(String::as_str)
            .find(|name| !name.is_empty())
    }
}

/// Names for the containers of one application: short ones where Compose has some and they are
/// unique, otherwise the engine's, which always are.
pub(super) fn member_names(containers: &[Container]) -> Vec<String> {
    let short: Vec<String> = containers.iter().map(short_name).collect();
    let distinct: BTreeSet<&String> = short.iter().collect();
    if distinct.len() == containers.len() {
        return short;
    }
    containers.iter().map(|container| container.name.clone()).collect()
}

fn short_name(container: &Container) -> String {
    let label = |name| container.labels.get(name).filter(|value| !value.is_empty());
    match (label(SERVICE_LABEL), label(NUMBER_LABEL)) {
        (Some(service), Some(number)) => format!("{service}-{number}"),
        (Some(service), None) => service.clone(),
        (None, _) => container.name.clone(),
    }
}

fn activity(state: &ContainerState, pid: Option<u32>) -> Activity {
    match pid {
        None => Activity::Stopped,
        Some(_) if state.paused == Some(true) => Activity::Paused,
        Some(_) => Activity::Running,
    }
}

// A check of what stands still may fail at once, and so many failures in a row, an interval apart,
// are too many. What is not said, or said as 0, is as the engine has it.
fn patience(check: &HealthConfig, state: &ContainerState) -> Option<Duration> {
    let test = check.test.as_deref().unwrap_or_default();
    if test.first().is_none_or(|first| first == "NONE") {
        return None;
    }
    let said = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).ok().filter(|it| *it > 0);
    let interval = said(check.interval).map_or(CHECK_INTERVAL, Duration::from_nanos);
    let failed = state.health.as_ref().and_then(|health| said(health.failing_streak));
    let left = said(check.retries).unwrap_or(CHECK_RETRIES).saturating_sub(failed.unwrap_or(0));
    // Where one more is too many, it is at least not likely to fall into a short freeze.
    let intervals = u32::try_from(left.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
    Some(interval.saturating_mul(intervals))
}

fn mounts(answer: &ContainerInspectResponse) -> Vec<ContainerMount> {
    let listed = answer.mounts.iter().flatten().map(mount);
    // Those of `--tmpfs` are not in the list.
    let tmpfs = answer.host_config.as_ref().and_then(|HostConfig { tmpfs, .. }| tmpfs.as_ref());
    let tmpfs = tmpfs.into_iter().flat_map(|tmpfs| tmpfs.keys()).map(|target| ContainerMount {
        kind: "tmpfs".to_owned(),
        volume: None,
        source: PathBuf::new(),
        target: target.into(),
        read_only: false,
    });
    let mut mounts: Vec<ContainerMount> = listed.chain(tmpfs).collect();
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts
}

fn mount(mount: &MountPoint) -> ContainerMount {
    let kind = mount.typ.clone().unwrap_or_default();
    ContainerMount {
        volume: mount.name.clone().filter(|name| kind == "volume" && !name.is_empty()),
        kind,
        source: mount.source.clone().unwrap_or_default().into(),
        target: mount.destination.clone().unwrap_or_default().into(),
        read_only: mount.rw == Some(false),
    }
}

fn networks(answer: &ContainerInspectResponse) -> BTreeSet<String> {
    let attached = answer.network_settings.iter().filter_map(|s| s.networks.as_ref());
    attached.flat_map(|networks| networks.keys().cloned()).collect()
}

const OWN_SERVICE_LABEL: &str = "stillpoint.service";
const OWN_LABEL: &str = "stillpoint.app";
const LEASE_LABEL: &str = "stillpoint.lease";
const PROJECT_LABEL: &str = "com.docker.compose.project";
const SERVICE_LABEL: &str = "com.docker.compose.service";
const NUMBER_LABEL: &str = "com.docker.compose.container-number";
/// The engine's interval between two health checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// How many checks the engine lets fail.
const CHECK_RETRIES: u64 = 3;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(answer: Value) -> Container {
        Container::new(&serde_json::from_value(answer).unwrap())
    }

    fn labelled(name: &str, labels: &Value) -> Container {
        container(json!({ "Name": format!("/{name}"), "Config": { "Labels": labels } }))
    }

    #[test]
    fn the_answer_of_an_engine_is_read() {
        let container = container(json!({
            "Id": "abc", "Name": "/shop-db-1", "Image": "sha256:1",
            "State": { "Status": "running", "Running": true, "Pid": 42, "StartedAt": "2024-01-01T00:00:00Z" },
            "HostConfig": { "Tmpfs": { "/scratch": "size=1m" } },
            "Config": { "Labels": { "com.docker.compose.project": "shop" } },
            "Mounts": [
                { "Type": "volume", "Name": "pg", "Source": "/v/pg/_data", "Destination": "/var/lib/pg", "RW": true },
                { "Type": "bind", "Source": "/srv/conf", "Destination": "/etc/conf", "RW": false },
            ],
            "NetworkSettings": { "Networks": { "front": { "NetworkID": "n1" }, "back": { "NetworkID": "" } } },
        }));
        assert_eq!((container.id.as_str(), container.name.as_str()), ("abc", "shop-db-1"));
        assert_eq!((container.activity, container.pid), (Activity::Running, Some(42)));
        let mounts: Vec<_> = container
            .mounts
            .iter()
            .map(|m| (m.kind.as_str(), m.volume.as_deref(), m.read_only))
            .collect();
        assert_eq!(
            mounts,
            [("bind", None, true), ("tmpfs", None, false), ("volume", Some("pg"), false)]
        );
        assert_eq!(container.networks, BTreeSet::from(["back".to_owned(), "front".to_owned()]));
    }

    #[test]
    fn an_empty_answer_is_a_stopped_container() {
        let container = container(json!({}));
        assert_eq!(container, Container::default());
        assert_eq!(container.activity, Activity::Stopped);
    }

    #[test]
    fn a_container_is_what_its_processes_do() {
        for (state, expected) in [
            (json!({ "Running": true, "Paused": true, "Pid": 5 }), Activity::Paused),
            (json!({ "Running": true, "Restarting": true, "Pid": 0 }), Activity::Stopped),
            (json!({ "Status": "exited", "Pid": 0 }), Activity::Stopped),
            (json!({ "Running": true, "Pid": 5 }), Activity::Running),
        ] {
            assert_eq!(container(json!({ "State": state })).activity, expected, "{state}");
        }
    }

    #[test]
    fn a_health_check_bears_the_time_between_its_failures_in_a_row() {
        let second = 1_000_000_000_i64;
        let health = |test: &[&str], interval: i64, retries: i64| {
            let mut check = json!({ "Interval": interval, "Timeout": second, "Retries": retries });
            check["Test"] = json!(test);
            check
        };
        for (check, streak, expected) in [
            (json!({ "Test": ["CMD", "true"] }), 0, Some(60)),
            (health(&["CMD-SHELL", "x"], 2 * second, 4), 0, Some(6)),
            (health(&["CMD-SHELL", "x"], 2 * second, 4), 1, Some(4)),
            (health(&["CMD-SHELL", "x"], 2 * second, 4), 9, Some(2)),
            (health(&["CMD", "true"], second, 1), 0, Some(1)),
            (health(&["NONE"], second, 1), 0, None),
            (health(&[], second, 1), 0, None),
            (json!({}), 0, None),
        ] {
            let state = json!({ "Health": { "FailingStreak": streak } });
            let answer = json!({ "State": state, "Config": { "Healthcheck": check } });
            assert_eq!(
                container(answer).watch.health,
                expected.map(Duration::from_secs),
                "{check}"
            );
        }
        let labels = json!({ "stillpoint.lease": "4s" });
        assert_eq!(labelled("a", &labels).watch.lease.as_deref(), Some("4s"));
    }

    #[test]
    fn our_own_label_wins_over_the_project() {
        let project = "com.docker.compose.project";
        assert_eq!(labelled("a", &json!({ project: "shop" })).application(), Some("shop"));
        let both = json!({ project: "shop", "stillpoint.app": "all" });
        assert_eq!(labelled("a", &both).application(), Some("all"));
        let empty = json!({ project: "shop", "stillpoint.app": "" });
        assert_eq!(labelled("a", &empty).application(), Some("shop"));
        assert_eq!(labelled("a", &json!({})).application(), None);
    }

    #[test]
    fn member_names_are_short_where_they_can_be() {
        let compose = |name: &str, number: &str| {
            labelled(name, &json!({ SERVICE_LABEL: "db", NUMBER_LABEL: number }))
        };
        let plain = |name: &str| labelled(name, &json!({}));
        assert_eq!(
            member_names(&[compose("shop-db-1", "1"), compose("shop-db-2", "2"), plain("x")]),
            ["db-1", "db-2", "x"]
        );
        assert_eq!(
            member_names(&[compose("shop-db-1", "1"), compose("shop-db-run-1", "1")]),
            ["shop-db-1", "shop-db-run-1"]
        );
        assert_eq!(member_names(&[labelled("x", &json!({ SERVICE_LABEL: "db" }))]), ["db"]);
    }
}
