//! Events: what happened besides runs; and all of it as it happens.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use catalog::{Event, EventId, HistoryFilter, RunId};
use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::input::Query;
use super::paging::{Limit, Page};
use super::runs::Run;
use super::{Api, Problem};

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownEvent {
    /// Its number; a later one is larger.
    id: i64,
    /// When.
    moment: Timestamp,
    /// To which application.
    application: Option<String>,
    /// By which policy.
    policy: Option<String>,
    /// What: `kind` says what sort of thing, and the rest depends on that.
    #[schema(value_type = Object)]
    happening: serde_json::Value,
}

impl From<(EventId, Event)> for ShownEvent {
    fn from((id, event): (EventId, Event)) -> Self {
        Self {
            id: id.number(),
            moment: event.moment,
            application: event.application,
            policy: event.policy,
            happening: serde_json::to_value(event.happening).unwrap_or_default(),
        }
    }
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those of this application.
    application: Option<String>,
    /// How many: 50 by default, 200 at the most.
    limit: Option<u32>,
    /// Those behind this one: what `next` was.
    after: Option<String>,
}

/// The events, the newest first.
#[utoipa::path(get, path = "/events", operation_id = "list_events", tag = "events", params(Which),
    responses((status = 200, body = Page<ShownEvent>), Problem))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<Page<ShownEvent>>, Problem> {
    let limit = Limit::of(which.limit)?;
    let before = which.after.map(|after| after.parse().map(EventId::new)).transpose();
    let before = before.map_err(|_| Problem::bad_request("`after` is nothing that `next` was"))?;
    let filter = HistoryFilter { applications: caller.only(which.application), task: None };
    let events = api.catalog.event_page(&filter, before, limit.and_one()).await?;
    let page = limit.page(events, |(id, _)| id.number().to_string());
    Ok(Json(Page { items: page.items.into_iter().map(Into::into).collect(), next: page.next }))
}

/// What happens from now on, as server-sent events: `run` whenever a run is at another point, with all of it;
/// `event` for everything else. Whoever comes back with `Last-Event-ID` gets the events since, and the
/// newest runs as they are.
#[utoipa::path(get, path = "/events/stream", operation_id = "follow_events", tag = "events",
    params(("Last-Event-ID" = Option<i64>, Header, description = "The last event that was got")),
    responses((status = 200, content_type = "text/event-stream", body = String),
        Problem))]
pub(crate) async fn follow(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>> + use<>>, Problem> {
    let full = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many follow what happens");
    let place = Arc::clone(&api.followers).try_acquire_owned().map_err(|_| full())?;
    let filter = HistoryFilter { applications: caller.only(None), task: None };
    let (last, runs) = (EventId::default(), BTreeMap::new());
    let mut follower = Follower { api, token: caller.token, filter, last, runs, _place: place };
    follower.begin(last_event(&headers)?).await?;
    // Whoever loses the connection before the first event comes back with this.
    let begin = stream::iter([Ok(sse::Event::default().id(follower.last.number().to_string()))]);
    let messages = stream::unfold(follower, async |mut follower| {
        let messages = follower.next().await?;
        Some((stream::iter(messages.into_iter().map(Ok)), follower))
    });
    let messages = begin.chain(Box::pin(messages).flatten());
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()))
}

fn last_event(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(last) = headers.get("last-event-id") else { return Ok(None) };
    let last = last.to_str().ok().and_then(|last| last.parse().ok()).map(EventId::new);
    last.map(Some).ok_or_else(|| Problem::bad_request("`Last-Event-ID` is no number"))
}

/// Somebody who follows what happens.
struct Follower {
    api: Arc<Api>,
    /// The digest of his token, where he needs one.
    token: Option<String>,
    filter: HistoryFilter,
    /// The last event that he got.
    last: EventId,
    /// The newest runs, and those that wait and go on, as he got them.
    runs: BTreeMap<i64, Run>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    // Whoever was here before gets what he missed, and nobody else what is past.
    async fn begin(&mut self, last: Option<EventId>) -> Result<(), Problem> {
        let newest = self.api.catalog.event_page(&HistoryFilter::default(), None, 1).await?;
        let newest = newest.first().map(|(id, _)| *id).unwrap_or_default();
        // One that there is not yet is of a catalog that was replaced.
        self.last = last.filter(|last| *last <= newest).unwrap_or(newest);
        if last.is_some() {
            return Ok(());
        }
        self.changed_runs().await?;
        Ok(())
    }

    /// Waits until there is something to tell; nothing more where his token is no longer good, or the catalog
    /// cannot be read, so that he comes back.
    async fn next(&mut self) -> Option<Vec<sse::Event>> {
        loop {
            let found = async {
                if let Some(token) = &self.token {
                    // It may have been revoked.
                    Caller::with_token(&self.api, token.clone()).await?;
                }
                let mut messages = Vec::new();
                for run in self.changed_runs().await? {
                    messages.push(sse::Event::default().event("run").json_data(run));
                }
                let events = self.api.catalog.events_after(&self.filter, self.last, EVENTS_MAX);
                for event in events.await? {
                    self.last = event.0;
                    let message = sse::Event::default().event("event");
                    let message = message.id(event.0.number().to_string());
                    messages.push(message.json_data(ShownEvent::from(event)));
                }
                Ok::<_, Problem>(messages)
            };
            let messages: Vec<_> = found.await.ok()?.into_iter().collect::<Result<_, _>>().ok()?;
            if !messages.is_empty() {
                return Some(messages);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Those of the runs that are not as they were told, the oldest first.
    async fn changed_runs(&mut self) -> Result<Vec<Run>, Problem> {
        let mut rows = self.api.catalog.run_page(&self.filter, None, RUNS_MAX).await?;
        rows.extend(self.api.catalog.unfinished_runs().await?);
        rows.retain(|row| self.filter.admits(row.application.as_deref()));
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
        // Those that have ended since, however old they are.
        for run in self.runs.values().filter(|run| !run.has_ended()) {
            let id = RunId::new(run.id);
            if !rows.contains_key(&id)
                && let Some(row) = self.api.catalog.run(id).await?
            {
                rows.insert(id, row);
            }
        }
        let mut changed = Vec::new();
        let mut runs = BTreeMap::new();
        for row in rows.into_values() {
            let run = Run::of(row, &self.api)?;
            if self.runs.get(&run.id) != Some(&run) {
                changed.push(run.clone());
            }
            runs.insert(run.id, run);
        }
        self.runs = runs;
        Ok(changed)
    }
}

/// How often the catalog is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The runs that are looked at besides those that wait and go on.
const RUNS_MAX: u32 = 100;
/// How many events are told at once; the others follow.
const EVENTS_MAX: u32 = 200;
