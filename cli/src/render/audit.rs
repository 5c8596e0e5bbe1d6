//! What people had done.

use std::io::{self, Write};

use service::DeedRow;

use super::{Answer, moment, table};

impl Answer for Vec<DeedRow> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self.iter().map(row).collect();
        table::write(out, ["TIME (UTC)", "WHO", "COMMAND", "REPOSITORY", "WHY", "OUTCOME"], &rows)
    }
}

fn row(DeedRow { deed, end }: &DeedRow) -> [String; 6] {
    let outcome = match end.as_ref().map(|end| (end.exit, &end.error)) {
        None => "goes on, or was cut off".to_owned(),
        Some((_, Some(error))) => format!("failed: {error}"),
        Some((0, None)) => "done".to_owned(),
        Some((exit, None)) => format!("ended with exit code {exit}"),
    };
    let (repository, reason) = (deed.repository.clone(), deed.reason.clone());
    let [repository, reason] = [repository, reason].map(Option::unwrap_or_default);
    [moment(deed.moment), deed.who.clone(), deed.command.clone(), repository, reason, outcome]
}
