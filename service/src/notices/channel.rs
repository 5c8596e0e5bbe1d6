//! Channels: to whom what is told, and how.

use std::collections::BTreeSet;
use std::time::Duration;

use minijinja::Environment;
use repository::blocking;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::mail::{MailConfig, MailError};
use super::{Notice, Occurrence};
use crate::secret::{Secret, SecretError, SecretSource};

/// A channel of the configuration: one of `webhook`, `mail` and `ping`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// An address that takes what is told.
    pub webhook: Option<WebhookConfig>,
    /// Mail.
    pub mail: Option<MailConfig>,
    /// An address that is asked at the beginning and the end of each run, and tells somebody where that does
    /// not happen.
    pub ping: Option<PingConfig>,
    /// Of what; of failure, recovery, staleness and a retention that has stopped, or of runs where it is a
    /// `ping`.
    pub on: Option<BTreeSet<Occurrence>>,
    /// Of which policies; of all by default.
    #[serde(default)]
    pub policies: Vec<String>,
}

/// An address that takes what is told.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The address.
    pub url: Address,
    /// What is sent, as a template; the notice as JSON by default.
    pub body: Option<String>,
    /// The kind of that.
    #[serde(default = "json")]
    pub content_type: String,
}

/// An address that is asked when runs begin and end.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PingConfig {
    /// The address; with `/start` and `/fail` behind it for the beginning of a run and one that failed.
    pub url: Address,
}

/// An address, which whoever knows it may use.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Address {
    /// As it stands.
    Plain(String),
    /// Where it is kept.
    Kept(SecretSource),
}

/// Why somebody cannot be told.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// There is not exactly one way to tell.
    #[error("it needs exactly one of `webhook`, `mail` and `ping`")]
    NotOne,
    /// A template makes no sense.
    #[error("its template makes no sense")]
    Template(#[from] minijinja::Error),
    /// There is no address, or no password.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The address is text that is none.
    #[error("its address is none")]
    Address,
    /// The mail cannot be sent.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Nobody could be asked. The address is left out.
    #[error("its address cannot be asked")]
    Unreachable(#[source] reqwest::Error),
    /// The address does not take it.
    #[error("its address answers {0}")]
    Refused(StatusCode),
}

impl ChannelConfig {
    /// # Errors
    /// When there is no way to tell, or several, or a template makes no sense.
    pub fn check(&self) -> Result<(), ChannelError> {
        let ways = [self.webhook.is_some(), self.mail.is_some(), self.ping.is_some()];
        if ways.into_iter().filter(|is_given| *is_given).count() != 1 {
            return Err(ChannelError::NotOne);
        }
        let sample = Notice::sample();
        if let Some(webhook) = &self.webhook {
            webhook.text(&sample)?;
        }
        if let Some(mail) = &self.mail {
            mail.check(&sample)?;
        }
        Ok(())
    }

    /// Whether it is for this.
    pub(crate) fn wants(&self, kind: Occurrence, policy: &str) -> bool {
        use Occurrence::{
            Failure, Recovery, RetentionStopped, RunFailed, RunStarted, RunSucceeded, Staleness,
        };
        let is_for = self.policies.is_empty() || self.policies.iter().any(|name| name == policy);
        let usual: &[Occurrence] = if self.ping.is_some() {
            &[RunStarted, RunSucceeded, RunFailed]
        } else {
            &[Failure, Recovery, RetentionStopped, Staleness]
        };
        is_for && self.on.as_ref().map_or(usual.contains(&kind), |on| on.contains(&kind))
    }

    /// Tells.
    pub(crate) async fn tell(&self, notice: &Notice) -> Result<(), ChannelError> {
        if let Some(webhook) = &self.webhook {
            let url = webhook.url.read().await?;
            let kind = webhook.content_type.as_str();
            return post(&url, (kind, webhook.text(notice)?)).await;
        }
        if let Some(ping) = &self.ping {
            let url = ping.url.read().await?;
            let url = format!("{}{}", url.trim_end_matches('/'), behind(notice.kind));
            return post(&url, ("text/plain; charset=utf-8", notice.to_string())).await;
        }
        match &self.mail {
            Some(mail) => Ok(mail.send(notice).await?),
            None => Err(ChannelError::NotOne),
        }
    }
}

// As healthchecks.io and those like it have it.
fn behind(kind: Occurrence) -> &'static str {
    match kind {
        Occurrence::RunStarted => "/start",
        Occurrence::RunFailed | Occurrence::Failure | Occurrence::Staleness => "/fail",
        Occurrence::RunSucceeded | Occurrence::Recovery => "",
        Occurrence::Test | Occurrence::RetentionStopped => "/log",
    }
}

impl WebhookConfig {
    fn text(&self, notice: &Notice) -> Result<String, ChannelError> {
        let template = self.body.as_deref().unwrap_or(WHOLE);
        Ok(render(template, notice)?)
    }
}

impl Address {
    async fn read(&self) -> Result<String, ChannelError> {
        let text = match self {
            Self::Plain(text) => text.clone(),
            Self::Kept(source) => {
                let source = source.clone();
                let text = blocking::run(move || source.read(Secret::Address)).await?;
                String::from_utf8(text.to_vec()).map_err(|_| ChannelError::Address)?
            }
        };
        Ok(text)
    }
}

async fn post(url: &str, (kind, body): (&str, String)) -> Result<(), ChannelError> {
    // Its errors have the address in them, which may be a secret.
    let unreachable = |error: reqwest::Error| ChannelError::Unreachable(error.without_url());
    // Elsewhere a POST would become a GET, and the address be known.
    let client = Client::builder().redirect(Policy::none()).referer(false);
    let client = client.timeout(ANSWER_MAX).user_agent(AGENT).build();
    let request = client.map_err(unreachable)?.post(url).header(CONTENT_TYPE, kind).body(body);
    match request.send().await.map_err(unreachable)?.status() {
        status if status.is_success() => Ok(()),
        status => Err(ChannelError::Refused(status)),
    }
}

/// What a template has.
#[derive(Serialize)]
struct Fields<'a> {
    /// All in a line, by the name that chats know.
    text: String,
    #[serde(flatten)]
    notice: &'a Notice,
}

/// A template of Jinja, with the fields of a notice, `text` with all of it in a line, and `all`.
pub(super) fn render(template: &str, notice: &Notice) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let fields = Fields { text: notice.to_string(), notice };
    let all = minijinja::Value::from(minijinja::value::Serde(&fields));
    environment.render_str(template, minijinja::context! { all => all.clone(), ..all })
}

fn json() -> String {
    "application/json".to_owned()
}

/// Everything, as JSON.
const WHOLE: &str = "{{ all | tojson }}";
/// Whoever takes longer is asked again later.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const AGENT: &str = concat!("stillpoint/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_all_that_is_known() {
        let notice = Notice::sample();
        let all: serde_json::Value =
            serde_json::from_str(&render(WHOLE, &notice).unwrap()).unwrap();
        assert_eq!((&all["kind"], &all["text"]), (&"failure".into(), &notice.to_string().into()));
        let line = render("{{ policy }}: {{ error or 'well' }}", &notice).unwrap();
        assert_eq!(line, "nightly: the repository is \"full\"");
        let json = render(r#"{"content": {{ text | tojson }}}"#, &notice).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        assert!(render("{{ colour }}", &notice).is_err());
        assert!(render("{{ policy", &notice).is_err());
    }
}
