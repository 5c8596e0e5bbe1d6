//! What can be typed about tokens.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use service::tokens::NewToken;
use service::{Role, length};

/// What to do about tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token, which is printed once: only its digest is kept
    Add(AddTokenArguments),
    /// List the tokens
    List,
    /// Take a token back; the service takes it no more, also one that runs
    Revoke {
        /// Its name
        name: String,
    },
}

/// A token to be made.
#[derive(Args, Debug)]
pub(crate) struct AddTokenArguments {
    /// A name to know it by
    name: String,
    /// What may be done with it: `viewer` sees what there is; `operator` also has backups made, checked and
    /// pruned; `admin` also has files restored, anywhere on the host
    #[arg(long)]
    role: Role,
    /// Only for this application, and nothing that is for repositories as a whole
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    app: Vec<String>,
    /// For how long it is good, such as 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = length::parse)]
    expires: Duration,
    /// It is good until it is revoked
    #[arg(long, conflicts_with = "expires")]
    no_expiry: bool,
}

impl AddTokenArguments {
    /// The token that is wanted.
    pub(crate) fn token(&self) -> NewToken {
        NewToken {
            name: self.name.clone(),
            role: self.role,
            applications: self.app.clone(),
            lasts: Some(self.expires).filter(|_| !self.no_expiry),
        }
    }
}
