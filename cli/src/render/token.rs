//! Tokens: the list, and one that was made or revoked.

use std::io::{self, Write};

use serde::Serialize;
use service::TokenRow;

use super::{Answer, moment, table};

impl Answer for Vec<TokenRow> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self.iter().map(row).collect();
        let headings = ["NAME", "ROLE", "APPLICATIONS", "CREATED (UTC)", "EXPIRES (UTC)", ""];
        table::write(out, headings, &rows)
    }
}

fn row(token: &TokenRow) -> [String; 6] {
    [
        token.name.clone(),
        token.role.to_string(),
        token.applications.as_ref().map_or_else(|| "all".to_owned(), |names| names.join(", ")),
        moment(token.created),
        token.expires.map_or_else(|| "never".to_owned(), moment),
        token.revoked.map(|when| format!("revoked {}", moment(when))).unwrap_or_default(),
    ]
}

/// A token that was made.
#[derive(Serialize)]
pub(crate) struct NewToken<'a> {
    pub(crate) token: &'a str,
    #[serde(flatten)]
    pub(crate) row: TokenRow,
}

impl Answer for NewToken<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let TokenRow { name, role, expires, .. } = &self.row;
        let until = expires.map_or_else(|| "it is revoked".to_owned(), moment);
        writeln!(out, "{}", self.token)?;
        writeln!(out, "this is token {name}, {role}, good until {until}; it is not shown again")
    }
}

/// A token that was taken back.
#[derive(Serialize)]
pub(crate) struct RevokedToken<'a> {
    pub(crate) revoked: &'a str,
}

impl Answer for RevokedToken<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "revoked token {}", self.revoked)
    }
}
