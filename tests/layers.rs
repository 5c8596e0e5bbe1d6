//! The crates depend on one another as the layers allow, and on the outside as their owners say.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The layers from the lowest up. Crates of one layer never import each other.
const LAYERS: [&[&str]; 5] = [
    &["format"],
    &["platform", "repository"],
    &["scheduler", "consistency", "uploader", "catalog", "restore"],
    &["service"],
    &["cli"],
];
/// They know everything, and nothing knows them.
const TESTS: [&str; 2] = ["tests", "faults"];
/// The command line knows the service and the names of what is written down, and no stage.
const ALLOWED_TO_CLI: [&str; 2] = ["service", "format"];
/// Crates of others that only one of ours may use.
const OWNED: [(&str, &str); 3] =
    [("object_store", "repository"), ("sqlx", "catalog"), ("bollard", "platform")];
/// What would make the pure layer impure.
const BANNED_FROM_FORMAT: [&str; 3] = ["tokio", "rustix", "tracing"];

/// One crate depends on another one.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Edge {
    from: String,
    to: String,
}

#[test]
fn the_layers_point_down_only() {
    let (edges, crates) = workspace();
    assert!(edges.len() > 20, "the edges were not found: {edges:?}");
    let mut found = violations(&edges);
    for name in
        crates.iter().filter(|name| !TESTS.contains(&name.as_str()) && layer(name).is_none())
    {
        found.push(format!("`{name}` has no layer"));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn wrong_edges_are_reported() {
    for (from, to) in [
        ("format", "platform"),
        ("platform", "repository"),
        ("repository", "platform"),
        ("uploader", "restore"),
        ("catalog", "service"),
        ("service", "cli"),
        ("cli", "catalog"),
        ("cli", "platform"),
        ("service", "tests"),
        ("service", "object_store"),
        ("service", "sqlx"),
        ("service", "bollard"),
        ("format", "tokio"),
        ("format", "rustix"),
        ("format", "tracing"),
    ] {
        let edge = Edge { from: from.into(), to: to.into() };
        assert_eq!(violations(&[edge]).len(), 1, "{from} → {to}");
    }
}

#[test]
fn right_edges_are_not_reported() {
    for (from, to) in [
        ("cli", "service"),
        ("cli", "format"),
        ("service", "uploader"),
        ("restore", "platform"),
        ("tests", "service"),
        ("tests", "object_store"),
        ("repository", "object_store"),
        ("repository", "tokio"),
    ] {
        let edge = Edge { from: from.into(), to: to.into() };
        assert_eq!(violations(&[edge]), [""; 0], "{from} → {to}");
    }
}

fn violations(edges: &[Edge]) -> Vec<String> {
    edges
        .iter()
        .filter_map(|edge| {
            violation(edge).map(|why| format!("`{}` → `{}`: {why}", edge.from, edge.to))
        })
        .collect()
}

fn violation(Edge { from, to }: &Edge) -> Option<String> {
    let (from, to) = (from.as_str(), to.as_str());
    if TESTS.contains(&to) {
        return Some("nothing uses the tests".into());
    }
    if TESTS.contains(&from) {
        return None;
    }
    if from == "format" && BANNED_FROM_FORMAT.contains(&to) {
        return Some("the lowest layer is pure".into());
    }
    if let Some((_, owner)) = OWNED.iter().find(|(owned, owner)| *owned == to && *owner != from) {
        return Some(format!("only `{owner}` may use it"));
    }
    let (upper, lower) = (layer(from)?, layer(to)?);
    if upper <= lower {
        return Some(format!("layer {upper} on layer {lower}; edges point down only"));
    }
    (from == "cli" && !ALLOWED_TO_CLI.contains(&to))
        .then(|| format!("the command line uses {} only", ALLOWED_TO_CLI.join(" and ")))
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|crates| crates.contains(&name))
}

/// What the crates of this workspace need to be built, and the names of these crates.
fn workspace() -> (Vec<Edge>, Vec<String>) {
    let metadata = MetadataCommand::new()
        .manifest_path(tests::sources::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata answers");
    let mut edges = Vec::new();
    let mut crates = Vec::new();
    for package in metadata.workspace_packages() {
        crates.push(package.name.to_string());
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Development {
                edges.push(Edge { from: package.name.to_string(), to: dependency.name.clone() });
            }
        }
    }
    (edges, crates)
}
