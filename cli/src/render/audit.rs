//! What people had done.

use std::io::{self, Write};

use service::DeedRow;

use super::{Answer, moment, table};

impl Answer for Vec<DeedRow> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self.iter().map(row).collect();
        table::write(out, ["TIME (UTC)", "WHO", "WANTED TO", "WHY", "OUTCOME"], &rows)
    }
}

fn row(DeedRow { deed, end }: &DeedRow) -> [String; 5] {
    let outcome = match end.as_ref().map(|end| &end.error) {
        None => "goes on, or was cut off".to_owned(),
        Some(None) => "done".to_owned(),
        Some(Some(error)) => format!("failed: {}", error.replace('\n', " ")),
    };
    let why = deed.reason.clone().unwrap_or_default();
    [moment(deed.moment), deed.who.clone(), deed.action.clone(), why, outcome]
}
