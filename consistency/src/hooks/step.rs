//! One command, run to its end within its time.

use std::time::Duration;

use platform::Platform;
use platform::session::{Command, Session, Written};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::HookFailure;

/// The last line of what a command writes, however much that is.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    line: Vec<u8>,
    ended: bool,
    answered: bool,
}

impl LastLine {
    pub(super) fn add(&mut self, written: &Written) {
        let bytes = match written {
            Written::Output(bytes) => {
                self.answered |= bytes.contains(&b'\n');
                bytes
            }
            Written::Error(bytes) => bytes,
        };
        for byte in bytes {
            if self.ended && *byte != b'\n' {
                self.line.clear();
                self.ended = false;
            }
            match byte {
                b'\n' => self.ended = true,
                byte if self.line.len() < LINE_BYTES_MAX => self.line.push(*byte),
                _ => {}
            }
        }
    }

    /// Whether a whole line came, and not as an error.
    pub(super) fn has_answered(&self) -> bool {
        self.answered
    }

    /// As text that can be printed anywhere.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.line);
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// Runs a command, with nothing to read, and waits for its end.
pub(super) async fn run(
    platform: &dyn Platform,
    container: &str,
    command: &Command,
    timeout: Duration,
) -> Result<(), HookFailure> {
    let mut said = LastLine::default();
    // Not given up half-way: nobody would know what to end.
    let mut session = platform.command(container, command).await?;
    let ended = timeout_at(Instant::now() + timeout, async {
        session.close().await?;
        end(session.as_mut(), &mut said).await
    });
    if let Ok(ended) = ended.await {
        return ended;
    }
    session.kill().await?;
    Err(HookFailure::Slow { timeout, said: said.text() })
}

/// Waits until a command has ended, with status 0.
pub(super) async fn end(session: &mut dyn Session, said: &mut LastLine) -> Result<(), HookFailure> {
    while let Some(written) = session.read().await? {
        said.add(&written);
    }
    loop {
        match session.status().await? {
            Some(0) => return Ok(()),
            Some(status) => return Err(HookFailure::Status { status, said: said.text() }),
            // It has closed its output, and is about to end; or goes on without it.
            None => sleep(STATUS_PAUSE).await,
        }
    }
}

const LINE_BYTES_MAX: usize = 200;
const STATUS_PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_kept_and_cut_off() {
        let mut said = LastLine::default();
        let output = |text: &'static str| Written::Output(text.into());
        said.add(&Written::Error("one\ntw".into()));
        assert_eq!((said.text().as_str(), said.has_answered()), ("tw", false));
        said.add(&output("o"));
        assert!(!said.has_answered());
        said.add(&output("\x1b[\n\n"));
        assert_eq!((said.text().as_str(), said.has_answered()), ("two [", true));
        said.add(&Written::Output(vec![b'x'; 1000].into()));
        assert_eq!(said.text().len(), LINE_BYTES_MAX);
    }
}
