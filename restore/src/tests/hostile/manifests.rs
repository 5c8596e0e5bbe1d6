//! Manifests whose volumes lead out of the target, roots that are none, and the objects that lead
//! to a manifest.
//!
//! The attack: who holds the keys says where volumes lie and how large they are.

use std::sync::Arc;

use format::control;
use format::descriptor::Descriptor;
use format::frame::ChunkKind;
use format::ids::{ObjectId, PointId};
use format::manifest::{Manifest, VolumeRecord};
use format::names::ObjectName;
use format::raw::RawPath;
use format::session::{Outcome, SessionEnd};
use format::slot::{Inscription, Key, Label};
use format::tree::{Entry, Kind};
use repository::reader::Reader;
use repository::store::local::LocalStore;
use repository::unlock::{self, NewSlot};
use serde_json::{Value, json};

use super::arena::{Case, raw, run};
use crate::tests::fixture::{World, entry};

const OUT: &str = "leads out of the target";

fn renamed(title: &'static str, says: &[&'static str], name: &'static str) -> Case {
    Case::plain(title, says).tamper(move |_, manifest| {
        manifest.volumes[0].name = RawPath::new(name);
    })
}

/// One more volume, whose root is a link to the sentinels.
fn beside(title: &'static str, name: &'static str) -> Case {
    Case::plain(title, &[]).there(&["bad", "well"]).beside(move |point, outside| {
        let target = RawPath::new(outside.to_str().unwrap());
        vec![point.volume(name, Kind::Symlink { target }, 1)]
    })
}

#[test]
fn volumes_stay_in_the_target_and_apart() {
    let cases = [
        renamed("upwards", &[OUT, "`..`"], "..").ends(),
        renamed("down and up", &[OUT, "`a/../../near/x`"], "a/../../near/x").ends(),
        renamed("absolute and up", &[OUT], "/../../etc/escaped").ends(),
        renamed("empty", &[OUT], "").ends(),
        renamed("itself", &[OUT], "./.").ends(),
        renamed("NUL", &[OUT], "vol\0ume").ends(),
        renamed("a name of 300 bytes", &["cannot be made here"], LONG).all_lost(),
        renamed("odd and harmless", &[], "/./volume//"),
        beside("a link in the place of a volume", "volume"),
        beside("a link in a volume", "volume/new"),
        beside("a link in the place of a file", "/volume/well"),
        Case::plain("below a link", &[]).there(&["well"]).beside(|point, outside| {
            let target = RawPath::new(outside.to_str().unwrap());
            let link = point.volume("link", Kind::Symlink { target }, 1);
            let inner = point.directory(&[entry("file", Kind::Fifo)]);
            vec![link, point.volume("link/dir", inner, 2)]
        }),
        Case::plain("below a link of the same number", &[]).there(&["well"]).beside(
            |point, outside| {
                let target = RawPath::new(outside.to_str().unwrap());
                let link = Kind::Symlink { target };
                let inner = point.directory(&[entry("file", Kind::Fifo)]);
                let links = ["a", "a.2"].map(|name| point.volume(name, link.clone(), 1));
                links.into_iter().chain([point.volume("a/dir", inner, 2)]).collect()
            },
        ),
    ];
    run(cases);
}

const LONG: &str = match std::str::from_utf8(&[b'x'; 300]) {
    Ok(name) => name,
    Err(_) => "",
};

/// One more volume, with these entries for a root.
fn rooted(title: &'static str, says: &[&'static str], roots: Vec<Entry>) -> Case {
    Case::plain(title, says).there(&["bad", "well"]).beside(move |point, _| {
        let mut bytes = Vec::new();
        for root in &roots {
            format::listing::write(root, &mut bytes);
        }
        bytes.resize(bytes.len().max(1), 0xff);
        let root = vec![point.chunk(ChunkKind::Tree, &bytes)];
        vec![VolumeRecord { root, ..point.volume("other", Kind::Fifo, 5) }]
    })
}

#[test]
fn roots_that_are_none_lose_their_volume_only() {
    let fifo = |name: &[u8]| raw(name, Kind::Fifo);
    let roots = |title, change: fn(&mut VolumeRecord)| {
        Case::plain(title, &["volume/.: "]).tamper(move |_, manifest| {
            change(&mut manifest.volumes[0]);
        })
    };
    let cases = [
        rooted("a pipe", &[], vec![fifo(b"")]),
        rooted("with a name", &["other/.: ", "impossible name `x`"], vec![fifo(b"x")]),
        rooted("with a way out", &["other/.: ", "`../x`"], vec![fifo(b"../x")]),
        rooted("two of them", &["other/.: the listing is damaged"], vec![fifo(b""), fifo(b"")]),
        rooted("garbage", &["other/.: the listing is damaged"], Vec::new()),
        roots("no slices", |volume| volume.root.clear()).all_lost(),
        roots("a slice too few", |volume| volume.root[0].length -= 1).all_lost(),
        roots("a slice beyond its chunk", |volume| volume.root[0].offset = u32::MAX).all_lost(),
        roots("the same slice 100,000 times", |volume| {
            volume.root = vec![volume.root[0]; 100_000];
        })
        .all_lost(),
    ];
    run(cases);
}

#[test]
fn counts_that_are_not_so_do_no_harm() {
    let counted = |title, says: &[&'static str], files, data| {
        Case::plain(title, says).tamper(move |_, manifest: &mut Manifest| {
            (manifest.volumes[0].files, manifest.volumes[0].data) = (files, data);
        })
    };
    let cases = [
        counted("no files", &["`volume`", "more than the 0 files"], 0, 0).ends(),
        counted("all files", &[], u64::MAX, 0).there(&["bad"]),
        counted("all bytes", &["bytes of free space", "nothing was written"], 5, u64::MAX).ends(),
        Case::plain("sums beyond all", &["bytes of free space"])
            .tamper(|_, manifest| {
                let mut more = manifest.volumes[0].clone();
                (more.files, more.data) = (u64::MAX, u64::MAX);
                manifest.volumes = vec![more.clone(), more];
            })
            .ends(),
        Case::plain("100 times the same volume", &[]).there(&["bad"]).tamper(|_, manifest| {
            manifest.volumes = vec![manifest.volumes[0].clone(); 100];
        }),
    ];
    run(cases);
}

#[test]
fn outcomes_that_are_not_those_of_the_point_are_refused() {
    let world = World::new();
    let mut point = world.point();
    let root = point.directory(&[]);
    let manifest = world.commit(point, root, 1);
    let other = PointId::new([9; 16]);
    let outcome = |end| {
        serde_json::to_value(Outcome { nonce: ObjectId::new([1; 16]), end, previous: None })
            .unwrap()
    };
    let commit = |manifest: &Manifest| outcome(SessionEnd::Commit(Box::new(manifest.clone())));
    let cut = |field: &str| {
        let mut value = commit(&manifest);
        value["end"]["commit"]["volumes"][0].as_object_mut().unwrap().remove(field).unwrap();
        value
    };
    let set = |field: &str, new: Value| {
        let mut value = commit(&manifest);
        value["end"]["commit"][field] = new;
        value
    };
    let deep = |depth| (0..depth).fold(Value::Null, |value, _| json!([value]));
    let cases = [
        (
            "of another point",
            "names another point",
            commit(&Manifest { point: other, ..manifest.clone() }),
        ),
        ("nothing", "not understood", Value::Null),
        ("a list", "not understood", json!([1, 2, 3])),
        ("an unknown end", "not understood", json!({"nonce": "00", "end": "exploded"})),
        ("no root", "not understood", cut("root")),
        ("no count", "not understood", cut("files")),
        ("a negative count", "not understood", {
            let mut value = commit(&manifest);
            value["end"]["commit"]["volumes"][0]["files"] = json!(-1);
            value
        }),
        ("a time that is none", "not understood", set("taken", json!("yesterday"))),
        ("lists in lists", "not understood", set("remarks", deep(100))),
        ("an unknown level", "not understood", set("level", json!("perfect"))),
    ];
    let name = ObjectName::Outcome(manifest.point);
    let path = world.path("repository").join(name.to_string());
    let read = || world.runtime.block_on(world.reader.point(manifest.point));
    let replace = |bytes: Vec<u8>| {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    };
    let point = world.point();
    let seal = |value: &Value| control::seal(point.keys(), name, value, [0; 16]).unwrap();
    assert!(read().unwrap().is_some());
    for (title, says, value) in cases {
        replace(seal(&value));
        let said = repository::error::chain(&read().unwrap_err());
        assert!(said.contains(says) && said.contains(&name.to_string()), "{title}: {said}");
    }
    // A sound seal, and no JSON at all; then the end of a session by a prune; then a long list.
    let torn = seal(&commit(&manifest));
    replace(torn[..torn.len() - 1].to_vec());
    assert!(read().unwrap_err().to_string().contains(&name.to_string()));
    replace(seal(&outcome(SessionEnd::Fenced)));
    assert_eq!(read().unwrap(), None);
    replace(seal(&set("remarks", json!(vec!["x"; 200_000]))));
    assert_eq!(read().unwrap().unwrap().remarks.len(), 200_000);
}

#[test]
fn descriptors_and_slots_of_another_kind_are_refused() {
    let world = World::new();
    let key = unlock::new_recovery_key();
    let folder = world.path("locked");
    let store = Arc::new(world.runtime.block_on(LocalStore::make(&folder)).unwrap());
    let inscription =
        Inscription { label: "x".parse::<Label>().unwrap(), created: jiff::Timestamp::UNIX_EPOCH };
    let slot = NewSlot { key: Key::Recovery(key.clone()), inscription };
    let id = world.runtime.block_on(unlock::create(&*store, slot, Vec::new())).unwrap();
    let open = || {
        let key = Key::Recovery(key.clone());
        world.runtime.block_on(Reader::open(Arc::<LocalStore>::clone(&store), &key))
    };
    assert_eq!(open().unwrap().id(), id);
    let config = Descriptor::new(id).to_bytes();
    let changed = |field: &str, value: Value| {
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config[field] = value;
        config.to_string().into_bytes()
    };
    let cases = [
        ("version 2", changed("version", json!(2))),
        ("version 0", changed("version", json!(0))),
        ("version 4294967295", changed("version", json!(u32::MAX))),
        ("`time-travel`", changed("features", json!(["time-travel"]))),
        ("does not describe", changed("format", json!("other"))),
        ("does not describe", changed("version", json!(-1))),
        ("does not describe", Vec::new()),
        ("does not describe", b"[".repeat(1_000_000)),
    ];
    for (says, bytes) in cases {
        std::fs::remove_file(folder.join("config")).unwrap();
        std::fs::write(folder.join("config"), bytes).unwrap();
        let said = repository::error::chain(&open().unwrap_err());
        assert!(said.contains(says), "{says}: {said}");
    }
}
