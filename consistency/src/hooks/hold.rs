//! A command that holds something from before the freeze until after the thaw.
//!
//! It says that it holds by writing a line to its output, and is told to let go by the end of its
//! input, which it also sees when we die.

use std::sync::Arc;
use std::time::Duration;

use platform::Platform;
use platform::session::Session;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::declared::Hook;
use super::error::HookFailure;
use super::step::{self, LastLine};

/// For how long a hook may hold, the freeze included.
pub(super) const HOLD_MAX: Duration = Duration::from_mins(1);

/// Something is held. Dropping this lets it go, and does not wait.
#[derive(Debug)]
pub(super) struct Hold {
    release: oneshot::Sender<()>,
    ended: JoinSet<Result<(), HookFailure>>,
}

impl Hold {
    /// Starts the command, and waits until it holds.
    pub(super) async fn begin(
        platform: &Arc<dyn Platform>,
        container: &str,
        hook: &Hook,
    ) -> Result<Self, HookFailure> {
        let limit = hook.timeout;
        let until = Instant::now() + limit;
        let mut said = LastLine::default();
        let slow = |said: &LastLine| HookFailure::Slow { timeout: limit, said: said.text() };
        let started = timeout_at(until, platform.command(container, &hook.command)).await;
        let mut session = started.map_err(|_| slow(&said))??;
        let Ok(held) = timeout_at(until, first_line(session.as_mut(), &mut said)).await else {
            session.kill().await?;
            return Err(slow(&said));
        };
        held?;
        let (release, released) = oneshot::channel();
        let mut ended = JoinSet::new();
        ended.spawn(keep(session, said, released, limit));
        Ok(Self { release, ended })
    }

    /// Has it let go; whether it held until now.
    pub(super) async fn release(mut self) -> Result<(), HookFailure> {
        // Whoever does not listen has ended.
        let _ = self.release.send(());
        match self.ended.join_next().await {
            Some(Ok(ended)) => ended,
            _ => Err(HookFailure::Died { said: String::new() }),
        }
    }
}

async fn first_line(session: &mut dyn Session, said: &mut LastLine) -> Result<(), HookFailure> {
    while !said.has_answered() {
        let Some(written) = session.read().await? else {
            step::end(session, said).await?;
            return Err(HookFailure::Died { said: said.text() });
        };
        said.add(&written);
    }
    Ok(())
}

// Until it is released, or has held for too long, or is gone.
async fn keep(
    mut session: Box<dyn Session>,
    mut said: LastLine,
    mut released: oneshot::Receiver<()>,
    limit: Duration,
) -> Result<(), HookFailure> {
    let until = Instant::now() + HOLD_MAX;
    let mut kept = Ok(());
    loop {
        tokio::select! {
            // Also when nobody can release it any more.
            _ = &mut released => break,
            () = sleep_until(until) => {
                kept = Err(HookFailure::LetGo { limit: HOLD_MAX });
                break;
            }
            read = session.read() => match read? {
                Some(written) => said.add(&written),
                None => return Err(HookFailure::Died { said: said.text() }),
            },
        }
    }
    if session.status().await?.is_some() {
        return Err(HookFailure::Died { said: said.text() });
    }
    session.close().await?;
    if let Ok(ended) = timeout(limit, step::end(session.as_mut(), &mut said)).await {
        return kept.and(ended);
    }
    session.kill().await?;
    Err(HookFailure::Slow { timeout: limit, said: said.text() })
}
