//! The page maps of an upload, kept when its point exists.

use std::collections::HashSet;
use std::path::Path;

use format::ids::ContentHash;

use crate::large::map_cache::MapCache;
use crate::large::page_map::NewPageMap;

/// The page maps of one volume.
#[derive(Debug)]
pub(crate) struct VolumeMaps {
    pub(crate) cache: MapCache,
    pub(crate) unchanged: Vec<ContentHash>,
    pub(crate) new: Vec<NewPageMap>,
}

/// The page maps in a directory; a cache that cannot be used is done without.
pub(crate) fn open(directory: &Path) -> Option<MapCache> {
    let opened = MapCache::open(directory);
    opened.inspect_err(|error| tracing::warn!(%error, "page digests cannot be kept")).ok()
}

impl VolumeMaps {
    /// Puts the new maps in their places and removes those of no use any more.
    pub(crate) fn keep(self) {
        let mut in_use: HashSet<_> = self.unchanged.into_iter().collect();
        for map in self.new {
            in_use.insert(map.hash());
            if let Err(error) = map.keep() {
                tracing::warn!(%error, "page digests of a file cannot be kept");
            }
        }
        if let Err(error) = self.cache.sweep(&in_use) {
            tracing::warn!(%error, "old page digests cannot be removed");
        }
    }
}
