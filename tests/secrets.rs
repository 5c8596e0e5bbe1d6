//! No secret is printed, logged, stored in the clear, or left in a core dump.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _};
use hkdf::Hkdf;
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;
use sha2::Sha256;
use tests::world::{PASSPHRASE, World};

const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(20);
/// What is in a file that is backed up.
const CONTENT: &str = "canary-2b91-content-of-a-file";
/// What that file is called.
const FILE_NAME: &str = "canary-94d0-name-of-a-file";
/// What is in the definition of an application.
const DEFINITION: &str = "canary-c6e7-part-of-a-definition";
const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Something secret, in one of the forms that it could leak in.
struct Canary {
    what: &'static str,
    bytes: Vec<u8>,
}

#[test]
fn no_secret_is_printed_logged_or_stored_in_the_clear() {
    let mut world = World::empty();
    for name in ["RUST_LOG", "STILLPOINT_LOG"] {
        world.set(name, "trace");
    }
    let made = world.json(["init"]);
    let recovery = made["recovery_key"].as_str().unwrap().to_owned();
    let told = PathBuf::from("stdout-0");
    world.stillpoint(["key", "add", "--new-key-file", "key"]).succeeded();
    let application = Application::start(&world);
    use_everything(&world);
    fail_in_every_way(&mut world, &recovery);
    drop(application);

    let mut canaries = key_canaries(&world, &recovery);
    for (what, text) in [("content", CONTENT), ("definition", DEFINITION)] {
        canaries.push(Canary { what, bytes: text.into() });
    }
    let kept = ["stdout-", "stderr-", "state", "repository"];
    let entries = fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files = Vec::new();
    for name in entries.map(|name| name.into_string().unwrap()) {
        if kept.iter().any(|kept| name.starts_with(kept)) {
            files_below(&world.path(&name), &mut files);
        }
    }
    assert!(files.len() > 60, "only {} files were looked at", files.len());
    let mut seen = false;
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for canary in &canaries {
            let found = contains(&bytes, &canary.bytes);
            let deliberate = canary.what == "recovery key as printed" && file.ends_with(&told);
            assert!(!found || deliberate, "{} in {}", canary.what, file.display());
            seen |= found;
        }
        // People see the names of their files; whoever holds the repository does not.
        let stored = ["state", "repository"].map(|folder| world.path(folder));
        if stored.iter().any(|folder| file.starts_with(folder)) {
            assert!(!contains(&bytes, FILE_NAME.as_bytes()), "{}", file.display());
        }
    }
    assert!(seen, "the recovery key was not even found where it was printed");
}

#[test]
fn no_core_dump_is_written() {
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, rustix::process::Rlimit { current: limit.maximum, ..limit }).unwrap();
    let mut world = World::new();
    world.unset("STILLPOINT_PASSPHRASE");
    world.set("STILLPOINT_PASSPHRASE_COMMAND", "exec sleep 60");
    world.become_user(NOBODY);
    let running = world.start(["points"]);
    // Where a process may be dumped, its user owns what /proc has of it; where not, root does.
    let begin = Instant::now();
    while owner(running.id()) != 0 {
        assert!(begin.elapsed() < PATIENCE, "the program can be dumped and read");
        sleep(Duration::from_millis(5));
    }
    abort(running.id());
    let output = running.finish();
    assert_eq!(output.code, None, "{output:#?}");
    assert!(!output.dumped, "{output:#?}");

    // Another program of the same user shows that both questions have another answer.
    let mut other = Command::new("sleep");
    let mut other = other.arg("60").current_dir(world.path("")).uid(NOBODY).spawn().unwrap();
    assert_eq!(owner(other.id()), NOBODY);
    abort(other.id());
    let dumped = other.wait().unwrap().core_dumped();
    assert!(dumped || limit.maximum == Some(0), "this system dumps nothing: the test shows little");
}

/// A process with a volume, declared with a secret in its definition.
struct Application(Child);

impl Application {
    fn start(world: &World) -> Self {
        fs::create_dir(world.path("data")).unwrap();
        fs::write(world.path("data").join(FILE_NAME), CONTENT.repeat(50)).unwrap();
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        fs::create_dir(world.path(DEFINITION)).unwrap();
        let pid_file = world.path(DEFINITION).join("pid");
        fs::write(&pid_file, child.id().to_string()).unwrap();
        // Strings of JSON are strings of TOML, too.
        let [data, pid_file] = [world.path("data"), pid_file].map(|p| Value::from(p.to_str()));
        let text = format!(
            "[applications.shop]\nplatform = \"host\"\ndirectories = [{data}]\n\
             processes = [{{ name = \"database\", pid_file = {pid_file} }}]\n"
        );
        fs::write(world.path("config.toml"), text).unwrap();
        Self(child)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn use_everything(world: &World) {
    let report = world.json(["backup", "shop", "--config", "config.toml"]);
    assert_eq!(report["level"], "crash", "{report}");
    // Stretching the passphrase takes a second each time.
    let ways = [&[][..], &["--json", "--key-file", "key"]];
    for (number, json) in ways.into_iter().enumerate() {
        let target = format!("target-{number}");
        for arguments in [
            &["backup", "--path", "data"][..],
            &["points"],
            &["show", "latest", "--app", "shop"],
            &["restore", "latest", "--app", "shop", "--to", &target, "--plan"],
            &["restore", "latest", "--app", "shop", "--to", &target, "-v", "-v"],
            &["check", "--read-data"],
            &["key", "list"],
            &["config", "check", "--config", "config.toml"],
        ] {
            world.stillpoint(arguments.iter().chain(json)).succeeded();
        }
    }
}

fn fail_in_every_way(world: &mut World, recovery: &str) {
    let private = |path: &Path, text: &str| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    };
    let key = fs::read_to_string(world.path("key")).unwrap();
    private(&world.path("damaged"), &key[..70]);
    private(&world.path("twice"), &key.repeat(2));
    private(&world.path("passphrase"), PASSPHRASE);
    fs::write(world.path("exposed"), &key).unwrap();
    let swapped: String = recovery.chars().rev().collect();
    for json in [&[][..], &["--json"]] {
        for file in ["damaged", "twice", "passphrase", "exposed"] {
            let arguments = ["points", "--key-file", file];
            world.stillpoint(arguments.iter().chain(json)).ended(1);
        }
        for (passphrase, verb, code) in [
            (key.as_str(), &["points"][..], 12),
            (recovery, &["key", "list"], 12),
            ("", &["backup", "--path", "data"], 1),
        ] {
            world.set("STILLPOINT_PASSPHRASE", passphrase);
            world.stillpoint(verb.iter().chain(json)).ended(code);
        }
        world.set("STILLPOINT_PASSPHRASE", PASSPHRASE);
        for typed in [swapped.as_str(), &recovery[1..], PASSPHRASE, &key] {
            world.set("STILLPOINT_RECOVERY_KEY", typed);
            world.stillpoint(["points"].iter().chain(json)).ended(1);
        }
        world.unset("STILLPOINT_RECOVERY_KEY");
        for arguments in [
            &["init"][..],
            &["key", "remove", "0000"],
            &["key", "add", "--new-key-file", "key"],
            &["key", "add", "--passphrase-file", "no-such-file"],
            &["restore", "latest", "--app", "shop", "--to", "data"],
            &["show", "no-such-point"],
        ] {
            let key = ["--key-file", "key"].iter();
            world.stillpoint(arguments.iter().chain(key).chain(json)).ended(1);
        }
    }
}

fn key_canaries(world: &World, recovery: &str) -> Vec<Canary> {
    let text = fs::read_to_string(world.path("key")).unwrap();
    let file = from_hex(text.split(' ').nth(1).unwrap());
    let root = root_key(world, &file);
    let plain = recovery.replace('-', "");
    let mut canaries = vec![
        Canary { what: "passphrase", bytes: PASSPHRASE.into() },
        Canary { what: "recovery key as printed", bytes: recovery.into() },
        Canary { what: "recovery key without dashes", bytes: plain.clone().into() },
        Canary { what: "recovery key in lower case", bytes: plain.to_lowercase().into() },
    ];
    let binary = [
        ("passphrase", PASSPHRASE.as_bytes().to_vec()),
        ("key file", file),
        ("recovery key", recovery_bytes(&plain)),
        ("root key", root),
    ];
    for (what, bytes) in binary {
        let hex = joined(bytes.iter().map(|byte| format!("{byte:02x}")));
        // As `Debug` prints bytes.
        let list = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        for form in [hex.to_uppercase().into(), hex.into(), list.into(), bytes] {
            canaries.push(Canary { what, bytes: form });
        }
    }
    canaries
}

/// The root key, as docs/format.md#key-slots tells a stranger to find it.
fn root_key(world: &World, file: &[u8]) -> Vec<u8> {
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let folder = world.repository();
    let hex = |value: &Value| from_hex(value.as_str().unwrap());
    let repository = hex(&read(&folder.join("config"))["repository"]);
    let mut slots = Vec::new();
    files_below(&folder.join("key"), &mut slots);
    let slot = slots.iter().map(|path| read(path)).find(|slot| slot["kind"] == "key-file").unwrap();
    let tree = Hkdf::<Sha256>::new(Some(&hex(&slot["salt"])), file);
    let (mut key, mut commitment) = ([0; 32], [0; 32]);
    tree.expand(b"stillpoint slot key", &mut key).unwrap();
    tree.expand(b"stillpoint slot commitment", &mut commitment).unwrap();
    assert_eq!(hex(&slot["commitment"]), commitment);
    let mut binding = b"stillpoint slot".to_vec();
    binding.extend(repository);
    binding.extend(hex(&slot["slot"]));
    for field in ["kind", "algorithm", "label", "created"] {
        let text = slot[field].as_str().unwrap();
        binding.extend((text.len() as u64).to_le_bytes());
        binding.extend(text.as_bytes());
    }
    let mut wrapped = hex(&slot["wrapped"]);
    let tag: [u8; 16] = wrapped.split_off(32).try_into().unwrap();
    Aes256Gcm::new(&key.into())
        .decrypt_inout_detached(
            &[0; 12].into(),
            &binding,
            wrapped.as_mut_slice().into(),
            &tag.into(),
        )
        .unwrap();
    wrapped
}

/// The bits of a recovery key, without its checks.
fn recovery_bytes(plain: &str) -> Vec<u8> {
    let symbols = plain.char_indices().filter(|(at, _)| at % 5 != 4);
    let bits = joined(symbols.map(|(_, c)| format!("{:05b}", ALPHABET.find(c).unwrap())));
    let bytes = bits.as_bytes().chunks(8).map(|eight| std::str::from_utf8(eight).unwrap());
    bytes.map(|eight| u8::from_str_radix(eight, 2).unwrap()).collect()
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().concat()
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn files_below(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.for_each(|entry| files_below(&entry, files));
    } else {
        files.push(path.to_owned());
    }
}

fn contains(bytes: &[u8], canary: &[u8]) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary)
}

fn owner(process: u32) -> u32 {
    fs::metadata(format!("/proc/{process}/environ")).unwrap().uid()
}

fn abort(process: u32) {
    let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
    kill_process(process, Signal::ABORT).unwrap();
}
