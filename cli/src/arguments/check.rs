//! What can be typed about checks.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use format::names::PackName;
use service::check::{CheckRequest, ReadData};
use service::key::KeySource;
use service::length;
use service::repair::{self, RepairRequest};
use service::secret::SecretSource;
use service::{ParseSubsetError, Subset};

/// What to check.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("data").args(["read_data", "read_data_subset", "read_data_within"]))]
pub(crate) struct CheckArguments {
    /// Read every pack and check every byte of it
    #[arg(long)]
    read_data: bool,
    /// Read some packs: 2/7 is the second of seven parts that together are all, 5% and 500M are
    /// chosen by chance
    #[arg(long, value_name = "n/t|x%|SIZE")]
    read_data_subset: Option<Subset>,
    /// Read the packs that this machine has not read for so long, such as 30d, the oldest first
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    read_data_within: Option<Duration>,
    /// Read at most so much, such as 200G; more is for the next check
    #[arg(long, value_name = "SIZE", value_parser = bytes, requires = "data")]
    limit: Option<u64>,
    /// Read no further packs after so long, such as 2h
    #[arg(long, value_name = "TIME", value_parser = length::parse, requires = "data")]
    limit_time: Option<Duration>,
    /// The number that chance begins with, to choose the same packs once more
    #[arg(long, value_name = "NUMBER", requires = "read_data_subset")]
    seed: Option<u64>,
    /// Take the repository as it is: what was seen of it before and is gone is not asked for again
    #[arg(long)]
    accept: bool,
}

impl CheckArguments {
    /// What the service is asked for.
    pub(crate) fn request(&self) -> CheckRequest {
        let part = self.read_data_subset.map(|subset| ReadData::Part { subset, seed: self.seed });
        let due = self.read_data_within.map(|within| ReadData::Due { within });
        let data = if self.read_data { ReadData::All } else { ReadData::Nothing };
        CheckRequest {
            data: part.or(due).unwrap_or(data),
            bytes_max: self.limit,
            time_max: self.limit_time,
            accept: self.accept,
        }
    }
}

/// What to repair, and with what.
#[derive(Args, Debug)]
pub(crate) struct RepairArguments {
    /// Read these packs only, as `check` named them [default: all]
    #[arg(long, value_name = "PACK", value_parser = repair::parse_pack)]
    pack: Vec<PackName>,
    /// Read no packs: only put the index in order
    #[arg(long, conflicts_with = "pack")]
    structure_only: bool,
    /// Look for what is lost in this directory or file too, such as where it was backed up from
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) donor: DonorArguments,
    /// Only show what would be done
    #[arg(long, alias = "dry-run")]
    pub(crate) plan: bool,
}

/// Another repository that may have what is lost.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("from_key")
    .args(["from_key_file", "from_passphrase_file", "from_passphrase_command"]))]
#[allow(clippy::struct_field_names, reason = "the flags are called so")]
pub(crate) struct DonorArguments {
    /// Look for what is lost in this repository too, such as one of the same files. Its key is also
    /// taken from the variables of the usual key with FROM_, such as STILLPOINT_FROM_KEY_FILE, or
    /// from the configuration, and is that of the repaired repository otherwise
    #[arg(long, visible_alias = "from-repo", value_name = "URL", env = "STILLPOINT_FROM_REPO")]
    pub(crate) from_repository: Option<String>,
    /// The key file of that repository
    #[arg(long, value_name = "FILE", requires = "from_repository")]
    from_key_file: Option<PathBuf>,
    /// A file with the passphrase of that repository in its first line
    #[arg(
        long,
        visible_alias = "from-password-file",
        value_name = "FILE",
        requires = "from_repository"
    )]
    from_passphrase_file: Option<PathBuf>,
    /// A command that prints the passphrase of that repository
    #[arg(
        long,
        visible_alias = "from-password-command",
        value_name = "COMMAND",
        requires = "from_repository"
    )]
    from_passphrase_command: Option<String>,
}

impl DonorArguments {
    /// The key that was typed.
    pub(crate) fn key(&self) -> Option<KeySource> {
        let key_file = self.from_key_file.clone().map(KeySource::File);
        let file = self.from_passphrase_file.clone().map(SecretSource::File);
        let command = || self.from_passphrase_command.clone().map(SecretSource::Command);
        key_file.or_else(|| file.or_else(command).map(KeySource::Passphrase))
    }
}

impl RepairArguments {
    /// What the service is asked for.
    pub(crate) fn request(&self) -> RepairRequest {
        RepairRequest {
            packs: self.pack.clone(),
            structure_only: self.structure_only,
            from: self.from.clone(),
        }
    }
}

fn bytes(text: &str) -> Result<u64, ParseSubsetError> {
    match text.parse()? {
        Subset::Bytes(bytes) => Ok(bytes),
        _ => Err(ParseSubsetError::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Verb};

    fn parsed(text: &str) -> Option<CheckRequest> {
        let arguments = Arguments::try_parse_from(text.split(' ')).ok()?;
        match arguments.verb {
            Verb::Check(check) => Some(check.request()),
            _ => None,
        }
    }

    fn donor(text: &str) -> Result<Option<KeySource>, clap::Error> {
        match Arguments::try_parse_from(text.split(' '))?.verb {
            Verb::Repair(repair) => Ok(repair.donor.key()),
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn the_key_of_the_other_repository_is_spelled_as_for_restic_too() {
        let typed = |text: &str| donor(&format!("stillpoint repair {text}")).unwrap();
        let file = Some(KeySource::Passphrase(SecretSource::File("secret".into())));
        assert_eq!(typed("--from-repository x --from-passphrase-file secret"), file);
        assert_eq!(typed("--from-repo x --from-password-file secret"), file);
        let command = KeySource::Passphrase(SecretSource::Command("pass".into()));
        assert_eq!(typed("--from-repo x --from-password-command pass"), Some(command));
        let key_file = KeySource::File("key".into());
        assert_eq!(typed("--from-repo x --from-key-file key"), Some(key_file));
        assert_eq!(typed("--from-repo x"), None);
        let both = "stillpoint repair --from-repo x --from-key-file k --from-password-file p";
        assert!(donor(both).is_err());
    }

    #[test]
    fn at_most_one_choice_of_packs() {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let request = parsed("stillpoint check --read-data-within 30d --limit 2G --limit-time 90m");
        let wanted = CheckRequest {
            data: ReadData::Due { within: days(30) },
            bytes_max: Some(2 << 30),
            time_max: Some(Duration::from_mins(90)),
            accept: false,
        };
        assert_eq!(request, Some(wanted));
        assert_eq!(parsed("stillpoint check"), Some(CheckRequest::of(ReadData::Nothing)));
        let subset = "3/9".parse().unwrap();
        let part = CheckRequest::of(ReadData::Part { subset, seed: None });
        assert_eq!(parsed("stillpoint check --read-data-subset 3/9"), Some(part));
        for refused in [
            "stillpoint check --read-data --read-data-subset 3/9",
            "stillpoint check --read-data-subset 9/3",
            "stillpoint check --read-data-within -30d",
            "stillpoint check --read-data-within soon",
            "stillpoint check --limit 5G",
            "stillpoint check --read-data --limit 5%",
        ] {
            assert_eq!(parsed(refused), None, "{refused}");
        }
    }
}
