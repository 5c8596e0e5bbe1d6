//! The verbs for tokens.

use service::error::ServiceError;
use service::tokens::TokenError;

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
                let name = row.name.clone();
                let shown = render::NewToken { token: &token, row };
                if let Err(error) = render::deliver(&shown, self.arguments.json) {
                    machine.revoke_token(&name).await?;
                    return Err(TokenError::Unprinted(error).into());
                }
                Ok(Exit::Success)
            }
            TokenVerb::List => Ok(self.answer(&machine.tokens().await?, Exit::Success)),
            TokenVerb::Revoke { name } => {
                machine.revoke_token(name).await?;
                Ok(self.answer(&render::RevokedToken { revoked: name }, Exit::Success))
            }
        }
    }
}
