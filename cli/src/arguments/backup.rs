//! What can be typed to back something up.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use std::path::PathBuf;

use clap::Args;
use service::retention::is_reserved;

use super::{DeadlineArguments, FreezeArguments, HookArguments};

/// What to back up.
#[derive(Args, Debug)]
pub(crate) struct BackupArguments {
    /// The application
    #[arg(value_name = "APP", required_unless_present = "path", conflicts_with = "path")]
    pub(crate) application: Option<String>,
    /// Directories or files to read as they are
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "over_budget")]
    pub(crate) path: Vec<PathBuf>,
    /// What the point of these paths is called [default: the paths]
    #[arg(long, requires = "path")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) freeze: FreezeArguments,
    #[command(flatten)]
    pub(crate) hooks: HookArguments,
    /// Read every file, also those whose time of change says that they are as they were
    #[arg(long, alias = "force")]
    pub(crate) full: bool,
    /// Keep the snapshot on this host, too, and that many of the application's local snapshots in all;
    /// of large files the next backup reads only what was written since
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with_all = ["path", "no_freeze", "dry_run"])]
    pub(crate) keep_local: Option<u32>,
    /// Read and compare, in place and without a freeze, and store nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Give the restore point a tag
    #[arg(long, value_name = "TAG", value_parser = free_tag, conflicts_with = "dry_run")]
    pub(crate) tag: Vec<String>,
    #[command(flatten)]
    pub(crate) deadline: DeadlineArguments,
    /// Do it here, although a service runs that could
    #[arg(long)]
    no_service: bool,
}

impl BackupArguments {
    /// Whether it asks for nothing that the service cannot do.
    pub(crate) fn is_plain(&self) -> bool {
        let Self { freeze, hooks, keep_local, dry_run, selection, deadline, no_service, .. } = self;
        let FreezeArguments { no_freeze, degrade } = freeze;
        let SelectionArguments { exclude, exclude_file, one_file_system } = selection;
        let is_whole = exclude.is_empty() && exclude_file.is_empty() && !one_file_system;
        let is_usual = hooks.are_run() && deadline.is_usual() && !no_freeze && !degrade;
        is_whole && is_usual && keep_local.is_none() && !dry_run && !no_service
    }
}

/// Which files to back up.
#[derive(Args, Debug)]
pub(crate) struct SelectionArguments {
    /// Leave out what has this name, or this path if there is a slash in it; `*`, `?`, `**`, `[a-z]`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Leave out what the lines of this file say; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    pub(crate) exclude_file: Vec<PathBuf>,
    /// Do not go into other filesystems
    #[arg(short = 'x', long)]
    pub(crate) one_file_system: bool,
}

// What a person says of a point that he has looked at is not said in advance.
fn free_tag(text: &str) -> Result<String, String> {
    if is_reserved(text) {
        return Err("`stillpoint tag` gives this one to points that there are".to_owned());
    }
    Ok(text.to_owned())
}
