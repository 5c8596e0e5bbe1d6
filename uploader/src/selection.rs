//! Which of the files below a root are wanted.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

/// Which files are left out.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    excluded: GlobSet,
    one_filesystem: bool,
}

/// A pattern that makes no sense.
#[derive(Debug, Error)]
#[error("`{pattern}` is no pattern")]
pub struct PatternError {
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it; nothing when it names no file.
    source: Option<globset::Error>,
}

impl Selection {
    /// Leaves out what matches a pattern, with everything below it.
    ///
    /// A pattern without a slash is compared with every file name; one that begins with a slash
    /// with whole paths below the root; any other with the end of paths. `*` and `?` stay within a
    /// name, `**` goes across names, `[a-z]` and `{a,b}` are what they are in a shell. A pattern
    /// that names nothing, such as what an unset variable gives, is refused: it would leave out
    /// everything.
    pub fn excluding<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, PatternError> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let refused = |source| PatternError { pattern: pattern.to_owned(), source };
            let trimmed = pattern.trim_end_matches('/');
            if trimmed.is_empty() {
                return Err(refused(None));
            }
            let anchored = match trimmed.strip_prefix('/') {
                Some(whole) => whole.to_owned(),
                None => format!("**/{trimmed}"),
            };
            let glob = GlobBuilder::new(&anchored).literal_separator(true).build();
            set.add(glob.map_err(|e| refused(Some(e)))?);
        }
        let refused = |e| PatternError { pattern: String::new(), source: Some(e) };
        Ok(Self { excluded: set.build().map_err(refused)?, one_filesystem: false })
    }

    /// The same, staying on the filesystem of the root: where another is mounted, its directory
    /// is kept and is empty.
    #[must_use]
    pub fn on_one_filesystem(self, one_filesystem: bool) -> Self {
        Self { one_filesystem, ..self }
    }

    pub(crate) fn excludes_any(&self) -> bool {
        !self.excluded.is_empty()
    }

    pub(crate) fn is_excluded(&self, path: &Path) -> bool {
        self.excludes_any() && self.excluded.is_match(path)
    }

    pub(crate) fn stays_on_one_filesystem(&self) -> bool {
        self.one_filesystem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(pattern: &str, path: &str) -> bool {
        Selection::excluding([pattern]).unwrap().is_excluded(Path::new(path))
    }

    #[test]
    fn a_name_is_excluded_everywhere_and_a_path_where_it_is() {
        assert!(excluded("*.o", "a.o") && excluded("*.o", "x/y/a.o") && !excluded("*.o", "a.oo"));
        assert!(excluded("node_modules/", "x/node_modules"));
        assert!(excluded("/cache", "cache") && !excluded("/cache", "x/cache"));
        assert!(excluded("var/log", "x/var/log") && !excluded("var/log", "x/var/logs"));
        assert!(excluded("/a/*/c", "a/b/c") && !excluded("/a/*/c", "a/b/b/c"));
        assert!(excluded("/a/**/c", "a/b/b/c"));
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_named() {
        let error = Selection::excluding(["good", "[bad"]).unwrap_err();
        assert_eq!(error.pattern, "[bad");
        for nothing in ["", "/", "//"] {
            let error = Selection::excluding(["good", nothing]).unwrap_err();
            assert_eq!(error.pattern, nothing);
        }
    }
}
