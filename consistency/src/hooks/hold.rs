//! A command that holds something from before the freeze until after the thaw.
//!
//! It says that it holds by writing a line to its output, and is told to let go by the end of its
//! input, which it also sees when we die. Before both it may read orders.

use std::sync::Arc;
use std::time::Duration;

use platform::Platform;
use platform::session::Session;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::declared::Hook;
use super::error::HookFailure;
use super::step::{self, LastLine};

/// For how long hooks may hold, the first of them and the freeze included.
pub(super) const HOLD_MAX: Duration = Duration::from_mins(1);

/// Something is held. Dropping this lets it go, and does not wait.
#[derive(Debug)]
pub(super) struct Hold {
    release: oneshot::Sender<()>,
    ended: JoinSet<Result<(), HookFailure>>,
}

impl Hold {
    /// Starts the command, and waits until it holds. It is let go at `until` in any case.
    pub(super) async fn begin(
        platform: &Arc<dyn Platform>,
        container: &str,
        hook: &Hook,
        until: Instant,
    ) -> Result<Self, HookFailure> {
        let (mut said, timeout) = (LastLine::default(), hook.timeout);
        let mut session = platform.command(container, &hook.command).await?;
        let begun = timeout_at((Instant::now() + timeout).min(until), async {
            session.write(hook.orders.hold.as_bytes()).await?;
            first_line(session.as_mut(), &mut said).await?;
            // One that could not be started says so on its output, too.
            match session.status().await? {
                None => Ok(()),
                Some(0) => Err(HookFailure::Died { said: said.text() }),
                Some(status) => Err(HookFailure::Status { status, said: said.text() }),
            }
        });
        let Ok(begun) = begun.await else {
            session.kill().await?;
            return Err(HookFailure::Slow { timeout, said: said.text() });
        };
        begun?;
        let (release, released) = oneshot::channel();
        let mut ended = JoinSet::new();
        let last = Last { order: hook.orders.release, timeout, until };
        ended.spawn(keep(session, said, released, last));
        Ok(Self { release, ended })
    }

    /// How it was lost, if it was.
    pub(super) fn lost(&mut self) -> Option<HookFailure> {
        self.ended.try_join_next().map(failure)
    }

    /// Has it let go; whether it held until now.
    pub(super) async fn release(mut self) -> Result<(), HookFailure> {
        // Whoever does not listen has ended.
        let _ = self.release.send(());
        match self.ended.join_next().await {
            Some(Ok(Ok(()))) => Ok(()),
            Some(ended) => Err(failure(ended)),
            None => Err(HookFailure::Died { said: String::new() }),
        }
    }
}

fn failure(ended: Result<Result<(), HookFailure>, JoinError>) -> HookFailure {
    match ended {
        Ok(Err(failure)) => failure,
        _ => HookFailure::Died { said: String::new() },
    }
}

/// How it ends.
struct Last {
    order: &'static str,
    timeout: Duration,
    until: Instant,
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
    Last { order, timeout, until }: Last,
) -> Result<(), HookFailure> {
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
    let ended = timeout_at(Instant::now() + timeout, async {
        session.write(order.as_bytes()).await?;
        session.close().await?;
        step::end(session.as_mut(), &mut said).await
    });
    if let Ok(ended) = ended.await {
        return kept.and(ended);
    }
    session.kill().await?;
    Err(HookFailure::Slow { timeout, said: said.text() })
}
