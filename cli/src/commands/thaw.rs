//! The verb that ends freezes when nobody else does.

use std::path::PathBuf;

use service::thaw::{Which, thaw};

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::paths;
use crate::render;

/// Where the wardens of this user keep their journals.
pub(super) fn journals(arguments: &Arguments) -> PathBuf {
    arguments.runtime_dir.clone().unwrap_or_else(paths::runtime_dir).join("freezes")
}

pub(super) async fn run(arguments: &Arguments, all: bool) -> Exit {
    let which = if all { Which::All } else { Which::Abandoned };
    let swept = thaw(journals(arguments), which).await;
    let exit = if swept.failures.is_empty() { Exit::Success } else { Exit::Failure };
    render::answer(&swept, arguments.json);
    exit
}
