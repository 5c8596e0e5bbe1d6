//! A trace, for people.

use std::fmt;

use crate::state::{Out, SESSIONS, SLOTS, Store, each};

/// A shortest way to something that must not be.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) what: &'static str,
    pub(crate) lines: Vec<String>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after {} steps:", self.what, self.lines.len())?;
        let mut lines = (1..).zip(&self.lines);
        lines.try_for_each(|(number, line)| writeln!(f, "{number:4}  {line}"))
    }
}

/// The objects that a step created and deleted.
pub(crate) fn changes(before: &Store, after: &Store) -> String {
    let (old, new) = (objects(before), objects(after));
    let created = new.iter().filter(|name| !old.contains(name)).map(|name| format!(" +{name}"));
    let deleted = old.iter().filter(|name| !new.contains(name)).map(|name| format!(" -{name}"));
    let changes: String = created.chain(deleted).collect();
    if changes.is_empty() { changes } else { format!(":{changes}") }
}

fn objects(store: &Store) -> Vec<String> {
    let mut names = Vec::new();
    for pack in each(store.packs) {
        let chunks = each(store.holds[pack].into()).map(|chunk| char::from(b'a' + chunk as u8));
        let chunks: String = chunks.collect();
        names.push(format!("pack/{}/{}({chunks})", pack / SLOTS, pack % SLOTS));
    }
    let set = |set: u32, kind: &str| {
        let names = each(set).map(|at| format!("{kind}/{}/{}", at / SLOTS, at % SLOTS));
        names.collect::<Vec<_>>()
    };
    for segment in each(store.segments) {
        let packs = set(store.names[segment], "pack").join(" ");
        names.push(format!("idx/{}/{}({packs})", segment / SLOTS, segment % SLOTS));
    }
    names.extend((1..=store.generation).map(|number| format!("gen/{number}")));
    for (number, list) in (1..).zip(&store.lists) {
        if let Some(list) = list {
            let objects = [set(list.packs, "pack"), set(list.segments, "idx")].concat().join(" ");
            names.push(format!("cnd/{number}({objects})"));
        }
    }
    for session in 0..SESSIONS {
        if let Some(generation) = store.registered[session] {
            names.push(format!("ses/{generation}/{session}"));
        }
        if let Some((number, generation)) = store.beats[session] {
            names.push(format!("hb/{session}/{number}(generation {generation})"));
        }
        if store.outs[session] != Out::Open {
            names.push(format!("out/{session}({:?})", store.outs[session]));
        }
        if store.forgotten & (1 << session) != 0 {
            names.push(format!("fgt/{session}"));
        }
    }
    names.extend(store.pins.iter().flatten().map(|point| format!("pin(of {point})")));
    names
}
