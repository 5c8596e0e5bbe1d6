//! A command in a container, as the engine's `exec` runs it.

use std::pin::Pin;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use futures::{Stream, StreamExt as _};
use rustix::process::{Pid, Signal, getpgid, kill_process_group};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::engine::Engine;
use crate::cgroup::{Memberships, of_container};
use crate::error::PlatformError;
use crate::session::{Command, Session, Written};

/// A command in a container.
pub(super) struct ContainerSession {
    engine: Engine,
    container: String,
    exec: String,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    /// The process group on this host that was sent a signal.
    group: Option<Pid>,
}

impl ContainerSession {
    /// Starts a command in the container of this id.
    pub(super) async fn start(
        engine: &Engine,
        container: &str,
        command: &Command,
    ) -> Result<Self, PlatformError> {
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.words.clone()),
            user: command.user.clone(),
            ..CreateExecOptions::default()
        };
        let refused = |error| engine.refusal("run a command in a container", error);
        let created = engine.client.create_exec(container, options).await.map_err(refused)?;
        let started = engine.client.start_exec(&created.id, None).await.map_err(refused)?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(refused(Error::UnsupportedURISchemeError { uri: created.id }));
        };
        let (engine, container) = (engine.clone(), container.to_owned());
        Ok(Self { engine, container, exec: created.id, input, output, group: None })
    }

    async fn state(&mut self) -> Result<ExecInspectResponse, PlatformError> {
        let state = self.engine.client.inspect_exec(&self.exec).await;
        state.map_err(|error| self.engine.refusal("look at a command", error))
    }
}

#[async_trait]
impl Session for ContainerSession {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), PlatformError> {
        let written = async {
            self.input.write_all(bytes).await?;
            self.input.flush().await
        };
        written.await.map_err(|error| self.engine.refusal("write to a command", error.into()))
    }

    async fn close(&mut self) -> Result<(), PlatformError> {
        let closed = self.input.shutdown().await;
        closed.map_err(|error| self.engine.refusal("end the input of a command", error.into()))
    }

    async fn read(&mut self) -> Result<Option<Written>, PlatformError> {
        let read = self.output.next().await.transpose();
        let read = read.map_err(|error| self.engine.refusal("read from a command", error))?;
        Ok(read.map(|read| match read {
            LogOutput::StdErr { message } => Written::Error(message),
            other => Written::Output(other.into_bytes()),
        }))
    }

    async fn status(&mut self) -> Result<Option<i64>, PlatformError> {
        let state = self.state().await?;
        Ok(state.exit_code.filter(|_| state.running != Some(true)))
    }

    // The engine has no call for it, but it runs on this host.
    async fn signal(&mut self, signal: Signal) -> Result<(), PlatformError> {
        if self.group.is_none() {
            let state = self.state().await?;
            let pid = state.pid.filter(|_| state.running == Some(true));
            let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
            let pid = pid.filter(|pid| is_inside(*pid, &self.container));
            // It leads a group of its own, which may outlive it.
            self.group = pid.filter(|pid| getpgid(Some(*pid)).is_ok_and(|group| group == *pid));
        }
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
        Ok(())
    }
}

// Its number may be another's by now.
fn is_inside(pid: Pid, container: &str) -> bool {
    let Ok(number) = u32::try_from(pid.as_raw_nonzero().get()) else { return false };
    let Ok(Some(theirs)) = Memberships::of(number) else { return false };
    let cgroups = [theirs.unified, theirs.freezer];
    cgroups.iter().flatten().any(|cgroup| of_container(cgroup, container).is_some())
}
