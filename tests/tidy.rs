//! The sources are tidy. Every finding is shown, not only the first.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use tests::markdown::Page;
use tests::sources::{self, Source};

const LINES_MAX: usize = 500;
/// rustfmt breaks code at 100; what it cannot break may be a little longer.
const WIDTH_MAX: usize = 110;
/// Names that say nothing about what is inside.
const BANNED_NAMES: [&str; 7] = ["util", "utils", "common", "helpers", "misc", "types", "core"];
const LEFTOVERS: [&str; 5] = ["TODO", "FIXME", "dbg!(", "todo!(", "unimplemented!("];
const CARELESS: [&str; 2] = [".unwrap()", ".expect("];
const MACHINE_PATHS: [&str; 2] = ["/work/", "/root/"];
/// A place that documents may name, for every machine has it.
const HOME_OF_ROOT: &str = "/root/";
/// What says that clippy was told why, a few lines above.
const ALLOWED: [&str; 2] = ["clippy::unwrap_used", "clippy::expect_used"];
/// This file names everything that it forbids.
const OURSELVES: &str = "tests/tidy.rs";

#[test]
fn the_sources_are_tidy() {
    let sources = sources::all();
    assert!(sources.len() > 100, "the sources were not found");
    let findings = findings(&sources);
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn what_is_untidy_is_found() {
    let long = format!("let x = {};\n", "y + ".repeat(40));
    let cases = [
        ("a/src/lib.rs", "// x\n".repeat(501), "lines"),
        ("a/src/lib.rs", long, "wide"),
        ("a/src/lib.rs", "// TODO later\n".into(), "TODO"),
        ("a/src/lib.rs", "fn f() { x.unwrap(); }\n".into(), ".unwrap()"),
        ("a/src/utils.rs", String::new(), "`utils`"),
        ("a/src/common/b.rs", String::new(), "`common`"),
        ("a/src/lib.rs", "//! See docs/b.md#missing.\n".into(), "docs/b.md#missing"),
        ("a/src/lib.rs", "//! See docs/missing.md.\n".into(), "docs/missing.md"),
        ("docs/c.md", "# C\n\n[d](missing.md)\n".into(), "missing.md"),
        ("docs/c.md", "# C\n\n[d](b.md#missing)\n".into(), "b.md#missing"),
        ("docs/c.md", "# C\n\n[d](#missing)\n".into(), "#missing"),
        ("docs/c.md", "# C\n# D\n".into(), "title"),
        ("docs/c.md", "## C\n".into(), "title"),
        ("docs/c.md", "# C\n\nRun /work/main/x.\n".into(), "/work/"),
    ];
    for (path, text, wanted) in cases {
        let sources = [page("docs/b.md", "# B\n"), page(path, &text)];
        let found = findings(&sources);
        assert_eq!(found.len(), 1, "{path}: {text:.40}: {found:?}");
        assert!(found[0].contains(wanted), "{found:?}");
    }
}

#[test]
fn what_is_tidy_is_left_in_peace() {
    let sources = [
        page("README.md", "# A\n\n[b](docs/b.md#two-words) [c](#a) [d](docs/) <https://x.y>\n"),
        page("docs/b.md", "# B\n\n## Two words\n\n[up](../README.md)\n\n```sh\n# comment\n```\n"),
        page("a/src/lib.rs", "//! See docs/b.md#two-words.\n#[cfg(test)]\nmod t { x.unwrap() }\n"),
        page("a/src/b/tests.rs", "fn f() { x.unwrap() }\n"),
    ];
    assert_eq!(findings(&sources), [""; 0]);
}

fn page(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.to_owned() }
}

fn findings(sources: &[Source]) -> Vec<String> {
    let pages = sources.iter().filter(|source| source.is("md"));
    let pages: BTreeMap<&Path, Page> =
        pages.map(|source| (source.path.as_path(), Page::parse(&source.text))).collect();
    let mut findings = Vec::new();
    for source in sources {
        let mut report = |line: usize, what: String| {
            findings.push(format!("{}:{line}: {what}", source.path.display()));
        };
        if source.path != Path::new(OURSELVES) {
            machine_paths(source, &mut report);
        }
        if source.is("rs") {
            sizes(source, &mut report);
            names(source, &mut report);
            if source.path != Path::new(OURSELVES) {
                leftovers(source, &mut report);
                mentions(source, &pages, &mut report);
            }
        }
        if let Some(page) = pages.get(source.path.as_path()) {
            titles(page, &mut report);
            links(source, page, (sources, &pages), &mut report);
        }
    }
    findings
}

type Report<'a> = dyn FnMut(usize, String) + 'a;

fn sizes(source: &Source, report: &mut Report<'_>) {
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        report(lines, format!("{lines} lines, at most {LINES_MAX}"));
    }
    for (number, line) in numbered(&source.text) {
        let width = line.chars().count();
        if width > WIDTH_MAX && !line.contains('"') && !line.contains("://") {
            report(number, format!("{width} characters wide, at most {WIDTH_MAX}"));
        }
    }
}

fn names(source: &Source, report: &mut Report<'_>) {
    for part in source.path.with_extension("").components() {
        if let Component::Normal(name) = part
            && BANNED_NAMES.iter().any(|banned| name == *banned)
        {
            report(1, format!("the name `{}` says nothing", name.display()));
        }
    }
}

fn leftovers(source: &Source, report: &mut Report<'_>) {
    let is_test = source
        .path
        .components()
        .any(|part| ["tests", "tests.rs", "benches"].iter().any(|name| part.as_os_str() == *name));
    let mut in_tests = is_test;
    for (number, line) in numbered(&source.text) {
        // By custom the tests are the last thing in a file.
        in_tests |= line.trim() == "#[cfg(test)]";
        for leftover in LEFTOVERS.iter().filter(|leftover| line.contains(**leftover)) {
            report(number, format!("`{leftover}` was left over"));
        }
        if in_tests || line.trim_start().starts_with("//") {
            continue;
        }
        let above: Vec<&str> = source.text.lines().take(number).collect();
        let above = &above[above.len().saturating_sub(10)..];
        if above.iter().any(|line| ALLOWED.iter().any(|allowed| line.contains(allowed))) {
            continue;
        }
        for careless in CARELESS.iter().filter(|careless| line.contains(**careless)) {
            report(number, format!("`{careless}` outside tests"));
        }
    }
}

fn machine_paths(source: &Source, report: &mut Report<'_>) {
    for (number, line) in numbered(&source.text) {
        let banned = |path: &&&str| !(source.is("md") && **path == HOME_OF_ROOT);
        for path in MACHINE_PATHS.iter().filter(banned).filter(|path| line.contains(**path)) {
            report(number, format!("`{path}` exists on one machine only"));
        }
    }
}

/// Comments that send the reader to a document.
fn mentions(source: &Source, pages: &BTreeMap<&Path, Page>, report: &mut Report<'_>) {
    for (number, line) in numbered(&source.text) {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        for (at, _) in comment.match_indices("docs/") {
            let rest = &comment[at..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"/_-.#".contains(c));
            let target = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if Path::new(path).extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let exists = pages.get(Path::new(path)).is_some_and(|page| {
                anchor.is_empty() || page.anchors().iter().any(|found| found == anchor)
            });
            if !exists {
                report(number, format!("`{target}` does not exist"));
            }
        }
    }
}

fn titles(page: &Page, report: &mut Report<'_>) {
    let titles = page.headings.iter().filter(|(level, _)| *level == 1).count();
    if titles != 1 || page.headings.first().is_none_or(|(level, _)| *level != 1) {
        report(1, format!("{titles} titles; a page has one, and begins with it"));
    }
}

fn links(
    source: &Source,
    page: &Page,
    (sources, pages): (&[Source], &BTreeMap<&Path, Page>),
    report: &mut Report<'_>,
) {
    for link in page.links.iter().map(|link| link.trim_matches(['<', '>'])) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target =
            if path.is_empty() { source.path.clone() } else { normal(&source.folder().join(path)) };
        let exists = sources.iter().any(|s| s.path.starts_with(&target));
        let anchored = anchor.is_empty()
            || pages
                .get(target.as_path())
                .is_some_and(|page| page.anchors().iter().any(|found| found == anchor));
        if !exists || !anchored {
            let line = numbered(&source.text).find(|(_, line)| line.contains(link));
            report(line.map_or(1, |(number, _)| number), format!("the link `{link}` is dead"));
        }
    }
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if normal.parent().is_some() => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}
