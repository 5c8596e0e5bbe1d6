//! Files that are too large to be read at once: block by block, with bounded memory.
//!
//! `block` is what is read at a time; `revise` turns blocks into extents when the file is known
//! from the parent point and was changed in place; `pages` keeps the digests by which the changed
//! pages are found.

pub(crate) mod block;
