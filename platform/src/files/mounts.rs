//! Which filesystem lies where.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Every mount that a process sees.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MountTable {
    mounts: Vec<Mounted>,
}

/// One mounted filesystem, or a part of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mounted {
    /// The number of this mount.
    pub id: u64,
    /// The number of the mount that it is mounted on.
    pub parent: u64,
    /// Major and minor number of the filesystem's device.
    pub device: (u32, u32),
    /// Which directory, or file, of the filesystem is mounted here.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The type of the filesystem, such as `ext4`.
    pub filesystem: String,
    /// What was mounted, such as `/dev/sda1`.
    pub source: OsString,
    /// The options of the filesystem, between commas.
    pub options: String,
}

/// A line that is none of a mount table's.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("line {line} of the mount table cannot be understood")]
pub struct ParseMountTableError {
    line: usize,
}

impl MountTable {
    /// The mounts that this process sees now.
    pub fn read() -> io::Result<Self> {
        let text = std::fs::read("/proc/self/mountinfo")?;
        Self::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Reads the text of `/proc/<pid>/mountinfo`.
    pub fn parse(text: &[u8]) -> Result<Self, ParseMountTableError> {
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        let mounts = lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| parse_line(line).ok_or(ParseMountTableError { line: index + 1 }))
            .collect::<Result<_, _>>()?;
        Ok(Self { mounts })
    }

    /// All of them, in the order of the table; hidden ones are among them.
    pub fn iter(&self) -> impl Iterator<Item = &Mounted> {
        self.mounts.iter()
    }

    /// The mount that holds an absolute path without symbolic links.
    ///
    /// The path is walked down as the kernel walks it, so that a mount hidden by a later one above
    /// it is not found.
    pub fn holding(&self, path: &Path) -> Option<&Mounted> {
        let mut holder = None;
        // No more steps than mounts, for a strange table may have a circle.
        for _ in &self.mounts {
            match self.next_on_way(holder, path) {
                Some(next) => holder = Some(next),
                None => break,
            }
        }
        holder
    }

    /// The mounts strictly below a path that can be seen, in the order of the table.
    pub fn below(&self, path: &Path) -> impl Iterator<Item = &Mounted> {
        self.mounts.iter().filter(move |mount| {
            mount.point.starts_with(path)
                && mount.point != path
                && self.holding(&mount.point).is_some_and(|seen| std::ptr::eq(seen, *mount))
        })
    }

    fn next_on_way(&self, holder: Option<&Mounted>, path: &Path) -> Option<&Mounted> {
        let on_holder = |mount: &&Mounted| match holder {
            Some(holder) => {
                mount.parent == holder.id
                    && mount.id != holder.id
                    && mount.point.starts_with(&holder.point)
            }
            None => !self.mounts.iter().any(|m| m.id == mount.parent && m.id != mount.id),
        };
        self.mounts
            .iter()
            .rev()
            .filter(|mount| path.starts_with(&mount.point))
            .filter(on_holder)
            .min_by_key(|mount| mount.point.as_os_str().len())
    }
}

impl Mounted {
    /// Where a path on this mount lies in the filesystem, wherever that is mounted.
    pub fn inside(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(&self.point).ok()?;
        // Joining an empty path would add a slash, which is wrong for a mounted file.
        Some(if rest.as_os_str().is_empty() { self.root.clone() } else { self.root.join(rest) })
    }
}

// 36 35 98:0 /root /point rw,noatime optional fields - type source options
fn parse_line(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let (major, minor) = text(fields.next()?)?.split_once(':')?;
    let root = path(fields.next()?)?;
    let point = path(fields.next()?)?;
    let _mount_options = fields.next()?;
    fields.by_ref().find(|field| *field == b"-")?;
    let filesystem = text(fields.next()?)?.to_owned();
    let source = OsString::from_vec(unescape(fields.next()?)?);
    let options = String::from_utf8_lossy(&unescape(fields.next().unwrap_or_default())?).into();
    let device = (major.parse().ok()?, minor.parse().ok()?);
    Some(Mounted { id, parent, device, root, point, filesystem, source, options })
}

fn number(field: &[u8]) -> Option<u64> {
    text(field)?.parse().ok()
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

fn path(field: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(OsStr::from_bytes(&unescape(field)?)))
}

fn unescape(field: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\' {
            bytes.push(u8::from_str_radix(text(tail.get(..3)?)?, 8).ok()?);
            rest = tail.get(3..)?;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
40 27 8:1 /@data /srv/a\\040b rw - btrfs /dev/sd\\134x rw,subvol=/@data
41 40 8:2 / /srv/a\\040b/deep rw - xfs /dev/sdb rw
42 27 0:50 / /tmp rw - tmpfs tmpfs rw
43 42 0:51 / /tmp/over rw - tmpfs one rw
44 43 0:52 / /tmp/over rw - tmpfs two rw
50 27 0:60 / /mnt/a/b rw - tmpfs hidden rw
51 27 0:61 / /mnt/a rw - tmpfs cover rw
";

    fn table() -> MountTable {
        MountTable::parse(TABLE.as_bytes()).unwrap()
    }

    fn source(table: &MountTable, path: &str) -> String {
        table.holding(Path::new(path)).unwrap().source.to_string_lossy().into_owned()
    }

    #[test]
    fn every_field_of_a_line_is_read() {
        let table = table();
        let mount = table.holding(Path::new("/srv/a b/x")).unwrap();
        assert_eq!((mount.id, mount.parent, mount.device), (40, 27, (8, 1)));
        assert_eq!(mount.root, Path::new("/@data"));
        assert_eq!(mount.point, Path::new("/srv/a b"));
        assert_eq!(
            (mount.filesystem.as_str(), mount.source.to_str()),
            ("btrfs", Some("/dev/sd\\x"))
        );
        assert_eq!(mount.options, "rw,subvol=/@data");
        assert_eq!(mount.inside(Path::new("/srv/a b/x/y")), Some(PathBuf::from("/@data/x/y")));
        assert_eq!(mount.inside(Path::new("/srv")), None);
    }

    #[test]
    fn the_longest_visible_mount_holds_a_path() {
        let table = table();
        for (path, expected) in [
            ("/", "/dev/vda"),
            ("/srv", "/dev/vda"),
            ("/srv/a b", "/dev/sd\\x"),
            ("/srv/a bc", "/dev/vda"),
            ("/srv/a b/deep/er", "/dev/sdb"),
            ("/tmp/x", "tmpfs"),
            ("/tmp/over/x", "two"),
            ("/mnt/a/b/c", "cover"),
        ] {
            assert_eq!(source(&table, path), expected, "{path}");
        }
    }

    #[test]
    fn hidden_mounts_are_not_below_anything() {
        let table = table();
        let below =
            |path: &str| -> Vec<u64> { table.below(Path::new(path)).map(|m| m.id).collect() };
        assert_eq!(below("/"), [22, 40, 41, 42, 44, 51]);
        assert_eq!(below("/srv"), [40, 41]);
        assert_eq!(below("/srv/a b"), [41]);
        assert_eq!(below("/mnt/a"), [0; 0]);
    }

    #[test]
    fn a_line_that_is_cut_off_is_named() {
        for line in ["1 2 3:4 / /a", "x", "1 2 3 / / rw - a b c", "1 2 3:4 / /\\9 rw - a b c"] {
            let text = format!("{TABLE}{line}\n");
            assert_eq!(MountTable::parse(text.as_bytes()), Err(ParseMountTableError { line: 10 }));
        }
    }

    #[test]
    fn a_circle_of_mounts_ends() {
        let text = b"5 1 0:1 / / rw - a a rw\n6 5 0:1 / / rw - b b rw\n5 6 0:1 / / rw - c c rw\n";
        let table = MountTable::parse(text).unwrap();
        assert!(table.holding(Path::new("/x")).is_some());
    }

    #[test]
    fn names_need_not_be_text() {
        let table = MountTable::parse(b"1 0 0:1 / /\xff rw - a b rw").unwrap();
        assert_eq!(table.iter().next().unwrap().point.as_os_str().as_bytes(), b"/\xff");
    }

    #[test]
    fn this_machine_has_a_root() {
        assert!(MountTable::read().unwrap().holding(Path::new("/")).is_some());
    }
}
