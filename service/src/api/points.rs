//! Restore points, as the catalog knows them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use catalog::{PointPageFilter, PointPlace, PointRow};
use format::ids::PointId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::input::{Path, Query};
use super::paging::{Limit, Page};
use super::{Api, Problem};

/// A restore point in a repository.
#[derive(Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the command line calls its id so, too")]
pub(crate) struct Point {
    /// Its id.
    point: String,
    /// The id of the repository where it lies.
    repository: String,
    /// The application, or the name given to a set of paths.
    application: String,
    /// What ran it, such as `docker`.
    platform: String,
    /// The machine that it was taken on.
    host: String,
    /// When: the instant of the freeze, or the start of the reading.
    taken: Timestamp,
    /// What is proven about the agreement of the volumes: `fuzzy`, `crash` or `application`.
    level: String,
    /// Its volumes.
    volumes: Vec<PointVolume>,
    /// What was counted while it was made.
    statistics: Counts,
    /// How many files could not be saved.
    omissions: u64,
    /// The policy that wanted it; absent where somebody asked for it.
    policy: Option<String>,
    /// The moment for which the policy wanted it.
    due: Option<Timestamp>,
    /// Its tags.
    tags: BTreeSet<String>,
    /// Why it must not be forgotten; absent when it may be.
    held: Option<String>,
    /// When it was last read whole.
    verified: Option<Timestamp>,
}

/// A volume of a restore point.
#[derive(Serialize, ToSchema)]
struct PointVolume {
    /// Its name.
    name: String,
    /// How it was snapshotted.
    driver: String,
    /// How many files of all kinds it has.
    files: u64,
    /// The sum of the sizes of its regular files.
    bytes: u64,
}

/// What was counted while a point was made; sizes in bytes.
#[derive(Serialize, ToSchema)]
struct Counts {
    /// How many files of all kinds were looked at.
    files: u64,
    /// The sum of the sizes of the regular files.
    scanned: u64,
    /// Read from the files.
    read: u64,
    /// Of those, in chunks that the repository did not have.
    changed: u64,
    /// Put into packs for that, compressed and sealed.
    stored: u64,
    /// Sent to the store.
    sent: u64,
}

impl From<PointRow> for Point {
    fn from(row: PointRow) -> Self {
        let PointRow { statistics, annotations, occasion, .. } = row;
        let volume = |it: catalog::VolumeRow| PointVolume {
            name: it.name.to_string(),
            driver: it.driver,
            files: it.files,
            bytes: it.bytes,
        };
        let (policy, due) = occasion.map(|it| (it.policy, it.due)).unzip();
        Self {
            point: row.point.to_string(),
            repository: row.repository.to_string(),
            application: row.application,
            platform: row.platform,
            host: row.host,
            taken: row.taken,
            level: row.level.to_string(),
            volumes: row.volumes.into_iter().map(volume).collect(),
            statistics: Counts {
                files: statistics.files,
                scanned: statistics.scanned,
                read: statistics.read,
                changed: statistics.changed,
                stored: statistics.stored,
                sent: statistics.sent,
            },
            omissions: row.omissions,
            policy,
            due,
            tags: annotations.tags,
            held: annotations.held,
            verified: annotations.verified,
        }
    }
}

/// Which points.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those of this application.
    application: Option<String>,
    /// Those in the repository with this id.
    repository: Option<String>,
    /// Those that were taken at this moment or later,
    since: Option<Timestamp>,
    /// and before this one.
    until: Option<Timestamp>,
    /// How many: 50 by default, 200 at the most.
    limit: Option<u32>,
    /// Those behind this one: what `next` was.
    after: Option<String>,
}

/// The restore points that are known here, the newest first.
#[utoipa::path(get, path = "/points", operation_id = "list_points", tag = "points", params(Which),
    responses((status = 200, body = Page<Point>), Problem))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<Page<Point>>, Problem> {
    let limit = Limit::of(which.limit)?;
    let repository = which.repository.map(|id| id.parse()).transpose();
    let filter = PointPageFilter {
        repository: repository.map_err(|_| Problem::bad_request("`repository` is no id"))?,
        applications: caller.only(which.application),
        since: which.since,
        until: which.until,
    };
    let after = which.after.map(|after| place(&after)).transpose()?;
    let rows = api.catalog.point_page(&filter, after, limit.and_one()).await?;
    let name = |row: &PointRow| format!("{}~{}~{}", row.taken, row.point, row.repository);
    let page = limit.page(rows, name);
    Ok(Json(Page { items: page.items.into_iter().map(Point::from).collect(), next: page.next }))
}

fn place(after: &str) -> Result<PointPlace, Problem> {
    let mut parts = after.splitn(3, '~');
    let mut part = || parts.next().unwrap_or_default();
    let (taken, point, repository) = (part().parse(), part().parse(), part().parse());
    match (taken, point, repository) {
        (Ok(taken), Ok(point), Ok(repository)) => Ok((taken, point, repository)),
        _ => Err(Problem::bad_request("`after` is nothing that `next` was")),
    }
}

/// A restore point, in each repository that has it.
#[utoipa::path(get, path = "/points/{point}", operation_id = "show_point", tag = "points",
    params(("point" = String, Path, description = "The whole id of the point")),
    responses((status = 200, body = Vec<Point>), Problem))]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<Point>>, Problem> {
    let unknown = || Problem::not_found("restore point", &name);
    let point: PointId = name.parse().map_err(|_| unknown())?;
    let mut copies = api.catalog.copies(point).await?;
    copies.retain(|row| caller.has(Some(&row.application)));
    if copies.is_empty() {
        return Err(unknown());
    }
    Ok(Json(copies.into_iter().map(Point::from).collect()))
}
