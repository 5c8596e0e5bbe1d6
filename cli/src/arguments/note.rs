//! What can be typed to say something about restore points.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use clap::Args;
use service::Note;
use service::points::PointName;

/// Which tags come and go.
#[derive(Args, Debug)]
pub(crate) struct TagArguments {
    /// `latest`, or the first digits of each point's id
    #[arg(value_name = "POINT", required = true)]
    pub(crate) points: Vec<PointName>,
    /// The application whose points are meant
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// A tag that they get
    #[arg(long, value_name = "TAG", required_unless_present = "remove")]
    add: Vec<String>,
    /// A tag that they lose
    #[arg(long, value_name = "TAG")]
    remove: Vec<String>,
}

impl TagArguments {
    /// What is said.
    pub(crate) fn notes(&self) -> Vec<Note> {
        let removed = self.remove.iter().map(|tag| Note::Untag { tag: tag.clone() });
        let added = self.add.iter().map(|tag| Note::Tag { tag: tag.clone() });
        removed.chain(added).collect()
    }
}
