//! The sequence application: its volumes show whether they are of one instant.
//!
//! Its containers form a ring and write one rising number, each into a volume of its own and
//! strictly one after the other. So at every instant no volume is ahead of the one before it, the
//! first is at most one ahead of the last, and none has a gap. Now and then each begins a new log,
//! so that a long test does not end up copying long logs.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::containers::{BUSYBOX, Container, belongs_to, bind, unique};
use crate::directory::{Directory, run};

/// Two numbers are in the last bytes of a log, whole lines both.
const LINE_MAX: u64 = 64;

/// A sequence application that runs; dropping it removes its containers and volumes.
#[must_use = "the application ends when this is dropped"]
#[derive(Debug)]
pub struct Sequence {
    name: String,
    // Before the directory: a container must not find its volumes gone.
    members: Vec<Container>,
    directory: Directory,
}

impl Sequence {
    /// Starts one with that many containers and volumes on the filesystem of `parent`, and waits
    /// until it writes.
    pub fn start(members: usize, parent: &Path) -> Self {
        Self::with(members, parent, &[])
    }

    /// The same, with options of `docker run` for each container.
    pub fn with(members: usize, parent: &Path, options: &[&str]) -> Self {
        let directory = Directory::inside(parent);
        let pipes = directory.volume("pipes");
        for index in 0..members {
            run(Command::new("mkfifo").arg(pipes.join(format!("f{index}"))));
        }
        let name = unique("sequence");
        let volumes: Vec<PathBuf> =
            (0..members).map(|index| directory.volume(&format!("volume{index}"))).collect();
        // The first one starts the number, so the others are there before it.
        let start = |(index, volume): (usize, &PathBuf)| {
            let next = (index + 1) % members;
            let script = format!("i={index}; next={next}; {WRITER}");
            let (pipes, volume) = (bind(&pipes, "/pipes"), bind(volume, "/volume"));
            let member = format!("{name}-{index}");
            let label = belongs_to(&name);
            let mounts = [label.as_str(), &pipes, &volume];
            Container::run(&member, [&mounts, options, &[BUSYBOX, "sh", "-c", &script]].concat())
        };
        let mut members: Vec<Container> = volumes.iter().enumerate().rev().map(start).collect();
        members.reverse();
        let sequence = Self { name, members, directory };
        sequence.goes_on(Duration::from_secs(20));
        sequence
    }

    /// The application's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory, on btrfs a subvolume.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its containers in the order of the ring.
    pub fn members(&self) -> &[Container] {
        &self.members
    }

    /// Where its volumes are, in the order of the ring.
    pub fn volumes(&self) -> Vec<PathBuf> {
        self.volumes_at(self.directory.path())
    }

    /// Where its volumes are after a restore to `target`.
    pub fn restored(&self, target: &Path) -> Vec<PathBuf> {
        let below = self.directory.path().strip_prefix("/").expect("an absolute path");
        self.volumes_at(&target.join(below))
    }

    fn volumes_at(&self, directory: &Path) -> Vec<PathBuf> {
        (0..self.members.len()).map(|index| directory.join(format!("volume{index}"))).collect()
    }

    /// The last number of the last volume.
    pub fn progress(&self) -> u64 {
        let log = self.directory.join(&format!("volume{}/log", self.members.len() - 1));
        let read = |log: &mut File| {
            let end = log.seek(SeekFrom::End(0))?;
            log.seek(SeekFrom::Start(end.saturating_sub(LINE_MAX)))?;
            let mut tail = Vec::new();
            log.read_to_end(&mut tail).map(|_| tail)
        };
        let tail = File::open(log).and_then(|mut log| read(&mut log)).unwrap_or_default();
        numbers(&tail).last().copied().unwrap_or(0)
    }

    /// Panics unless the number has gone all round twice within this time.
    #[track_caller]
    pub fn goes_on(&self, within: Duration) {
        let (begin, before) = (Instant::now(), self.progress());
        while self.progress() < before + 2 {
            assert!(begin.elapsed() < within, "{} stands still at {before}", self.name);
            sleep(Duration::from_millis(5));
        }
    }

    /// Whether any of its containers is frozen.
    pub fn is_frozen(&self) -> bool {
        self.members.iter().any(|member| member.freezer().is_frozen())
    }
}

/// The last number of each volume, or why these volumes cannot be of one instant.
pub fn check(volumes: &[PathBuf]) -> Result<Vec<u64>, String> {
    let mut last = Vec::new();
    for volume in volumes {
        let log = volume.join("log");
        let text = fs::read(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let numbers = numbers(&text);
        let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
        if let Some([before, after, ..]) = gap {
            return Err(format!("{}: {after} after {before}", log.display()));
        }
        last.push(numbers.last().copied().unwrap_or(0));
    }
    let rising = last.windows(2).any(|pair| pair[0] < pair[1]);
    let far =
        last.first().zip(last.last()).is_some_and(|(first, last)| first - first.min(last) > 1);
    if rising || far { Err(format!("not of one instant: {last:?}")) } else { Ok(last) }
}

// A last line that is torn is no number yet.
fn numbers(log: &[u8]) -> Vec<u64> {
    let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = String::from_utf8_lossy(&log[..whole]);
    text.lines().map(|line| line.parse().unwrap_or(0)).collect()
}

const WRITER: &str = "
last=$(tail -n 1 /volume/log 2>/dev/null)
last=${last:-0}
exec 3<>/pipes/f$i 4<>/pipes/f$next
pass() { if [ $next = 0 ]; then echo $(($1 + 1)) >&4; else echo $1 >&4; fi; }
[ $i != 0 ] || { echo 1 >&3; }
while read number <&3; do
    if [ $number -gt $last ]; then
        if [ $((number % 20000)) = 0 ]; then
            echo $number >/volume/new
            mv /volume/new /volume/log
        else
            echo $number >>/volume/log
        fi
        last=$number
    fi
    pass $number
done";

#[cfg(test)]
mod tests {
    use super::*;

    fn last_of(logs: &[&str]) -> Result<Vec<u64>, String> {
        let directory = Directory::new();
        let volume = |(index, log): (usize, &&str)| {
            let volume = directory.volume(&index.to_string());
            fs::write(volume.join("log"), log).unwrap();
            volume
        };
        let volumes: Vec<_> = logs.iter().enumerate().map(volume).collect();
        check(&volumes)
    }

    #[test]
    fn volumes_of_one_instant_pass() {
        assert_eq!(last_of(&["1\n2\n", "1\n2\n", "1\n"]), Ok(vec![2, 2, 1]));
        assert_eq!(last_of(&["1\n2", "1\n", ""]), Ok(vec![1, 1, 0]));
    }

    #[test]
    fn volumes_of_several_instants_do_not() {
        for logs in [
            ["1\n", "1\n2\n", "1\n"],
            ["1\n", "1\n", "1\n2\n"],
            ["1\n2\n3\n", "1\n2\n", "1\n"],
            ["1\n3\n", "1\n", "1\n"],
            ["1\n1\n", "1\n", "1\n"],
        ] {
            assert!(last_of(&logs).is_err(), "{logs:?}");
        }
    }
}
