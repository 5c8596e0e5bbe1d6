//! Mail.

use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use repository::blocking;
use serde::Deserialize;
use thiserror::Error;

use super::Notice;
use super::channel::render;
use crate::secret::{Secret, SecretError, SecretSource};

/// To whom mail goes, and by which server.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The server: `smtps://HOST` with TLS, `smtp://HOST?tls=required` with STARTTLS, `smtp://HOST` without.
    pub server: String,
    /// The user there, where the server wants to know.
    pub user: Option<String>,
    /// His password.
    pub password: Option<SecretSource>,
    /// Who it is from.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Vec<Mailbox>,
    /// The subject, as a template; all in a line by default.
    #[serde(default = "text")]
    pub subject: String,
    /// The text, as a template; all in a line by default.
    #[serde(default = "text")]
    pub body: String,
}

/// Why a mail cannot be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MailError {
    /// There is no password.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The text makes no mail.
    #[error("its mail makes no sense")]
    Message(#[from] lettre::error::Error),
    /// A template makes no sense.
    #[error("its template makes no sense")]
    Template(#[from] minijinja::Error),
    /// The server does not take it.
    #[error("its mail server does not take it")]
    Server(#[from] lettre::transport::smtp::Error),
    /// Somebody would see the password, or half of what is needed is there.
    #[error("its `user` and `password` belong together, and to a server with TLS")]
    Credentials,
    /// The password is no text.
    #[error("its password is no text")]
    Password,
}

impl MailConfig {
    /// # Errors
    /// When the server's address, a template or what it makes is nonsense.
    pub(super) fn check(&self, sample: &Notice) -> Result<(), MailError> {
        let is_open = self.server.starts_with("smtp://") && !self.server.contains("tls=required");
        if self.user.is_some() != self.password.is_some() || (self.user.is_some() && is_open) {
            return Err(MailError::Credentials);
        }
        self.transport(None)?;
        self.message(sample)?;
        Ok(())
    }

    pub(super) async fn send(&self, notice: &Notice) -> Result<(), MailError> {
        let credentials = match (&self.user, &self.password) {
            (Some(user), Some(source)) => {
                let source = source.clone();
                let password = blocking::run(move || source.read(Secret::Password)).await?;
                let password = String::from_utf8(password.to_vec());
                let password = password.map_err(|_| MailError::Password)?;
                Some(Credentials::new(user.clone(), password))
            }
            _ => None,
        };
        self.transport(credentials)?.send(self.message(notice)?).await?;
        Ok(())
    }

    fn transport(
        &self,
        credentials: Option<Credentials>,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&self.server)?;
        let transport = transport.timeout(Some(super::post::ANSWER_MAX));
        Ok(match credentials {
            Some(credentials) => transport.credentials(credentials).build(),
            None => transport.build(),
        })
    }

    fn message(&self, notice: &Notice) -> Result<Message, MailError> {
        // A subject has one line.
        let subject = render(&self.subject, notice)?.replace(['\r', '\n'], " ");
        let message = Message::builder().from(self.from.clone()).subject(subject).message_id(None);
        let message = self.to.iter().fold(message, |message, to| message.to(to.clone()));
        Ok(message.singlepart(SinglePart::plain(render(&self.body, notice)?))?)
    }
}

fn text() -> String {
    "{{ text }}".to_owned()
}
