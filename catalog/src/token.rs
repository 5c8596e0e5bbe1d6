//! Tokens: who may ask the service from elsewhere, and for what.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use thiserror::Error;

use crate::error::CatalogError;
use crate::writer::Change;
use crate::{Catalog, column};

/// What somebody may do. A later one may do all that those before it may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See what there is.
    Viewer,
    /// Have backups made, checked and verified, and space given back.
    Operator,
    /// Have files of this host overwritten.
    Admin,
}

/// This is no role.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is no role: there are `viewer`, `operator` and `admin`")]
pub struct ParseRoleError(String);

/// A token, without what makes it one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// What may be done with it.
    pub role: Role,
    /// For which applications; absent where it is for all, and for what is about none.
    pub applications: Option<Vec<String>>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is nothing; absent where that is never.
    pub expires: Option<Timestamp>,
    /// When it was taken back.
    pub revoked: Option<Timestamp>,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        let mut roles = [Self::Viewer, Self::Operator, Self::Admin].into_iter();
        let found = roles.find(|role| role.name() == text);
        found.ok_or_else(|| ParseRoleError(text.to_owned()))
    }
}

impl Catalog {
    /// Remembers a token by its digest. Answers whether it is there now: not where there is one of this
    /// name that was not revoked.
    pub async fn insert_token(
        &self,
        token: TokenRow,
        digest: String,
    ) -> Result<bool, CatalogError> {
        Ok(self.write("remember a token", Change::InsertToken(token, digest)).await? > 0)
    }

    /// Takes a token back. Answers whether there was one of this name.
    pub async fn revoke_token(&self, name: &str, now: Timestamp) -> Result<bool, CatalogError> {
        let change = Change::RevokeToken(name.to_owned(), now);
        Ok(self.write("revoke a token", change).await? > 0)
    }

    /// Every token, in the order of their names.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM tokens ORDER BY name").fetch_all(&self.readers).await;
        let tokens = rows.and_then(|rows| rows.iter().map(read).collect());
        tokens.map_err(|source| self.failed("list tokens", source))
    }

    /// The token with this digest.
    pub async fn token(&self, digest: &str) -> Result<Option<TokenRow>, CatalogError> {
        let token = find(&self.readers, digest).await;
        token.map_err(|source| self.failed("look for a token", source))
    }
}

async fn find(readers: &SqlitePool, digest: &str) -> sqlx::Result<Option<TokenRow>> {
    let row = sqlx::query("SELECT * FROM tokens WHERE digest = ?")
        .bind(digest)
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Stores a token, in the place of a revoked one of its name; answers how many, 0 or 1.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    (token, digest): (&TokenRow, &str),
) -> sqlx::Result<u64> {
    let applications = token.applications.as_ref().map(column::json).transpose()?;
    let inserted = sqlx::query(
        "INSERT INTO tokens (name, digest, role, applications, created, expires)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, role = excluded.role,
             applications = excluded.applications, created = excluded.created,
             expires = excluded.expires, revoked = NULL
         WHERE revoked IS NOT NULL",
    )
    .bind(&token.name)
    .bind(digest)
    .bind(token.role.name())
    .bind(applications)
    .bind(column::time(token.created))
    .bind(token.expires.map(column::time))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Takes a token back, or all; answers how many that were not.
pub(crate) async fn revoke(
    connection: &mut SqliteConnection,
    name: Option<&str>,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let revoked = sqlx::query(
        "UPDATE tokens SET revoked = ?1 WHERE revoked IS NULL AND (?2 IS NULL OR name = ?2)",
    )
    .bind(column::time(now))
    .bind(name)
    .execute(connection)
    .await?;
    Ok(revoked.rows_affected())
}

/// What one row says.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<TokenRow> {
    let applications: Option<&str> = row.try_get("applications")?;
    Ok(TokenRow {
        name: row.try_get("name")?,
        role: column::parsed(row, "role")?,
        applications: applications
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| column::unreadable("applications", error))?,
        created: column::parsed(row, "created")?,
        expires: column::parsed_option(row, "expires")?,
        revoked: column::parsed_option(row, "revoked")?,
    })
}
