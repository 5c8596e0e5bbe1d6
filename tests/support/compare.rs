//! What tells two trees of files apart, seen by the kernel's eyes and with none of our own code.
//!
//! Names, kinds, content, targets of links, modes, owners, times of modification, extended
//! attributes (ACLs among them), device numbers, groups of hard links, and holes. What a copy
//! cannot keep is not compared: inode numbers, times of access and change, sizes of directories.

mod facts;
mod holes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use self::facts::{Facts, Kind};

/// One thing that is not the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Where, below the two roots; empty for the roots themselves.
    pub path: PathBuf,
    /// In what.
    pub aspect: Aspect,
    /// What the first tree has and what the second one has.
    pub detail: String,
}

/// What a file can differ in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Aspect {
    /// The second tree lacks it.
    Missing,
    /// Only the second tree has it.
    Extra,
    /// File, directory, and so on.
    Kind,
    /// Bytes or length.
    Content,
    /// Where a symbolic link leads.
    Target,
    /// Permission, set-id and sticky bits.
    Mode,
    /// Owner or group.
    Owner,
    /// Time of modification.
    Modified,
    /// Extended attributes.
    Attributes,
    /// Device number.
    Device,
    /// Which names are the same file.
    HardLinks,
    /// Holes that were filled.
    Holes,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {:?}: {}", self.path.display(), self.aspect, self.detail)
    }
}

/// Every difference between two trees, or two files, in the order of their paths.
pub fn compare(a: &Path, b: &Path) -> Vec<Difference> {
    let (mine, yours) = (tree(a), tree(b));
    let mut differences = Vec::new();
    for path in mine.keys().chain(yours.keys()).collect::<BTreeSet<_>>() {
        let mut report = |aspect, detail| {
            differences.push(Difference { path: path.clone(), aspect, detail });
        };
        match (mine.get(path), yours.get(path)) {
            (Some(mine), Some(yours)) => {
                metadata(mine, yours, &mut report);
                if mine.kind == Kind::File && yours.kind == Kind::File {
                    content(&below(a, path), &below(b, path), &mut report);
                }
            }
            (Some(mine), None) => report(Aspect::Missing, format!("{:?}", mine.kind)),
            (None, Some(yours)) => report(Aspect::Extra, format!("{:?}", yours.kind)),
            (None, None) => {}
        }
    }
    differences
}

/// Panics with the first differences unless the trees are the same.
pub fn assert_same(a: &Path, b: &Path) {
    let differences = compare(a, b);
    let shown: Vec<String> = differences.iter().take(20).map(ToString::to_string).collect();
    assert!(
        differences.is_empty(),
        "{} differences between {} and {}:\n{}",
        differences.len(),
        a.display(),
        b.display(),
        shown.join("\n")
    );
}

type Report<'a> = dyn FnMut(Aspect, String) + 'a;

fn metadata(a: &Facts, b: &Facts, report: &mut Report<'_>) {
    if a.kind != b.kind {
        report(Aspect::Kind, format!("{:?}, {:?}", a.kind, b.kind));
        return;
    }
    if a.target != b.target {
        report(Aspect::Target, format!("{:?}, {:?}", a.target, b.target));
    }
    // Links have no mode that counts.
    if a.mode != b.mode && a.kind != Kind::Symlink {
        report(Aspect::Mode, format!("{:o}, {:o}", a.mode, b.mode));
    }
    if a.owner != b.owner {
        report(Aspect::Owner, format!("{:?}, {:?}", a.owner, b.owner));
    }
    if a.modified != b.modified {
        report(Aspect::Modified, format!("{:?}, {:?}", a.modified, b.modified));
    }
    if a.attributes != b.attributes {
        report(Aspect::Attributes, format!("{:?}, {:?}", a.attributes, b.attributes));
    }
    if a.device != b.device {
        report(Aspect::Device, format!("{:?}, {:?}", a.device, b.device));
    }
    if a.first_name != b.first_name {
        report(Aspect::HardLinks, format!("with {:?}, with {:?}", a.first_name, b.first_name));
    }
}

fn content(a: &Path, b: &Path, report: &mut Report<'_>) {
    let open = |path: &Path| File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut a, mut b) = (open(a), open(b));
    if let Some(detail) = first_difference(&mut a, &mut b) {
        report(Aspect::Content, detail);
        return;
    }
    let filled = holes::filled(&a, &b);
    if filled > holes::TOLERANCE {
        report(Aspect::Holes, format!("{filled} bytes that took no space do now"));
    }
}

fn first_difference(a: &mut File, b: &mut File) -> Option<String> {
    const PIECE: u64 = 1 << 20;
    let (mut mine, mut yours) = (Vec::new(), Vec::new());
    let mut offset = 0;
    loop {
        mine.clear();
        yours.clear();
        a.take(PIECE).read_to_end(&mut mine).expect("the file can be read");
        b.take(PIECE).read_to_end(&mut yours).expect("the file can be read");
        if mine != yours {
            let equal = mine.iter().zip(&yours).take_while(|(a, b)| a == b).count();
            return Some(format!("from byte {} on", offset + equal));
        }
        if mine.is_empty() {
            return None;
        }
        offset += mine.len();
    }
}

// Joining nothing would add a slash, which makes a directory of what may be none.
fn below(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

fn tree(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let whole = below(root, &path);
        let facts = Facts::of(&whole).unwrap_or_else(|e| panic!("{}: {e}", whole.display()));
        if facts.kind == Kind::Directory {
            let entries = std::fs::read_dir(&whole).expect("the directory can be read");
            open.extend(entries.map(|e| path.join(e.expect("an entry").file_name())));
        }
        found.insert(path, facts);
    }
    // The first name in the order of paths stands for all names of a file.
    let mut first_names = BTreeMap::new();
    for (path, facts) in &mut found {
        if facts.names > 1 && facts.kind != Kind::Directory {
            facts.first_name =
                Some(first_names.entry(facts.inode).or_insert_with(|| path.clone()).clone());
        }
    }
    found
}

#[cfg(test)]
mod tests;
