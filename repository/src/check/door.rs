//! What stands before the keys: the descriptor and the key slots. Nothing links to them.

use format::descriptor::Descriptor;
use format::names::ObjectName;

use super::finding::Finding;
use crate::error::{RepositoryError, chain};
use crate::reader::Reader;
use crate::store::StoreError;
use crate::unlock;

/// What is wrong with them: every byte of a slot is proven by the root key, and a descriptor that
/// reads well and names this repository is what it was.
pub(super) async fn look(reader: &Reader) -> Result<Vec<Finding>, RepositoryError> {
    let mut findings = Vec::new();
    let mut altered = |object, reason| findings.push(Finding::DamagedRecord { object, reason });
    match reader.store().get(ObjectName::Descriptor).await {
        Ok(bytes) => match Descriptor::parse(&bytes) {
            Ok(descriptor) if descriptor.repository() == reader.id() => {}
            Ok(_) => altered(ObjectName::Descriptor, "it names another repository".to_owned()),
            Err(error) => altered(ObjectName::Descriptor, chain(&error)),
        },
        Err(StoreError::Missing { .. }) => {
            altered(ObjectName::Descriptor, "it is not there".to_owned());
        }
        Err(error) => return Err(error.into()),
    }
    for listed in unlock::list(reader.store()).await? {
        let object = listed.1.name;
        match unlock::read_with_bytes(reader.store(), listed).await {
            // Byte for byte: nobody vouches for another spelling.
            Ok((slot, bytes)) if slot.is_proven_by(reader.keys()) && slot.to_bytes() == bytes => {}
            Ok(_) => altered(object, "it is not what a key holder made".to_owned()),
            // Removed by somebody who may.
            Err(RepositoryError::Store(StoreError::Missing { .. })) => {}
            Err(error @ RepositoryError::Store(_)) => return Err(error),
            Err(error) => altered(object, chain(&error)),
        }
    }
    Ok(findings)
}
