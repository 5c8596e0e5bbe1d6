//! Lists, a page at a time.

use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// What `after` is for the next page; absent where this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// How many are on a page.
#[derive(Clone, Copy)]
pub(crate) struct Limit(u32);

impl Limit {
    pub(crate) fn of(wanted: Option<u32>) -> Result<Self, Problem> {
        match wanted.unwrap_or(LIMIT_USUAL) {
            limit if (1..=LIMIT_MAX).contains(&limit) => Ok(Self(limit)),
            limit => {
                let detail = format!("`limit` is {limit}, and must be between 1 and {LIMIT_MAX}");
                Err(Problem::bad_request(detail))
            }
        }
    }

    /// How many to look for: one more says that there is another page.
    pub(crate) fn and_one(self) -> u32 {
        self.0 + 1
    }

    /// The page of what was found, where the place of an item is so.
    pub(crate) fn page<T>(self, mut items: Vec<T>, place: impl FnOnce(&T) -> String) -> Page<T> {
        let limit = usize::try_from(self.0).unwrap_or(usize::MAX);
        let is_last = items.len() <= limit;
        items.truncate(limit);
        let next = items.last().filter(|_| !is_last).map(place);
        Page { items, next }
    }
}

const LIMIT_USUAL: u32 = 50;
const LIMIT_MAX: u32 = 200;
