//! Packs are named in the index while others are still being made: what a backup that is cut off
//! has stored till then, the next one finds.

use std::time::Duration;

use format::pack::PackRecord;
use repository::writer::Writer;
use tokio::time::Instant;

use crate::error::UploadError;
use crate::pipeline::Sent;

/// How many packs the first segment names, unless there are fewer. Each later one names as many
/// as all before it: a backup has few segments, and loses at most half of its packs.
const PACKS_FIRST: usize = 8;
/// How many packs wait at the most.
const PACKS_MAX: usize = 512;
/// How long a pack waits at the most, while others are being stored.
const WAIT_MAX: Duration = Duration::from_mins(2);

/// The packs of a pass that are stored.
#[derive(Debug)]
pub(crate) struct Indexing {
    writer: Writer,
    waiting: Vec<PackRecord>,
    indexed: usize,
    since: Instant,
    sent: Sent,
}

impl Indexing {
    pub(crate) fn begin(writer: Writer) -> Self {
        let (waiting, sent) = (Vec::new(), Sent::default());
        Self { writer, waiting, indexed: 0, since: Instant::now(), sent }
    }

    /// A pack is stored.
    pub(crate) async fn add(&mut self, pack: PackRecord) -> Result<(), UploadError> {
        self.sent.packs += pack.size;
        self.waiting.push(pack);
        let enough = self.indexed.clamp(PACKS_FIRST, PACKS_MAX);
        if self.waiting.len() >= enough || self.since.elapsed() >= WAIT_MAX {
            self.store().await?;
        }
        Ok(())
    }

    /// All packs are stored; returns how much that was.
    pub(crate) async fn end(mut self) -> Result<Sent, UploadError> {
        self.store().await?;
        Ok(self.sent)
    }

    async fn store(&mut self) -> Result<(), UploadError> {
        let packs = std::mem::take(&mut self.waiting);
        self.indexed += packs.len();
        self.sent.index += self.writer.store_index(packs).await?;
        self.since = Instant::now();
        Ok(())
    }
}
