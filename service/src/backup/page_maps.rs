//! Where the page maps of an application's volumes lie in the cache.

use std::path::PathBuf;

use format::raw::RawPath;
use repository::reader::Reader;

use crate::engine::Engine;

/// The page maps of one application.
pub(super) struct PageMaps {
    directory: PathBuf,
    reader: Reader,
}

impl Engine {
    /// The page maps of this application, if anything is kept.
    pub(super) fn page_maps(&self, application: &str) -> Option<PageMaps> {
        let reader = self.reader.clone();
        let name = reader.cache_name(application.as_bytes());
        let repository = self.cache.as_ref()?.join(reader.id().to_string());
        Some(PageMaps { directory: repository.join("pages").join(name), reader })
    }
}

impl PageMaps {
    /// The directory of one volume.
    pub(super) fn of(&self, volume: &RawPath) -> PathBuf {
        self.directory.join(self.reader.cache_name(volume.as_bytes()))
    }
}
