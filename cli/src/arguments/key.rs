//! What can be typed about keys.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use std::path::PathBuf;

use clap::{Args, Subcommand};
use format::slot::Label;
use service::key::{KeySource, NewKey};
use service::secret::SecretSource;

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// List the keys that unlock the repository
    List,
    /// Add a key
    Add(NewKeyArguments),
    /// Remove a key; the last one stays
    Remove {
        /// The first digits of its slot's id
        slot: String,
        /// Remove it even if it is the key that this command uses
        #[arg(long)]
        force: bool,
    },
    /// Add a key, try it, and remove the one that it replaces
    Rotate {
        /// The first digits of the old slot's id
        slot: String,
        #[command(flatten)]
        new: NewKeyArguments,
    },
}

/// Which key to add.
#[derive(Args, Debug)]
pub(crate) struct NewKeyArguments {
    #[command(flatten)]
    source: NewKeySource,
    /// What the list calls it, at most 64 characters
    #[arg(long)]
    pub(crate) label: Option<Label>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct NewKeySource {
    /// A passphrase: the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A passphrase: the value of this environment variable
    #[arg(long, value_name = "VAR")]
    passphrase_env: Option<String>,
    /// A key file, which is made here
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// A recovery key, which is printed once
    #[arg(long)]
    recovery: bool,
}

impl NewKeyArguments {
    /// The key that is meant; clap has seen to it that there is one.
    pub(crate) fn key(&self) -> NewKey {
        let NewKeySource { passphrase_file, passphrase_env, new_key_file, recovery: _ } =
            &self.source;
        let file = passphrase_file.clone().map(SecretSource::File);
        let passphrase = file.or_else(|| passphrase_env.clone().map(SecretSource::Env));
        let new = passphrase.map(|source| NewKey::Existing(KeySource::Passphrase(source)));
        new.or_else(|| new_key_file.clone().map(NewKey::File)).unwrap_or(NewKey::Recovery)
    }
}

/// What a new repository opens with.
#[derive(Args, Debug)]
pub(crate) struct InitArguments {
    /// Make a key file here, to be used instead of a passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// Make no recovery key
    #[arg(long)]
    pub(crate) no_recovery_key: bool,
}
