//! Where a repository lies, as users write it: a path or a URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use thiserror::Error;

use crate::store::local::LocalStore;
use crate::store::remote::RemoteStore;
use crate::store::{MaintainStore, Store, StoreError};

/// How long one request may take: a pack of 20 MiB over a line of 0.5 Mbit/s.
const TIMEOUT: &str = "10 minutes";

/// Where a repository lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Location {
    /// A directory: `/srv/backup`, `backup` or `file:///srv/backup`.
    Directory(PathBuf),
    /// A bucket of S3 or a service like it, and a prefix in it: `s3://bucket/prefix`.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the names of all objects begin with; may be empty.
        prefix: String,
    },
}

/// A text that is no location of a repository.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ParseLocationError {
    /// There is nothing.
    #[error("the repository's location is empty")]
    Empty,
    /// `s3://` without a bucket.
    #[error("`{0}` names no bucket")]
    NoBucket(String),
    /// A kind of store that this version does not know.
    #[error("`{0}` is neither a path, nor file://, nor s3://")]
    UnknownScheme(String),
}

impl Location {
    /// The store at this location; nothing is contacted yet. Credentials for S3 come from the
    /// environment, by the names that AWS's own tools use.
    pub fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(self.open_to_maintain()?)
    }

    /// The store for a new repository at this location: a directory is made where there is none.
    pub async fn make(&self) -> Result<Arc<dyn MaintainStore>, StoreError> {
        match self {
            Self::Directory(path) => Ok(Arc::new(LocalStore::make(path).await?)),
            Self::S3 { .. } => self.open_to_maintain(),
        }
    }

    /// The same as [`Self::open`] for a [`Maintainer`](crate::maintainer::Maintainer), who may delete.
    pub fn open_to_maintain(&self) -> Result<Arc<dyn MaintainStore>, StoreError> {
        match self {
            Self::Directory(path) => Ok(Arc::new(LocalStore::new(path))),
            Self::S3 { bucket, prefix } => {
                let builder = AmazonS3Builder::from_env()
                    .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), TIMEOUT)
                    .with_bucket_name(bucket);
                // Whoever writes `http://` into AWS_ENDPOINT means it.
                let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
                let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
                let objects =
                    builder.with_allow_http(plain).build().map_err(|e| StoreError::Failed {
                        action: "set up access to S3".into(),
                        location: self.to_string(),
                        passing: false,
                        source: e.into(),
                    })?;
                Ok(Arc::new(RemoteStore::new(
                    Arc::new(objects),
                    Path::from(prefix.as_str()),
                    self.to_string(),
                )))
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl FromStr for Location {
    type Err = ParseLocationError;

    fn from_str(text: &str) -> Result<Self, ParseLocationError> {
        match text.split_once("://") {
            None if text.is_empty() => Err(ParseLocationError::Empty),
            None => Ok(Self::Directory(text.into())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Directory(path.into())),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(ParseLocationError::NoBucket(text.to_owned()));
                }
                Ok(Self::S3 {
                    bucket: bucket.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                })
            }
            Some(_) => Err(ParseLocationError::UnknownScheme(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_read_as_users_write_them() {
        for (text, printed) in [
            ("backup", "backup"),
            ("/srv/a b", "/srv/a b"),
            ("file:///srv/x", "/srv/x"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for text in ["", "s3://", "s3:///x", "ftp://host/x", "file://relative"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
