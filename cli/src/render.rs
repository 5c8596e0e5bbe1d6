//! Answers, as text for people or as JSON for programs.
//!
//! Standard output is for answers, standard error for talk; nothing else in the program prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program prints")]

mod applications;
mod apply;
mod audit;
mod backup;
mod catalog;
mod check;
mod demo;
mod hooks;
mod key;
mod local;
mod notifications;
mod points;
mod policy;
mod quiesce;
mod repository;
mod restore;
mod runs;
mod table;
mod thaw;
mod timeline;
mod token;
mod upkeep;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;
use service::error::ServiceError;

use crate::exit::Exit;

pub(crate) use applications::Applications;
pub(crate) use apply::Applied;
pub(crate) use check::Verified;
pub(crate) use demo::event as demo_event;
pub(crate) use key::Removed;
pub(crate) use local::LocalForgotten;
pub(crate) use points::Shown;
pub(crate) use repository::{ConfigChecked, Created};
pub(crate) use restore::Restored;
pub(crate) use token::{NewToken, RevokedToken};
pub(crate) use upkeep::{Forgotten, Planned, Pruned, waiting};

/// Something that a command answers: the same value as text and as JSON.
pub(crate) trait Answer: Serialize {
    /// Writes it for people.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Prints an answer on standard output.
pub(crate) fn answer(answer: &impl Answer, json: bool) {
    // Whoever closed our standard output does not want the rest.
    let _ = deliver(answer, json);
}

/// The same for an answer that must not be lost.
pub(crate) fn deliver(answer: &impl Answer, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, answer)?;
        writeln!(out)?;
    } else {
        answer.text(&mut out)?;
    }
    out.flush()
}

/// What the user should know besides, a line for each.
fn warnings(warnings: &[String], out: &mut dyn Write) -> io::Result<()> {
    warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))
}

/// Prints on standard error, as talk beside the answer.
pub(crate) fn talk(answer: &impl Answer) {
    let _ = answer.text(&mut io::stderr().lock());
}

/// Says on standard error what the answer cannot.
pub(crate) fn note(note: &str) {
    eprintln!("note: {note}");
}

/// Prints an error in three lines: what was not done, because of what, and what to do.
pub(crate) fn error(purpose: &str, error: &ServiceError, json: bool) {
    let because = Causes(error).to_string();
    eprintln!("error: cannot {purpose}");
    eprintln!("  because: {because}");
    eprintln!("  hint: {}", error.remedy());
    if json {
        exit_error(Exit::from(error.class()), &format!("cannot {purpose}: {because}"));
    }
}

/// Says that the user stopped the command.
pub(crate) fn interrupted(message: &str, json: bool) {
    eprintln!("{message}");
    if json {
        exit_error(Exit::Interrupted, message);
    }
}

// The last line on standard error, as restic writes it.
fn exit_error(exit: Exit, message: &str) {
    let code = exit.code();
    eprintln!("{}", json!({ "message_type": "exit_error", "code": code, "message": message }));
}

/// An error and the causes behind it, without those that only repeat what was said.
struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let causes = std::iter::successors(self.0.source(), |cause| (*cause).source());
        for cause in causes {
            let text = cause.to_string().trim_end().replace('\n', " ");
            if said.contains(&text) {
                continue;
            }
            write!(f, ": {text}")?;
            said = text;
        }
        Ok(())
    }
}

/// Bytes, as people read them.
fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// Microseconds, as people read them.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
fn milliseconds(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1000.0)
}

/// A moment to the second, in UTC.
fn moment(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
