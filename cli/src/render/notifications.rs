//! Who was told on trial.

use std::io::{self, Write};

use service::notices::Trial;

use super::Answer;

impl Answer for Vec<Trial> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "the configuration has no notifications");
        }
        self.iter().try_for_each(|Trial { channel, error }| match error {
            None => writeln!(out, "{channel}: told"),
            Some(error) => writeln!(out, "{channel}: not told: {error}"),
        })
    }
}
