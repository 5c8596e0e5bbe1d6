//! The descriptor: what a program must know before it may touch a repository.
//!
//! See docs/format.md#descriptor.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::RepositoryId;

/// The newest version of the format that this program knows, and the one of new repositories.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT_NAME: &str = "stillpoint";

/// The content of `config`, as JSON in the clear.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Descriptor {
    format: String,
    version: u32,
    repository: RepositoryId,
    features: Vec<String>,
}

/// Why a repository may not be touched by this program.
#[derive(Debug, Error)]
pub enum DescriptorError {
    /// `config` is no descriptor of a Stillpoint repository.
    #[error("`config` does not describe a Stillpoint repository")]
    Foreign(#[source] Option<serde_json::Error>),
    /// The repository was written by a newer program.
    #[error("the repository has format version {found}, this program knows {FORMAT_VERSION}")]
    Newer {
        /// The repository's version.
        found: u32,
    },
    /// The repository was written while the format was being made.
    #[error("the repository has format version 0, of a program that was not finished")]
    Unfinished,
    /// The repository uses something that this program does not know.
    #[error("the repository needs the feature `{0}`, which this program does not know")]
    UnknownFeature(String),
}

impl Descriptor {
    /// The descriptor of a new repository.
    pub fn new(repository: RepositoryId) -> Self {
        Self {
            format: FORMAT_NAME.into(),
            version: FORMAT_VERSION,
            repository,
            features: Vec::new(),
        }
    }

    /// Which repository this is.
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// The bytes of `config`.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers always have a JSON form.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads `config`, refusing what this program cannot handle.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptorError> {
        let descriptor: Self =
            serde_json::from_slice(bytes).map_err(|e| DescriptorError::Foreign(Some(e)))?;
        if descriptor.format != FORMAT_NAME {
            return Err(DescriptorError::Foreign(None));
        }
        if descriptor.version > FORMAT_VERSION {
            return Err(DescriptorError::Newer { found: descriptor.version });
        }
        if descriptor.version == 0 {
            return Err(DescriptorError::Unfinished);
        }
        match descriptor.features.first() {
            Some(feature) => Err(DescriptorError::UnknownFeature(feature.clone())),
            None => Ok(descriptor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_survives_its_bytes() {
        let descriptor = Descriptor::new(RepositoryId::new([1; 16]));
        assert_eq!(Descriptor::parse(&descriptor.to_bytes()).unwrap(), descriptor);
    }

    #[test]
    fn newer_foreign_and_unknown_repositories_are_refused() {
        let with = |from: &str, to: &str| {
            let text =
                String::from_utf8(Descriptor::new(RepositoryId::new([1; 16])).to_bytes()).unwrap();
            Descriptor::parse(text.replace(from, to).as_bytes())
        };
        let version = |version| with("\"version\": 1", &format!("\"version\": {version}"));
        assert!(matches!(version(9), Err(DescriptorError::Newer { found: 9 })));
        assert!(matches!(version(0), Err(DescriptorError::Unfinished)));
        assert!(matches!(with("stillpoint", "restic"), Err(DescriptorError::Foreign(None))));
        assert!(matches!(with("[]", "[\"x\"]"), Err(DescriptorError::UnknownFeature(_))));
        assert!(matches!(Descriptor::parse(b"{"), Err(DescriptorError::Foreign(Some(_)))));
    }
}
