//! Names that are no file names, or that mean two things at once.
//!
//! The attack: a listing whose names lead elsewhere, so that a file is made beside the target, or
//! over one that was just made.

use format::tree::Kind;

use super::arena::{Case, listed, model, run};

/// A listing of a good name and the one in question.
fn named(title: &'static str, says: &[&'static str], name: impl Into<Vec<u8>>) -> Case {
    let name = name.into();
    Case::new(title, says, move |point, _| {
        let model = model(point, 3);
        let file = point.file("x", &model).kind;
        listed(point, &[(b"!", Kind::Fifo), (&name, file)])
    })
    .there(&["bad/!"])
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let refused = "bad: the listing holds the impossible name";
    let cases = [
        named("empty", &[refused], ""),
        named("the directory", &[refused, "`.`"], "."),
        named("the one above", &[refused, "`..`"], ".."),
        named("a way up", &[refused, "../../../near/escaped"], "../../../near/escaped"),
        named("a way down", &[refused, "a/b"], "a/b"),
        named("absolute", &[refused, "/etc/escaped"], "/etc/escaped"),
        named("slash", &[refused], "/"),
        named("slash at the end", &[refused], "x/"),
        named("NUL at the end", &[refused], "x\0"),
        named("NUL before a way up", &[refused], "x\0/../../escaped"),
    ];
    run(cases);
}

#[test]
fn names_that_are_too_long_are_lost_and_odd_ones_are_not() {
    let lost = "cannot be made here";
    let cases = [
        named("256 bytes", &["bad/xxx", lost], "x".repeat(256)),
        named("4,097 bytes", &["bad/xxx", lost], "x".repeat(4097)),
        named("a million bytes", &["bad/xxx", lost], "x".repeat(1_000_000)),
        named("255 bytes", &[], "x".repeat(255)),
        named("not UTF-8", &[], b"x\xff\xfe\x80".to_vec()),
        named("control characters", &[], "x\x1b[2J\r\n\x7f"),
        named("three dots", &[], "...").there(&["bad/..."]),
        named("backslashes", &[], "..\\..\\near").there(&["bad/..\\..\\near"]),
    ];
    run(cases);
}

#[test]
fn names_out_of_order_are_refused() {
    let order = "out of order";
    let pair = |title, says: &[&'static str], first: &'static [u8], second: &'static [u8]| {
        Case::new(title, says, move |point, _| {
            listed(point, &[(first, Kind::Fifo), (second, Kind::Socket)])
        })
    };
    let cases = [
        pair("twice", &["bad: ", "`a`", order], b"a", b"a").there(&["bad/a"]),
        pair("backwards", &["bad: ", "`a`", order], b"b", b"a").there(&["bad/b"]),
        pair("another case", &[], b"A", b"a").there(&["bad/A", "bad/a"]),
    ];
    run(cases);
}
