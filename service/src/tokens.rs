//! Tokens: who may ask the service from elsewhere.
//!
//! A token is 32 bytes of chance, and is shown once. The catalog has its digest, from which nobody can get
//! back to it, so that whoever reads the catalog or a copy of it cannot ask for anything.

use catalog::{Role, TokenRow};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::error::ServiceError;
use crate::machine::Machine;

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// What may be done with it.
    pub role: Role,
    /// For which applications; for all, and what is about none, where there is none.
    pub applications: Vec<String>,
    /// For how long it is good; for ever where that is absent.
    pub lasts: Option<std::time::Duration>,
}

/// Why a token cannot be made or revoked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is a token of this name.
    #[error("there is a token `{0}` already")]
    Exists(String),
    /// There is no such token.
    #[error("there is no token `{0}` that was not revoked")]
    Unknown(String),
    /// Whoever has files restored may write everywhere.
    #[error("a token with the role `admin` is for the whole host, and not for some applications")]
    AdminOfSome,
    /// It was made, and nobody has seen it; it is revoked.
    #[error("the new token could not be printed")]
    Unprinted(#[source] std::io::Error),
}

impl TokenError {
    /// What the user can do about it, in one sentence.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Exists(_) => "give it another name, or revoke that one first",
            Self::Unknown(_) => "`stillpoint token list` lists what there is",
            Self::AdminOfSome => "give it the role `operator`, or leave --app out",
            Self::Unprinted(_) => "make it again: that one is revoked",
        }
    }
}

impl Machine {
    /// Makes a token; answers it, which nobody can later.
    ///
    /// # Errors
    /// When there is one of this name, or one for some applications is to be for the whole host.
    pub async fn add_token(
        &self,
        new: NewToken,
    ) -> Result<(Zeroizing<String>, TokenRow), ServiceError> {
        let NewToken { name, role, applications, lasts } = new;
        if role == Role::Admin && !applications.is_empty() {
            return Err(TokenError::AdminOfSome.into());
        }
        let created = self.clock.now();
        let token = make()?;
        let row = TokenRow {
            name: name.clone(),
            role,
            applications: Some(applications).filter(|applications| !applications.is_empty()),
            created,
            expires: lasts.map(|lasts| after(created, lasts)),
            revoked: None,
        };
        let catalog = self.open_catalog().await?;
        let inserted = catalog.insert_token(row.clone(), digest(&token)).await;
        catalog.close().await;
        if inserted? { Ok((token, row)) } else { Err(TokenError::Exists(name).into()) }
    }

    /// Every token, without what makes it one.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, ServiceError> {
        let catalog = self.open_catalog().await?;
        let tokens = catalog.tokens().await;
        catalog.close().await;
        Ok(tokens?)
    }

    /// Takes a token back. Whoever has it gets no further answer, also from a service that runs; what he
    /// follows ends.
    ///
    /// # Errors
    /// When there is none of this name, or it was revoked before.
    pub async fn revoke_token(&self, name: &str) -> Result<(), ServiceError> {
        let catalog = self.open_catalog().await?;
        let revoked = catalog.revoke_token(name, self.clock.now()).await;
        catalog.close().await;
        if revoked? { Ok(()) } else { Err(TokenError::Unknown(name.to_owned()).into()) }
    }
}

/// By which a token is known.
pub(crate) fn digest(token: &str) -> String {
    blake3::Hasher::new_derive_key(CONTEXT).update(token.as_bytes()).finalize().to_hex().to_string()
}

fn make() -> Result<Zeroizing<String>, ServiceError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|error| {
        let source = std::io::Error::other(error);
        ServiceError::System { action: "get random bytes", source }
    })?;
    // Hexadecimal, by what the digest's library has for that.
    let hex = blake3::Hash::from_bytes(*bytes).to_hex();
    Ok(Zeroizing::new(format!("{PREFIX}{hex}")))
}

fn after(moment: Timestamp, lasts: std::time::Duration) -> Timestamp {
    let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
    moment.checked_add(lasts).unwrap_or(Timestamp::MAX)
}

/// By which people, and programs that look for secrets, know one.
const PREFIX: &str = "stillpoint_";
const CONTEXT: &str = "stillpoint 2026-11-23 API token";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_another_and_known_by_its_digest() {
        let (first, second) = (make().unwrap(), make().unwrap());
        assert_ne!(*first, *second);
        assert_eq!((first.len(), digest(&first).len()), (PREFIX.len() + 64, 64));
        assert_ne!(digest(&first), digest(&second));
        assert!(!first.contains(&digest(&first)));
    }
}
