//! What can be typed to give space back.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use std::time::Duration;

use clap::Args;
use service::ObjectId;
use service::points::PointName;
use service::prune::Unused;
use service::retention::Reach;

use super::keep::KeepArguments;

/// What to forget.
#[derive(Args, Debug)]
pub(crate) struct ForgetArguments {
    /// `latest`, or the first digits of each point's id
    #[arg(
        value_name = "POINT",
        required_unless_present_any = ["KeepArguments", "policy"],
        conflicts_with_all = ["KeepArguments", "policy"]
    )]
    pub(crate) points: Vec<PointName>,
    #[command(flatten)]
    pub(crate) keep: KeepArguments,
    /// Local snapshots are meant, as `snapshot` makes them
    #[arg(long, conflicts_with_all = ["prune", "KeepArguments"])]
    pub(crate) local: bool,
    /// The points that this policy has made on this host, and no longer keeps
    #[arg(long, value_name = "NAME", conflicts_with_all = ["KeepArguments", "local"])]
    pub(crate) policy: Option<String>,
    /// Only points of this application are meant
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// Whatever the rules say, keep the points that are no older than this
    #[arg(long, value_name = "TIME", requires = "KeepArguments", help_heading = "Rules")]
    pub(crate) keep_at_least: Option<Reach>,
    /// The time zone in which days begin, such as Europe/Berlin [default: that of this machine]
    #[arg(long, requires = "KeepArguments", help_heading = "Rules")]
    pub(crate) zone: Option<String>,
    /// Only show what would be done
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Give their space back at once, as `prune` does
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) prune: bool,
}

/// How to give space back.
#[derive(Args, Debug)]
pub(crate) struct PruneArguments {
    /// Only show what would be done
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// How much may stay that nobody needs: per cent of what is stored, bytes such as 500M, or
    /// `unlimited`, which copies nothing
    #[arg(long, value_name = "LIMIT", default_value = "5%", value_parser = unused)]
    pub(crate) max_unused: Unused,
    /// After how long without a sign of life a backup is taken for dead, such as 30m or 2h
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub(crate) stalled_after: Duration,
    /// Do not wait for backups at work: what they may need is deleted by the next prune
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// First remove this pin, which the plan names, of a restore that was cut off
    #[arg(long, value_name = "PIN", conflicts_with = "dry_run")]
    pub(crate) unpin: Vec<ObjectId>,
    /// Nothing else writes to the repository until this has ended: on a store for a single writer,
    /// end the backups that were cut off
    #[arg(long)]
    pub(crate) sole_writer: bool,
}

/// A share, a size or no limit, as restic writes them.
fn unused(text: &str) -> Result<Unused, String> {
    let refused = || format!("`{text}` is neither like 5%, nor like 500M, nor `unlimited`");
    if text == "unlimited" {
        return Ok(Unused::Unlimited);
    }
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().map_err(|_| refused())?;
        let is_share = (0.0..=100.0).contains(&percent);
        return if is_share { Ok(Unused::Percent(percent)) } else { Err(refused()) };
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err(refused()),
    };
    let count: u64 = digits.parse().map_err(|_| refused())?;
    count.checked_mul(1 << shift).map(Unused::Bytes).ok_or_else(refused)
}

fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no time such as 90s, 30m or 2h");
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let seconds = match text.get(digits.len()..).unwrap_or_default() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(refused()),
    };
    let count: u64 = digits.parse().map_err(|_| refused())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_for_restic() {
        assert_eq!(unused("5%"), Ok(Unused::Percent(5.0)));
        assert_eq!(unused("0.5%"), Ok(Unused::Percent(0.5)));
        assert_eq!(unused("unlimited"), Ok(Unused::Unlimited));
        assert_eq!(unused("0"), Ok(Unused::Bytes(0)));
        assert_eq!(unused("3k"), Ok(Unused::Bytes(3 << 10)));
        assert_eq!(unused("2GiB"), Ok(Unused::Bytes(2 << 30)));
        for wrong in ["", "%", "5 %", "101%", "-1%", "NaN%", "k", "1x", "99999999999T", "5.5M"] {
            assert!(unused(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_mins(30)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for wrong in ["", "30", "m", "-1m", "1d", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
