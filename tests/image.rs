//! The service in a container, as deploy/compose.yaml runs it.
//!
//! The image is made of the part of its recipe that runs, and of this build's program. The engine of the lab
//! may not raise limits, has no network, and its mounts are private: of the compose file that is left out.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::containers::{BUSYBOX, Container, belongs_to, bind, docker, unique, wait_for_growth};
use tests::directory::{Directory, run};
use tests::lab;
use tests::world::program;

/// An image; dropping it removes it.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn build(arguments: &[&str], context: &Path) -> Image {
    let name = unique("image");
    let mut command = Command::new("docker");
    command.env("DOCKER_BUILDKIT", "0").args(["build", "--quiet", "--tag", &name]);
    run(command.args(arguments).arg(context));
    Image(name)
}

/// The image, with the program of this build.
fn image(directory: &Path) -> (Image, Image) {
    let deploy = root().join("deploy");
    let recipe = deploy.join("Containerfile").display().to_string();
    let base = ["--build-arg=BASE_IMAGE=lab/debian:12", "--target=base", "--file", &recipe];
    let base = build(&base, &deploy);
    let context = directory.join("context");
    fs::create_dir(&context).unwrap();
    let stripped = context.join("stillpoint");
    run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&stripped).arg(program()));
    let text = format!("FROM {}\nCOPY stillpoint /usr/bin/stillpoint\n", base.0);
    fs::write(context.join("Dockerfile"), text).unwrap();
    let whole = build(&[], &context);
    (base, whole)
}

/// What the compose file says of how the container is run, with the host's directories inside this one.
fn options(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let service = file["services"]["stillpoint"].as_object().unwrap();
    let mut options = Vec::new();
    for (key, value) in service {
        let flag = match key.as_str() {
            "pid" | "uts" | "cap_add" | "cap_drop" | "security_opt" => key.replace('_', "-"),
            "cgroup" => "cgroupns".to_owned(),
            "userns_mode" => "userns".to_owned(),
            "volumes" => "volume".to_owned(),
            "build" | "image" | "network_mode" | "restart" | "stop_grace_period" | "ulimits" => {
                continue;
            }
            "labels" => {
                let labels = value.as_object().unwrap().iter();
                options
                    .extend(labels.map(|(name, value)| {
                        format!("--label={name}={}", value.as_str().unwrap())
                    }));
                continue;
            }
            other => panic!("the compose file has `{other}`, which nobody tries"),
        };
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            let value = value.as_str().unwrap();
            if value == "SYS_RESOURCE" {
                continue;
            }
            let value = if flag == "volume" { mount(directory, value) } else { value.to_owned() };
            options.push(format!("--{flag}={value}"));
        }
    }
    options
}

fn mount(directory: &Path, mount: &str) -> String {
    let mut parts = mount.split(':');
    let (source, target) = (parts.next().unwrap(), parts.next().unwrap());
    let source = match source {
        "/var/run/docker.sock" => lab::docker().strip_prefix("unix://").unwrap().to_owned(),
        "/sys/fs/cgroup" | "/etc/localtime" => source.to_owned(),
        own => {
            let own = directory.join(own.trim_start_matches('/'));
            fs::create_dir_all(&own).unwrap();
            own.display().to_string()
        }
    };
    let access = parts.next().filter(|it| *it == "ro").map(|_| ":ro").unwrap_or_default();
    format!("{source}:{target}{access}")
}

#[test]
fn the_service_runs_in_a_container_and_backs_up_others() {
    let directory = Directory::new();
    let (_base, image) = image(directory.path());
    let options = options(directory.path());
    let volumes = Directory::inside(&lab::btrfs());
    let volume = volumes.volume("data");
    let name = unique("shop");
    let script = "while true; do date >> /data/log; sleep 0.1; done";
    let words =
        [belongs_to(&name), bind(&volume, "/data"), BUSYBOX.into(), "sh".into(), "-c".into()];
    let application = Container::run(&name, words.iter().map(String::as_str).chain([script]));

    let config = "[repositories.main]\nurl = \"/srv/backup\"\nkey_file = \"/etc/stillpoint/key\"\n\
        [policies.nightly]\nschedules = ['daily \"02:00\"']\nzone = \"Europe/Berlin\"\n";
    let etc = directory.join("etc/stillpoint");
    fs::write(etc.join("config.toml"), config).unwrap();
    let here = format!("--volume={0}:{0}", volumes.path().display());
    let keys = format!("--volume={}:/keys", etc.display());
    let init = ["init", "--no-recovery-key", "--new-key-file", "/keys/key"];
    docker(
        ["run", "--rm"]
            .into_iter()
            .chain(options.iter().map(String::as_str))
            .chain([&*keys, &*image.0])
            .chain(init),
    );
    let service = unique("stillpoint");
    let all = options.iter().map(String::as_str).chain([&*here, &*image.0]);
    let service = Container::run(&service, all);
    let stillpoint =
        |words: &[&str]| docker(["exec", service.name(), "stillpoint"].iter().chain(words));
    service.wait_for("stillpoint runs");
    let report: Value = serde_json::from_str(&stillpoint(&["backup", &name, "--json"])).unwrap();
    assert_eq!(report["level"], "crash", "{report}");
    assert_eq!(report["volumes"][0]["driver"], "btrfs", "{report}");
    let runs: Value = serde_json::from_str(&stillpoint(&["runs", "--json"])).unwrap();
    assert!(runs.to_string().contains("succeeded"), "the service made it: {runs}");
    stillpoint(&["restore", "latest", "--to", "/srv/restored"]);
    let checked = stillpoint(&["check", "--read-data", "--json"]);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["findings"], serde_json::json!([]), "{checked}");
    let find = run(Command::new("find").arg(directory.join("srv/restored")).args(["-name", "log"]));
    assert!(!find.is_empty());
    // Neither the container of the service, nor what its thaw needs, is ever frozen.
    wait_for_growth(&volume.join("log"), Duration::from_secs(10));
    assert!(!application.freezer().is_frozen());
    // What a container has from elsewhere is something else in this one.
    let elsewhere = unique("elsewhere");
    let words = [
        belongs_to(&elsewhere),
        bind(Path::new("/etc"), "/data"),
        BUSYBOX.into(),
        "sleep".into(),
        "999".into(),
    ];
    let _elsewhere = Container::run(&elsewhere, words);
    let apps: Value = serde_json::from_str(&stillpoint(&["apps", "--json"])).unwrap();
    let found =
        apps.as_array().unwrap().iter().find(|app| app["name"] == elsewhere.as_str()).unwrap();
    assert!(found["missing"].to_string().contains("is not mounted"), "{found}");
    let refused = Command::new("docker")
        .args(["exec", service.name(), "stillpoint", "backup", service.name()])
        .output()
        .unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    let begun = std::time::Instant::now();
    docker(["stop", "--time", "60", service.name()]);
    assert!(begun.elapsed() < Duration::from_secs(30), "SIGTERM ends it");
    let code = docker(["inspect", "--format", "{{.State.ExitCode}}", service.name()]);
    assert_eq!(code.trim(), "0");
}
