//! The verb that makes good what a backup left behind when it died, and nobody else does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use service::error::ServiceError;
use service::thaw::{MadeGood, Which, settle_hooks, thaw};
use tokio::time::{Instant, sleep};

use super::{Context, runtime_dir};
use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::render;

/// Where the wardens of this user keep their journals.
pub(super) fn journals(arguments: &Arguments) -> PathBuf {
    runtime_dir(arguments).join("freezes")
}

pub(super) async fn run(arguments: Arguments, all: bool) -> Result<Exit, ServiceError> {
    let which = if all { Which::All } else { Which::Abandoned };
    // First, and also with a configuration that makes no sense.
    let mut good = MadeGood::from(thaw(journals(&arguments), which).await);
    let json = arguments.json;
    let context = Context::new(arguments);
    if let Ok(context) = &context {
        good.add(settle_hooks(&context.platforms(), context.state_dir()).await);
    }
    let exit = if good.failures.is_empty() { Exit::Success } else { Exit::Failure };
    // Last: nothing stands between an application and its thaw.
    if let Ok(context) = &context
        && context.arguments.verb.is_deed()
        && let Some(audited) = context.machine()?.audit(context.wanted()).await
    {
        audited.end(exit.code(), None).await;
    }
    render::answer(&good, json);
    context.map(|_| exit)
}

impl Context {
    /// What is owed to an application is done at once, or as soon as it runs again.
    pub(super) async fn settle(&self) {
        let (until, mut told) = (Instant::now() + SETTLE_MAX, BTreeSet::new());
        loop {
            let settled = settle_hooks(&self.platforms(), self.state_dir()).await;
            let news = settled.failures.into_iter().filter(|failure| told.insert(failure.clone()));
            news.for_each(|failure| render::note(&failure));
            if settled.owed.is_empty() {
                return;
            }
            if Instant::now() >= until {
                return settled.owed.iter().for_each(|owed| render::note(owed));
            }
            sleep(SETTLE_PAUSE).await;
        }
    }
}

const SETTLE_MAX: Duration = Duration::from_secs(15);
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
