//! Where files take no space.

use std::fs::File;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Filesystems differ in what they can leave out: this much may be filled without being reported.
pub(super) const TOLERANCE: u64 = 256 << 10;
/// How coarsely holes are looked at.
const BLOCK: u64 = 64 << 10;

/// How many bytes are in holes of `a` and not in holes of `b`. Holes that grew are no loss.
pub(super) fn filled(a: &File, b: &File) -> u64 {
    let (holes, data) = (blocks_of(a, Wanted::Hole), blocks_of(b, Wanted::Data));
    let in_data = |block: u64| data.iter().any(|(begin, end)| *begin <= block && block < *end);
    let blocks = holes.iter().flat_map(|(begin, end)| *begin..*end);
    blocks.filter(|block| in_data(*block)).count() as u64 * BLOCK
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Wanted {
    Hole,
    Data,
}

/// Ranges of blocks that lie in holes wholly, or that have any data.
fn blocks_of(file: &File, wanted: Wanted) -> Vec<(u64, u64)> {
    // What was just written may have no place yet, and would count as it was written.
    file.sync_all().expect("the file can be synced");
    let size = file.metadata().expect("the file can be inspected").len();
    let mut found = Vec::new();
    let mut offset = 0;
    while offset < size {
        let data = match seek(file, SeekFrom::Data(offset)) {
            Err(Errno::NXIO) => size,
            data => data.expect("holes can be asked for"),
        };
        let hole = if data < size {
            seek(file, SeekFrom::Hole(data)).expect("holes can be asked for")
        } else {
            size
        };
        match wanted {
            Wanted::Hole => found.push((offset.div_ceil(BLOCK), data / BLOCK)),
            Wanted::Data => found.push((data / BLOCK, hole.div_ceil(BLOCK))),
        }
        offset = hole;
    }
    found.retain(|(begin, end)| begin < end);
    found
}
