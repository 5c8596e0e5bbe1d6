//! Carrying out a plan, in an order in which nothing is lost wherever it stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use format::frame::{ChunkKind, ChunkRecord};
use format::ids::ChunkId;
use format::keys::Keys;
use format::names::{ObjectName, PackName};
use format::pack::PackRecord;

use super::{Plan, Repaired};
use crate::blocking;
use crate::check::Finding;
use crate::error::RepositoryError;
use crate::index::Index;
use crate::packer::Packer;
use crate::prune::publish;
use crate::reader::Reader;
use crate::salvage;
use crate::store::Store;
use crate::writer::Writer;

/// How often a damaged pack is read: what a store gives wrongly once must not count as lost.
const READINGS: usize = 2;

/// Chunks, each with what it is part of and its bytes.
type Readable = BTreeMap<ChunkId, (ChunkKind, Vec<u8>)>;

/// What can be read of damaged packs, then the index, and when all of that is stored: nobody relies
/// on what is damaged any more.
pub(super) async fn mend(
    (store, reader): (&dyn Store, &Reader),
    writer: &Writer,
    plan: Plan,
) -> Result<Repaired, RepositoryError> {
    let mut repaired = Repaired::default();
    let mut packs = described(reader, &plan).await?;
    repaired.indexed = packs.len() as u64;
    packs.extend(salvage(reader, writer, &plan, &mut repaired).await?);
    writer.store_index(packs).await?;
    let condemned = plan.packs.into_iter().map(ObjectName::Pack).chain(plan.segments);
    let condemned: Vec<ObjectName> = condemned.collect();
    if !condemned.is_empty() {
        let number = plan.generation.saturating_add(1);
        if !publish::condemn(store, reader, number, condemned.clone()).await? {
            // Who was first may have died before the generation began.
            publish::complete(store, reader, number).await?;
            return Err(RepositoryError::Overtaken);
        }
    }
    repaired.condemned = condemned;
    Ok(repaired)
}

// What the new segments say of packs that no other names: what their footers say, and where one
// cannot be read, what a segment says that is being replaced.
async fn described(reader: &Reader, plan: &Plan) -> Result<Vec<PackRecord>, RepositoryError> {
    let listing = reader.packs().await?;
    let mut records = Vec::new();
    for pack in &plan.indexed {
        let Some(size) = listing.size(*pack) else { continue };
        let record = match reader.footer(*pack, size).await {
            Ok(record) => Some(record),
            Err(RepositoryError::Damaged { .. }) => {
                plan.records.iter().find(|record| record.name == *pack).cloned()
            }
            Err(error) => return Err(error),
        };
        records.extend(record);
    }
    Ok(records)
}

// Stores again what can be read of the damaged packs and lies in no good one.
async fn salvage(
    reader: &Reader,
    writer: &Writer,
    plan: &Plan,
    repaired: &mut Repaired,
) -> Result<Vec<PackRecord>, RepositoryError> {
    let good = good_index(reader, plan).await?;
    let records = records_of(reader, plan).await?;
    let mut packer = Packer::new(writer.clone())?;
    let (mut packs, mut stored) = (Vec::new(), BTreeSet::new());
    for pack in &plan.packs {
        let records = records.iter().filter(|record| record.name == *pack).cloned().collect();
        for (id, (kind, bytes)) in readable(reader, *pack, records).await? {
            if good.contains(id)? || !stored.insert(id) {
                continue;
            }
            // No chunk is longer than a frame, so its length fits.
            let Ok(length) = u32::try_from(bytes.len()) else { continue };
            packer.add(kind, ChunkRecord { id, length }, &bytes);
            packs.extend(packer.store_full().await?);
            repaired.salvaged += 1;
        }
    }
    packs.extend(packer.finish().await?);
    Ok(packs)
}

// What is said about the damaged packs. A segment that the check could read must still be readable:
// it may be all that says what can be saved of them.
async fn records_of(reader: &Reader, plan: &Plan) -> Result<Vec<PackRecord>, RepositoryError> {
    let records = salvage::records_of(reader, &plan.packs, &plan.known).await?;
    let condemned = reader.condemned(plan.generation).await?;
    let damaged = plan.report.findings.iter().filter_map(|finding| match finding {
        Finding::DamagedIndex { object, .. } => Some(*object),
        _ => None,
    });
    let damaged: BTreeSet<ObjectName> = damaged.collect();
    let is_known = |name: &ObjectName| condemned.contains(*name) || damaged.contains(name);
    match records.unread.into_iter().find(|name| !is_known(name)) {
        Some(name) => Err(RepositoryError::damaged(name, "it was readable when this was planned")),
        None => Ok(records.packs),
    }
}

// The chunks that lie in packs which nothing speaks against. What a session at work has stored, or one
// that died, is no reason to leave anything where it is damaged: no segment may ever name it.
async fn good_index(reader: &Reader, plan: &Plan) -> Result<Index, RepositoryError> {
    let mut bad = reader.condemned(plan.generation).await?;
    let (packs, ended) = (reader.packs().await?, reader.ended().await?);
    let names = packs.iter().map(|(pack, _)| pack);
    let doubtful = names.filter(|pack| plan.packs.contains(pack) || !ended.contains(&pack.session));
    bad.add(plan.generation.saturating_add(1), doubtful.map(ObjectName::Pack));
    Index::load(reader, None, &bad).await
}

// The chunks that can be read of a pack.
async fn readable(
    reader: &Reader,
    pack: PackName,
    records: Vec<PackRecord>,
) -> Result<Readable, RepositoryError> {
    let (mut found, records) = (Readable::new(), Arc::new(records));
    for _ in 0..READINGS {
        let Some(bytes) = salvage::bytes_of(reader, pack, &records).await? else { break };
        let (keys, records) = (Arc::clone(reader.keys()), Arc::clone(&records));
        let trying = move || {
            let is_whole = try_all(&keys, &records, &bytes, &mut found);
            (found, is_whole)
        };
        let is_whole;
        (found, is_whole) = blocking::run(trying).await;
        if is_whole {
            break;
        }
    }
    Ok(found)
}

// Adds the chunks that are not found yet; returns whether none is missing.
fn try_all(keys: &Keys, records: &[PackRecord], bytes: &[u8], found: &mut Readable) -> bool {
    let mut missing = BTreeSet::new();
    for record in records {
        salvage::try_chunks(keys, record, bytes, |kind, chunk, plaintext| {
            if let Some(plaintext) = plaintext {
                found.entry(chunk.id).or_insert_with(|| (kind, plaintext.to_vec()));
            } else {
                missing.insert(chunk.id);
            }
        });
    }
    missing.iter().all(|id| found.contains_key(id))
}
