//! What runs do.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::column;

/// What a run does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Backs an application up.
    #[default]
    Backup,
    /// Gives back the space of what no point of a repository needs.
    Prune,
    /// Looks whether everything is in a repository that should be, and reads some of it.
    Check,
    /// Reads the newest points of a repository as a restore would.
    Verify,
    /// Makes files of a restore point; no policy does.
    #[serde(skip_deserializing)]
    Restore,
}

impl Task {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Prune => "prune",
            Self::Check => "check",
            Self::Verify => "verify",
            Self::Restore => "restore",
        }
    }

    /// The task of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Backup, Self::Prune, Self::Check, Self::Verify, Self::Restore];
        all.into_iter().find(|task| task.name() == name)
    }

    /// The column `task`.
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        let text: &str = row.try_get("task")?;
        Self::named(text).ok_or_else(|| column::unreadable("task", format!("`{text}` is no task")))
    }
}
