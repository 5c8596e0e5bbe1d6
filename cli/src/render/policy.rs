//! What policies will do.

use std::io::{self, Write};

use service::policy::{SimulatedPoint, Simulation, Upcoming};

use super::{Answer, moment, table};

impl Answer for Vec<Upcoming> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for upcoming in self {
            writeln!(out, "{}", upcoming.schedule)?;
            for run in &upcoming.runs {
                writeln!(out, "  {}", run.strftime("%a %Y-%m-%d %H:%M %Z"))?;
            }
        }
        Ok(())
    }
}

impl Answer for Simulation {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |point: &SimulatedPoint| {
            let reasons: Vec<_> = point.reasons.iter().map(ToString::to_string).collect();
            [moment(point.taken), point.schedules.join(", "), reasons.join(", ")]
        };
        let rows: Vec<_> = self.points.iter().map(row).collect();
        table::write(out, ["TAKEN (UTC)", "SCHEDULES", "STAYS FOR"], &rows)?;
        let Self { made, most, points, went, gone: _ } = self;
        writeln!(
            out,
            "{made} points made, {most} at once at the most, {} in the end; {went} went, and --json says when",
            points.len()
        )
    }
}
