//! How the hooks of a freeze went.

use std::io::{self, Write};

use format::evidence::HookEvidence;

use super::table;

/// One line for each hook, with its times since the first freeze was asked for.
pub(super) fn draw(hooks: &[HookEvidence], out: &mut dyn Write) -> io::Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let row = |hook: &HookEvidence| {
        let result =
            hook.error.as_ref().map_or("done".to_owned(), |error| format!("failed: {error}"));
        let (member, name) = (hook.member.clone(), hook.hook.clone());
        [member, name, milliseconds(hook.begin_micros), milliseconds(hook.end_micros), result]
    };
    let headings = ["CONTAINER", "HOOK", "BEGUN", "ENDED", ""];
    table::write(out, headings, &hooks.iter().map(row).collect::<Vec<_>>())
}

fn milliseconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{}", super::milliseconds(micros.unsigned_abs()))
}
