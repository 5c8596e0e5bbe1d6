//! Files that are too large to be read at once: block by block, with bounded memory.
//!
//! `block` is what is read at a time. A file that the parent point does not have becomes extents
//! by `cutting`; one that it has, and that was changed in place, by `revise`: `plan` finds what
//! changed with the help of a map of page digests (`page_map`, kept in `map_cache`), `recheck`
//! does so without one, and `assemble` makes the extents. `wear` limits fragmentation.

pub(crate) mod assemble;
pub(crate) mod block;
pub(crate) mod cutting;
pub(crate) mod map_cache;
pub(crate) mod page_map;
pub(crate) mod pages;
pub(crate) mod parent;
pub(crate) mod revise;
pub(crate) mod wear;

mod plan;
mod recheck;
mod run;
mod segments;

#[cfg(test)]
mod tests;
