//! Telling what waits to be told.

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::{Catalog, CatalogError, Event, Happening, NoticeRow, Telling};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use repository::error::chain;
use tokio::time::timeout;

use super::{ChannelConfig, Notice, Occurrence};
use crate::clock::Clock;

/// Tells what is due, each channel beside the others, so that none waits for another that does not answer.
pub(crate) async fn post_due(
    channels: &BTreeMap<String, ChannelConfig>,
    catalog: &Catalog,
    clock: &dyn Clock,
) -> Result<(), CatalogError> {
    let mut due: BTreeMap<String, Vec<NoticeRow>> = BTreeMap::new();
    for row in catalog.notices_due(clock.now(), BATCH).await? {
        due.entry(row.channel.clone()).or_default().push(row);
    }
    let posting = due.iter().map(async |(name, rows)| {
        for row in rows {
            let told = tell(channels.get(name), row).await;
            let now = clock.now();
            let telling = match told {
                Ok(()) => Telling::Told,
                Err(error) => again(row, error, now),
            };
            report(catalog, row, &telling, now).await?;
            catalog.told(row.id, telling, now).await?;
        }
        Ok::<_, CatalogError>(())
    });
    join_all(posting).await.into_iter().collect()
}

async fn tell(channel: Option<&ChannelConfig>, row: &NoticeRow) -> Result<(), String> {
    let channel = channel.ok_or("the configuration has no such channel any more")?;
    let notice: Notice = serde_json::from_str(&row.notice).map_err(|error| error.to_string())?;
    let told = timeout(TELL_MAX, channel.tell(&notice)).await;
    let late = |_| format!("it took longer than {} s", TELL_MAX.as_secs());
    told.map_err(late)?.map_err(|error| chain(&error))
}

fn again(row: &NoticeRow, error: String, now: Timestamp) -> Telling {
    let attempts = usize::try_from(row.attempts).unwrap_or(usize::MAX);
    let pause = PAUSES.get(attempts).or(PAUSES.last()).copied().unwrap_or_default();
    // That a run begins interests nobody later.
    let is_over = begins(row) || now.duration_since(row.moment) > GIVEN_UP_AFTER;
    match now.checked_add(pause) {
        Ok(when) if !is_over => Telling::Again(when),
        _ => Telling::GivenUp(error),
    }
}

fn begins(row: &NoticeRow) -> bool {
    let notice = serde_json::from_str::<Notice>(&row.notice);
    notice.is_ok_and(|notice| notice.kind == Occurrence::RunStarted)
}

async fn report(
    catalog: &Catalog,
    row: &NoticeRow,
    telling: &Telling,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let channel = row.channel.clone();
    match telling {
        Telling::Told => tracing::info!(channel, "somebody was told"),
        Telling::Again(when) => tracing::warn!(channel, %when, "nobody could be told; again later"),
        // The end of the run is told, too.
        Telling::GivenUp(_) if begins(row) => {}
        Telling::GivenUp(error) => {
            tracing::error!(channel, "nobody was told: {error}");
            let happening = Happening::NotTold { channel, error: error.clone() };
            let (application, policy) = (None, None);
            catalog.record_event(Event { moment: now, application, policy, happening }).await?;
        }
    }
    Ok(())
}

/// Whoever takes longer is asked again later.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The same, with whatever else it takes, such as a command for a password.
const TELL_MAX: Duration = Duration::from_mins(1);
/// How long it waits after each time that it failed.
const PAUSES: [SignedDuration; 5] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(4),
];
/// What is older is no news.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How much is told at once; the rest at the next turn.
const BATCH: u32 = 50;

#[cfg(test)]
mod tests {
    use catalog::{JobName, NewNotice, Task};

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::new(minute * 60, 0).unwrap()
    }

    /// What becomes of one that failed so often before, and fails again.
    fn after(kind: Occurrence, attempts: u32, minute: i64) -> Telling {
        let job = JobName { application: Some("shop".into()), policy: "nightly".into() };
        let notice = Notice::of((kind, Task::Backup), &job, "sirius", at(0)).to("chat");
        let NewNotice { channel, moment, notice, .. } = notice;
        again(&NoticeRow { id: 1, channel, moment, notice, attempts }, "no".into(), at(minute))
    }

    #[test]
    fn it_is_tried_again_ever_later_and_given_up_after_a_day() {
        for (attempts, minute, next) in
            [(0, 0, 1), (1, 1, 6), (2, 6, 21), (3, 21, 81), (4, 81, 321)]
        {
            assert_eq!(after(Occurrence::Failure, attempts, minute), Telling::Again(at(next)));
        }
        assert_eq!(after(Occurrence::Failure, 99, 321), Telling::Again(at(561)));
        let given_up = Telling::GivenUp("no".into());
        assert_eq!(after(Occurrence::Failure, 9, 24 * 60 + 1), given_up);
        assert_eq!(after(Occurrence::RunStarted, 0, 0), given_up, "it has begun long ago");
    }
}
