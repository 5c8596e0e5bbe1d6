//! A command of this host, beside the declared processes of an application.

use std::io;
use std::process::Stdio;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::PLATFORM;
use crate::error::PlatformError;
use crate::session::{Command, Session, Written};

/// A command of this host, in a process group of its own.
pub(super) struct HostSession {
    child: Child,
    input: Option<ChildStdin>,
    output: mpsc::Receiver<io::Result<Written>>,
    _readers: JoinSet<()>,
}

impl HostSession {
    pub(super) fn start(command: &Command) -> Result<Self, PlatformError> {
        let switch = command.user.iter().flat_map(|user| ["runuser", "-u", user, "--"]);
        let mut words = switch.chain(command.words.iter().map(String::as_str));
        let mut process = tokio::process::Command::new(words.next().unwrap_or_default());
        process.args(words).process_group(0).kill_on_drop(false);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process.spawn().map_err(refusal("run a command"))?;
        let (sender, output) = mpsc::channel(1);
        let mut readers = JoinSet::new();
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            readers.spawn(forward(out, sender.clone(), Written::Output));
            readers.spawn(forward(err, sender, Written::Error));
        }
        Ok(Self { input: child.stdin.take(), child, output, _readers: readers })
    }
}

async fn forward(
    mut pipe: impl AsyncRead + Unpin,
    sender: mpsc::Sender<io::Result<Written>>,
    written: fn(Bytes) -> Written,
) {
    let mut buffer = vec![0; 8 << 10];
    loop {
        let read = match pipe.read(&mut buffer).await {
            Ok(0) => return,
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                Ok(written(Bytes::copy_from_slice(bytes)))
            }
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        if sender.send(read).await.is_err() || failed {
            return;
        }
    }
}

#[async_trait]
impl Session for HostSession {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), PlatformError> {
        let Some(input) = &mut self.input else {
            return Err(refusal("write to a command")(io::ErrorKind::BrokenPipe.into()));
        };
        let written = async {
            input.write_all(bytes).await?;
            input.flush().await
        };
        written.await.map_err(refusal("write to a command"))
    }

    async fn close(&mut self) -> Result<(), PlatformError> {
        self.input = None;
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<Written>, PlatformError> {
        self.output.recv().await.transpose().map_err(refusal("read from a command"))
    }

    async fn status(&mut self) -> Result<Option<i64>, PlatformError> {
        let ended = self.child.try_wait().map_err(refusal("look at a command"))?;
        // One that a signal has ended has no code; shells say 128 and its number.
        Ok(ended.map(|status| {
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            status.code().or(signal.map(|signal| signal.saturating_add(128))).map_or(-1, i64::from)
        }))
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), PlatformError> {
        // Once it was waited for, its number may be another's.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, signal);
        }
        Ok(())
    }
}

fn refusal(action: &str) -> impl FnOnce(io::Error) -> PlatformError {
    let action = action.to_owned();
    move |source| PlatformError::Refused { platform: PLATFORM, action, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> HostSession {
        let words = ["sh", "-c", script].map(str::to_owned).to_vec();
        HostSession::start(&Command { words, user: None }).unwrap()
    }

    async fn all(session: &mut HostSession) -> String {
        let mut text = Vec::new();
        while let Some(Written::Output(part)) = session.read().await.unwrap() {
            text.extend_from_slice(&part);
        }
        String::from_utf8(text).unwrap()
    }

    async fn ended(session: &mut HostSession) -> i64 {
        loop {
            if let Some(status) = session.status().await.unwrap() {
                return status;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_command_is_talked_to_until_its_input_ends() {
        let mut session = shell("read word; echo got $word; cat; exit 3");
        assert_eq!(session.status().await.unwrap(), None);
        session.write(b"one\ntwo").await.unwrap();
        session.close().await.unwrap();
        assert_eq!(all(&mut session).await, "got one\ntwo");
        assert_eq!(ended(&mut session).await, 3);
        assert!(session.write(b"more").await.is_err());
        session.kill().await.unwrap();
    }

    #[tokio::test]
    async fn a_command_is_ended_with_what_it_has_started() {
        let mut session = shell("sleep 600 & echo there; wait");
        assert_eq!(session.read().await.unwrap(), Some(Written::Output("there\n".into())));
        session.kill().await.unwrap();
        assert_eq!(all(&mut session).await, "");
        assert_eq!(ended(&mut session).await, 128 + 15);
    }

    #[tokio::test]
    async fn errors_are_told_from_output() {
        let mut session = shell("echo bad >&2");
        assert_eq!(session.read().await.unwrap(), Some(Written::Error("bad\n".into())));
        assert_eq!(session.read().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_cannot_be_run_is_an_error() {
        let words = vec!["/nowhere/at/all".to_owned()];
        assert!(HostSession::start(&Command { words, user: None }).is_err());
        assert!(HostSession::start(&Command { words: Vec::new(), user: None }).is_err());
    }
}
