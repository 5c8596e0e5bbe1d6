//! One number goes round a ring of processes and rises by one each time; each process writes it
//! into a volume of its own before it passes it on.
//!
//! So at every instant the volumes obey: no one is ahead of the one before it, and the last is at
//! most one behind the first. Volumes that were not copied at one instant break that at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;
use serde::Serialize;
use thiserror::Error;

/// The file in each volume: one number a line, from 1 on.
const LOG: &str = "log";
/// A short rest each round, so that a demonstration does not take a whole machine.
const REST: Duration = Duration::from_micros(100);

/// Volumes that agree.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Agreement {
    /// The last number of each volume, in the order of the ring.
    pub last: Vec<u64>,
}

/// Volumes that do not agree.
#[derive(Debug, Error)]
pub enum Disagreement {
    /// A volume is ahead of the one before it, or the last too far behind the first.
    #[error("the last numbers are {last:?}")]
    Order {
        /// The last number of each volume, in the order of the ring.
        last: Vec<u64>,
    },
    /// The numbers of a volume are not 1, 2, 3 and so on.
    #[error("`{}` has a gap, or a number twice, after {after}", volume.display())]
    Gap {
        /// Which volume.
        volume: PathBuf,
        /// The last number that was right.
        after: u64,
    },
    /// A volume cannot be read.
    #[error("cannot read `{}`", volume.display())]
    Unreadable {
        /// Which volume.
        volume: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Agreement {
    /// The last number of the first volume.
    pub fn first(&self) -> u64 {
        self.last.first().copied().unwrap_or(0)
    }
}

/// Whether the volumes, in the order of the ring, were all copied at one instant.
pub fn check(volumes: &[PathBuf]) -> Result<Agreement, Disagreement> {
    let last = volumes.iter().map(|volume| read_volume(volume)).collect::<Result<Vec<_>, _>>()?;
    let ordered = last.windows(2).all(|pair| matches!(pair, [before, after] if before >= after));
    let near =
        last.first().zip(last.last()).is_none_or(|(first, last)| first - last.min(first) <= 1);
    if ordered && near { Ok(Agreement { last }) } else { Err(Disagreement::Order { last }) }
}

/// The last number in a volume; 0 before the first.
pub fn last_number(volume: &Path) -> io::Result<u64> {
    let text = match fs::read(volume.join(LOG)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        text => text?,
    };
    Ok(numbers(&text).last().flatten().unwrap_or(0))
}

/// Makes the pipes of a ring.
pub fn make_pipes(directory: &Path, processes: usize) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for index in 0..processes {
        let pipe = directory.join(index.to_string());
        match fs::remove_file(&pipe) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?,
        }
    }
    Ok(())
}

/// Is process `index` of `processes` until it is killed, at the latest when its parent dies.
pub fn write(index: usize, processes: usize, pipes: &Path, volume: &Path) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let next = (index + 1) % processes.max(1);
    let open = |index: usize| {
        // For reading and writing, so that nobody waits for anybody to open the other end.
        OpenOptions::new().read(true).write(true).open(pipes.join(index.to_string()))
    };
    let (mut incoming, mut outgoing) = (open(index)?, open(next)?);
    let mut log = OpenOptions::new().create(true).append(true).open(volume.join(LOG))?;
    let mut last = last_number(volume)?;
    let mut pass_on = |number: u64| {
        // Behind the last process a new round begins.
        outgoing.write_all(&if next == 0 { number + 1 } else { number }.to_le_bytes())
    };
    if index == 0 {
        pass_on(last)?; // after a restore the others catch up with the first
    }
    loop {
        let number = receive(&mut incoming)?;
        if number > last {
            writeln!(log, "{number}")?;
            last = number;
        }
        pass_on(number)?;
        if index == 0 {
            std::thread::sleep(REST);
        }
    }
}

fn receive(pipe: &mut File) -> io::Result<u64> {
    let mut number = [0; 8];
    pipe.read_exact(&mut number)?;
    Ok(u64::from_le_bytes(number))
}

fn read_volume(volume: &Path) -> Result<u64, Disagreement> {
    let text = fs::read(volume.join(LOG))
        .map_err(|source| Disagreement::Unreadable { volume: volume.to_owned(), source })?;
    let mut last = 0;
    for number in numbers(&text) {
        if number != Some(last + 1) {
            return Err(Disagreement::Gap { volume: volume.to_owned(), after: last });
        }
        last += 1;
    }
    Ok(last)
}

// A torn last line is no number yet: it was being written at the instant of the copy.
fn numbers(text: &[u8]) -> impl Iterator<Item = Option<u64>> {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(|line| std::str::from_utf8(line).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_logs(logs: &[&str]) -> Result<Agreement, Disagreement> {
        let folder = tempfile::tempdir().unwrap();
        let volumes: Vec<_> = (0..logs.len()).map(|i| folder.path().join(i.to_string())).collect();
        for (volume, log) in volumes.iter().zip(logs) {
            fs::create_dir(volume).unwrap();
            fs::write(volume.join(LOG), log).unwrap();
        }
        check(&volumes)
    }

    #[test]
    fn volumes_of_one_instant_agree() {
        assert_eq!(check_logs(&["1\n2\n3\n", "1\n2\n", "1\n2\n"]).unwrap().last, [3, 2, 2]);
        assert_eq!(check_logs(&["1\n2\n", "1\n2\n", "1\n2"]).unwrap().last, [2, 2, 1]);
        assert_eq!(check_logs(&["", ""]).unwrap().last, [0, 0]);
    }

    #[test]
    fn volumes_of_different_instants_do_not() {
        for logs in [["1\n", "1\n2\n"], ["1\n2\n3\n", "1\n"]] {
            assert!(matches!(check_logs(&logs), Err(Disagreement::Order { .. })), "{logs:?}");
        }
        for logs in [["1\n3\n", "1\n"], ["1\n1\n", "1\n"], ["x\n", ""]] {
            assert!(matches!(check_logs(&logs), Err(Disagreement::Gap { .. })), "{logs:?}");
        }
    }
}
