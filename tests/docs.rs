//! What the documents tell people to type works.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tests::markdown::Page;
use tests::sources::{self, Source};
use tests::world::World;

/// Its spans of code name keys, not commands.
const FORMAT: &str = "docs/format.md";
const SHELLS: [&str; 5] = ["", "sh", "bash", "console", "shell"];
const TABLES: [&str; 3] = ["[repositories.", "[applications.", "[policies."];

#[test]
fn every_command_in_the_documents_parses() {
    let mut help = Help::new();
    let mut findings = Vec::new();
    for page in documents() {
        let mut commands = commands(&page.text);
        if page.path != Path::new(FORMAT) {
            commands.extend(spans(&page.text));
        }
        if page.path.ends_with("README.md") && page.folder().as_os_str().is_empty() {
            assert!(!commands.is_empty(), "README.md shows no command");
        }
        for command in commands {
            let found = help.objections(&command);
            let place = page.path.display();
            findings.extend(found.map(|why| format!("{place}: stillpoint {command:?}: {why}")));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_configuration_in_the_documents_is_accepted() {
    let world = World::empty();
    let file = world.path("config.toml");
    let mut findings = Vec::new();
    let mut checked = 0;
    let blocks = documents().into_iter().flat_map(|page| {
        let blocks = Page::parse(&page.text).blocks.into_iter();
        let toml = blocks.filter(|block| block.language == "toml");
        let place = page.path.display().to_string();
        toml.map(|block| (format!("{place}:{}", block.line), block.text)).collect::<Vec<_>>()
    });
    let examples =
        sources::all().into_iter().filter(|s| s.is("toml") && s.path.starts_with("deploy"));
    let examples = examples.map(|source| (source.path.display().to_string(), source.text));
    for (place, text) in blocks.chain(examples) {
        if TABLES.iter().any(|table| text.contains(table)) {
            fs::write(&file, text).unwrap();
            let output = world.stillpoint([
                "--config".as_ref(),
                file.as_os_str(),
                "config".as_ref(),
                "check".as_ref(),
            ]);
            if output.code != Some(0) {
                findings.push(format!("{place}: {}", output.stderr));
            }
            checked += 1;
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    assert!(checked > 0, "no configuration was found");
}

#[test]
fn commands_are_found_where_people_copy_them() {
    let page = "# A\n\n```sh\n# stillpoint no\nexport A=b  # c\nsudo A=b stillpoint init\nstillpoint restore \\\n  \
                latest --to '/a b' | less && stillpoint points\n```\n\nOr `stillpoint apps --json`.\n\n```text\nstillpoint no\n```\n\n```console\n$ stillpoint check\nstillpoint says\n```\n";
    let found = commands(page).into_iter().chain(spans(page));
    let found: Vec<String> = found.map(|words| words.join(" ")).collect();
    assert_eq!(found, ["init", "restore latest --to /a b", "points", "check", "apps --json"]);
}

#[test]
fn wrong_verbs_and_flags_are_reported() {
    let mut help = Help::new();
    let mut objections = |command: &str| {
        let words: Vec<String> = command.split(' ').map(ToOwned::to_owned).collect();
        help.objections(&words).is_some()
    };
    for wrong in [
        "explode",
        "points --colour",
        "policy sometimes",
        "config check --plan",
        "--repo x explode",
    ] {
        assert!(objections(wrong), "{wrong}");
    }
    for right in
        ["points --app=x", "policy next nightly --count 3", "--repo x points", "backup --path a -q"]
    {
        assert!(!objections(right), "{right}");
    }
}

/// The program's own help, asked for once per verb.
struct Help {
    world: World,
    known: BTreeMap<Vec<String>, Option<String>>,
}

impl Help {
    fn new() -> Self {
        Self { world: World::empty(), known: BTreeMap::new() }
    }

    /// What the program would object to in a command, if anything.
    fn objections(&mut self, words: &[String]) -> Option<String> {
        let mut verb = Vec::new();
        let mut help = self.of(&verb)?;
        let mut takes_value = false;
        for word in words {
            if let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) {
                let long = flag.starts_with('-');
                let name = word.split('=').next().unwrap_or(word);
                let Some(described) = describe(&help, name) else {
                    return Some(format!("`{name}` is no flag of `{}`", verb.join(" ")));
                };
                takes_value = long && !word.contains('=') && described.contains('<');
            } else if takes_value {
                takes_value = false;
            } else if help.contains("\nCommands:\n") {
                verb.push(word.clone());
                help = match self.of(&verb) {
                    Some(help) => help,
                    None => return Some(format!("`{}` is no verb", verb.join(" "))),
                };
            }
        }
        help.contains("\nCommands:\n")
            .then(|| "a verb is missing".to_owned())
            .filter(|_| !words.iter().any(|word| word == "--help" || word == "--version"))
    }

    fn of(&mut self, verb: &[String]) -> Option<String> {
        let ask = || {
            let output = self.world.stillpoint(verb.iter().map(String::as_str).chain(["--help"]));
            (output.code == Some(0)).then_some(output.stdout)
        };
        self.known.entry(verb.to_vec()).or_insert_with(ask).clone()
    }
}

/// The flag and its value as the help shows them.
fn describe<'a>(help: &'a str, flag: &str) -> Option<&'a str> {
    let named = |line: &&str| {
        let mut names = line.split([',', ' ']).filter(|part| part.starts_with('-'));
        names.any(|name| name.trim_end_matches('.') == flag)
    };
    let line =
        help.lines().map(str::trim_start).filter(|line| line.starts_with('-')).find(named)?;
    Some(line.split("  ").next().unwrap_or(line))
}

fn documents() -> Vec<Source> {
    sources::all().into_iter().filter(|source| source.is("md")).collect()
}

/// The words after `stillpoint` of every command of a page.
fn commands(text: &str) -> Vec<Vec<String>> {
    let page = Page::parse(text);
    let mut found = Vec::new();
    for block in page.blocks.iter().filter(|block| SHELLS.contains(&block.language.as_str())) {
        let joined = block.text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim) {
            let typed = line.strip_prefix("$ ");
            if block.language == "console" && typed.is_none() || line.starts_with('#') {
                continue;
            }
            let parts = typed.unwrap_or(line).split(['|', ';', '&']);
            found.extend(parts.filter_map(command));
        }
    }
    found
}

/// The same of the spans of code in the text.
fn spans(text: &str) -> Vec<Vec<String>> {
    let page = Page::parse(text);
    let blocks: Vec<&str> = page.blocks.iter().flat_map(|block| block.text.lines()).collect();
    let prose = text.lines().filter(|line| !blocks.contains(line));
    let spans = prose.flat_map(|line| line.split('`').skip(1).step_by(2));
    spans.filter(|span| span.starts_with("stillpoint ")).filter_map(command).collect()
}

fn command(part: &str) -> Option<Vec<String>> {
    let words = words(part);
    let is_before = |word: &String| word == "sudo" || word.contains('=');
    let mut rest = words.into_iter().skip_while(is_before);
    (rest.next()? == "stillpoint").then(|| rest.collect())
}

/// The words of a shell command, without comments.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            None if c == '#' && word.is_none() => break,
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
