//! Keys: the list, and one that was added or removed.

use std::io::{self, Write};

use format::ids::SlotId;
use serde::Serialize;
use service::key::PrintedKey;
use service::keys::Added;
use service::{SlotRow, SlotState};

use super::{Answer, moment, table};

impl Answer for Vec<SlotRow> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |slot: &SlotRow| {
            let remark = match (slot.state, slot.current) {
                (SlotState::Damaged, _) => "damaged: opens for nobody",
                (SlotState::Unknown, _) => "unknown to this version",
                (SlotState::Good, true) => "in use now",
                (SlotState::Good, false) => "",
            };
            [
                slot.slot.to_string(),
                slot.kind.map_or("?", format::slot::Kind::as_str).to_owned(),
                slot.created.map_or_else(|| "?".to_owned(), moment),
                slot.label.clone(),
                remark.to_owned(),
            ]
        };
        let headings = ["SLOT", "KIND", "CREATED (UTC)", "LABEL", ""];
        table::write(out, headings, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Answer for Added {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "added key slot {}, which opens with a {}", self.slot, self.kind)?;
        if let Some(path) = &self.key_file {
            writeln!(
                out,
                "made the key file {}: keep it where only its user can read it",
                path.display()
            )?;
        }
        if let Some(key) = &self.recovery_key {
            recovery_key(key, out)?;
        }
        self.replaces.map_or(Ok(()), |old| writeln!(out, "it takes the place of key slot {old}"))
    }
}

/// A key slot that is gone.
#[derive(Serialize)]
pub(crate) struct Removed {
    pub(crate) removed: SlotId,
}

impl Answer for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "removed key slot {}", self.removed)
    }
}

/// The only place that shows a recovery key to people.
pub(super) fn recovery_key(key: &PrintedKey, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "recovery key: {}", key.text())?;
    writeln!(
        out,
        "It opens the repository by itself and is not shown again. Print it or write it down, and keep it\n\
         apart from this machine and from the repository."
    )
}
