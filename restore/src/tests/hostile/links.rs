//! Links that lead out of the target.
//!
//! The attack: a link is restored, and what comes later is written, or changed, through it.

use std::path::Path;

use format::raw::RawPath;
use format::tree::{Entry, HardLink, Kind};

use super::arena::{Case, listed, model, raw, run};
use crate::tests::fixture::Point;

fn link(target: impl Into<Vec<u8>>) -> Kind {
    Kind::Symlink { target: RawPath::new(target) }
}

fn link_to(path: &Path) -> Kind {
    link(path.to_str().unwrap())
}

/// An entry that says it is one file with others.
fn shared(name: &[u8], kind: Kind) -> Entry {
    let mut entry = raw(name, kind);
    entry.metadata.hard_link = Some(HardLink { filesystem: 0, inode: 1 });
    entry
}

fn content(point: &mut Point) -> Kind {
    let model = model(point, 4);
    point.file("x", &model).kind
}

#[test]
fn symbolic_links_come_back_and_nothing_goes_through_them() {
    let cases = [
        Case::new("absolute", &[], |point, outside| {
            listed(point, &[(b"link", link_to(&outside.join("file")))])
        })
        .there(&["bad/link"]),
        Case::new("upwards", &[], |point, _| listed(point, &[(b"l", link("../../.."))])),
        Case::new("itself", &[], |_, outside| link_to(&outside.join("dir"))),
        Case::new("chain", &[], |point, outside| {
            let last = link_to(outside);
            listed(point, &[(b"a", link("b")), (b"b", link("c")), (b"c", last)])
        }),
        Case::new("round", &[], |point, _| listed(point, &[(b"a", link("b")), (b"b", link("a"))])),
        Case::new("without target", &["bad/a"], |point, _| {
            listed(point, &[(b"a", link("")), (b"b", Kind::Fifo)])
        })
        .there(&["bad/b"]),
        Case::new("target of 5,000 bytes", &["bad/a"], |point, _| {
            listed(point, &[(b"a", link("x".repeat(5000))), (b"b", Kind::Fifo)])
        })
        .there(&["bad/b"]),
        Case::new("target with NUL", &["bad: ", "impossible name"], |point, _| {
            listed(point, &[(b"a", link("x\0y"))])
        }),
        Case::new(
            "a directory below a link",
            &["bad: ", "`a`", "out of order"],
            |point, outside| {
                let inner = content(point);
                let inner = listed(point, &[(b"file", inner)]);
                listed(point, &[(b"a", link_to(&outside.join("dir"))), (b"a", inner)])
            },
        )
        .there(&["bad/a"]),
        Case::new("a file through a link", &["bad: ", "`a`", "out of order"], |point, outside| {
            let file = content(point);
            listed(point, &[(b"a", link_to(&outside.join("file"))), (b"a", file)])
        }),
    ];
    run(cases);
}

#[test]
fn names_of_one_file_stay_in_the_target() {
    let pair =
        |title, first: fn(&mut Point, &Path) -> Kind, second: fn(&mut Point, &Path) -> Kind| {
            Case::new(title, &[], move |point, outside| {
                let (first, second) = (first(point, outside), second(point, outside));
                point.directory(&[shared(b"a", first), shared(b"b", second)])
            })
            .there(&["bad/a", "bad/b"])
        };
    let out: fn(&mut Point, &Path) -> Kind = |_, outside| link_to(&outside.join("file"));
    let directory: fn(&mut Point, &Path) -> Kind = |point, _| {
        let file = content(point);
        listed(point, &[(b"file", file)])
    };
    let cases = [
        pair("two of a link", out, out),
        pair("a file of a link", out, |point, _| content(point)),
        pair("a link of a file", |point, _| content(point), out),
        pair("two of a directory", directory, directory),
        pair("a directory of a link", out, directory),
        pair("a pipe of a socket", |_, _| Kind::Socket, |_, _| Kind::Fifo),
        pair(
            "an empty file of a full one",
            |point, _| content(point),
            |_, _| Kind::File(format::tree::Content::default()),
        ),
        Case::new("across directories", &[], |point, _| {
            let file = content(point);
            let inner = point.directory(&[shared(b"file", file.clone())]);
            point.directory(&[shared(b"a", file), raw(b"b", inner)])
        })
        .there(&["bad/a", "bad/b/file"]),
        Case::new("70,000 names", &[], |point, _| {
            let file = content(point);
            let names: Vec<_> = (0..70_000)
                .map(|number| shared(format!("{number:05}").as_bytes(), file.clone()))
                .collect();
            point.directory(&names)
        })
        .files(80_000)
        .there(&["bad/00000", "bad/69999"]),
        Case::new("a first name that is lost", &["bad/a", "bad/b"], |point, _| {
            let mut file = content(point);
            if let Kind::File(content) = &mut file {
                content.size += 1;
            }
            let good = content(point);
            point.directory(&[
                shared(b"a", file.clone()),
                shared(b"b", file),
                shared(b"c", good.clone()),
                shared(b"d", good),
            ])
        })
        .there(&["bad/c", "bad/d"]),
    ];
    run(cases);
}
