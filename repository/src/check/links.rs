//! Following the links between control objects: what one leads to must be there, and be the same.

use std::collections::HashSet;

use format::names::ObjectName;

use super::finding::Finding;
use super::records::{Lead, Records};
use crate::error::RepositoryError;
use crate::reader::Reader;
use crate::store::StoreError;

/// What is wrong with the links. Each object is named once, and not at all if it is `known` to be
/// damaged.
///
/// Writers and prunes go on meanwhile, so whatever does not fit is looked at again.
pub(super) async fn follow(
    reader: &Reader,
    records: &Records,
    known: &[Finding],
) -> Result<Vec<Finding>, RepositoryError> {
    let suspects: Vec<Lead> =
        records.leads.iter().filter(|lead| !fits(records, lead)).copied().collect();
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    // An outcome or a generation that came meanwhile explains what went meanwhile.
    let now = Records::read(reader).await?;
    let mut findings = Vec::new();
    let mut named = HashSet::new();
    for Lead { by, to, digest } in suspects {
        if is_damaged(known, to) || named.contains(&to) {
            continue;
        }
        let finding = match reader.store().get(to).await {
            Ok(bytes) if digest.is_none_or(|digest| digest == reader.keys().digest(&bytes)) => {
                continue;
            }
            Ok(_) => Finding::ReplacedRecord { object: to, named_by: by },
            Err(StoreError::Missing { .. }) if now.may_be_gone(to) => continue,
            Err(StoreError::Missing { .. }) => Finding::MissingRecord { object: to, named_by: by },
            Err(error) => return Err(error.into()),
        };
        named.insert(to);
        findings.push(finding);
    }
    Ok(findings)
}

fn fits(records: &Records, lead: &Lead) -> bool {
    match (records.digests.get(&lead.to), lead.digest) {
        (Some(found), Some(wanted)) => *found == wanted,
        (Some(_), None) => true,
        (None, _) => records.may_be_gone(lead.to),
    }
}

// What cannot be opened has been named already.
fn is_damaged(findings: &[Finding], name: ObjectName) -> bool {
    findings.iter().any(|finding| match finding {
        Finding::DamagedRecord { object, .. } | Finding::DamagedIndex { object, .. } => {
            *object == name
        }
        Finding::DamagedPoint { point, .. } => ObjectName::Outcome(*point) == name,
        _ => false,
    })
}
