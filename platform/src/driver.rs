//! How the files of a volume are kept as they were in the freeze.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How the files of a volume are kept as they were in the freeze.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A snapshot of the subvolume.
    Btrfs,
    /// A clone of the tree, which shares its blocks.
    Reflink,
    /// None is made of them: what changed since they were read last is read in the freeze.
    Live,
    /// A whole copy.
    Copy,
}

impl Driver {
    const ALL: [Self; 4] = [Self::Btrfs, Self::Reflink, Self::Live, Self::Copy];

    /// What it is called everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Btrfs => "btrfs",
            Self::Reflink => "reflink",
            Self::Live => "live",
            Self::Copy => "copy",
        }
    }
}

/// No driver has this name.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("there is no driver `{0}`: it is one of `btrfs`, `reflink`, `live` and `copy`")]
pub struct ParseDriverError(String);

impl FromStr for Driver {
    type Err = ParseDriverError;

    fn from_str(name: &str) -> Result<Self, ParseDriverError> {
        let found = Self::ALL.into_iter().find(|driver| driver.name() == name);
        found.ok_or_else(|| ParseDriverError(name.to_owned()))
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_itself() {
        for driver in Driver::ALL {
            assert_eq!(driver.name().parse(), Ok(driver));
            assert_eq!(serde_json::to_value(driver).unwrap(), driver.name());
        }
        let error = "zfs".parse::<Driver>().unwrap_err();
        assert!(error.to_string().contains("`zfs`") && error.to_string().contains("`reflink`"));
    }
}
