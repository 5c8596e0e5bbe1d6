//! The verbs for tokens.

use service::error::ServiceError;

use super::Context;
use crate::arguments::TokenVerb;
use crate::exit::Exit;
use crate::render;

impl Context {
    pub(super) async fn token(&self, verb: &TokenVerb) -> Result<Exit, ServiceError> {
        let machine = self.machine()?;
        match verb {
            TokenVerb::Add(wanted) => {
                let (token, row) = machine.add_token(wanted.token()).await?;
                Ok(self.answer(&render::NewToken { token: &token, row }, Exit::Success))
            }
            TokenVerb::List => Ok(self.answer(&machine.tokens().await?, Exit::Success)),
            TokenVerb::Revoke { name } => {
                machine.revoke_token(name).await?;
                Ok(self.answer(&render::RevokedToken { revoked: name }, Exit::Success))
            }
        }
    }
}
