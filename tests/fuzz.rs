//! Whatever bytes a parser of stored or typed text gets: it answers, soon, in little memory.
//!
//! Each target begins with valid encodings and spoils them. `tests/fuzz/long.sh` runs for longer.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

#[path = "fuzz/corpus.rs"]
mod corpus;
#[path = "fuzz/mutator.rs"]
mod mutator;
#[path = "fuzz/run.rs"]
mod run;

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use format::annotation::Annotation;
use format::control;
use format::descriptor::Descriptor;
use format::frame::{self, Codec};
use format::index::IndexSegment;
use format::listing;
use format::names::ObjectName;
use format::pack;
use format::prune::{Condemned, Forgotten, Generation, Pin};
use format::raw::RawPath;
use format::session::{Heartbeat, Outcome, Registration};
use format::slot::Slot;
use format::stream;
use format::tree::Extent;
use repository::location::Location;
use rustix::fs::MemfdFlags;
use scheduler::Schedule;
use serde::de::DeserializeOwned;
use service::config::Config;

use crate::run::fuzz;

#[test]
#[should_panic(expected = "it panicked: seed ")]
fn a_parser_that_panics_is_found() {
    fuzz(&[b"valid".to_vec()], |bytes| !bytes.is_empty() && bytes[0] & 0x80 == 0 && bytes[3] > 0);
}

#[test]
fn descriptors() {
    fuzz(&corpus::descriptors(), |bytes| Descriptor::parse(bytes).is_ok());
}

#[test]
fn slots() {
    fuzz(&corpus::slots(), |bytes| Slot::parse(corpus::SLOT, bytes).is_ok());
}

#[test]
fn sealed_control_objects() {
    let (name, keys) = (corpus::outcome_name(), corpus::keys());
    fuzz(&[corpus::sealed_outcome()], |bytes| control::open::<Outcome>(&keys, name, bytes).is_ok());
}

#[test]
fn registrations() {
    fuzz(&corpus::registrations(), is_json::<Registration>);
}

#[test]
fn outcomes_and_manifests() {
    fuzz(&corpus::outcomes(), is_json::<Outcome>);
}

#[test]
fn heartbeats() {
    fuzz(&corpus::heartbeats(), is_json::<Heartbeat>);
}

#[test]
fn generations() {
    fuzz(&corpus::generations(), is_json::<Generation>);
}

#[test]
fn condemned_lists() {
    fuzz(&corpus::condemned(), is_json::<Condemned>);
}

#[test]
fn forget_records() {
    fuzz(&corpus::forgotten(), is_json::<Forgotten>);
}

#[test]
fn annotations() {
    fuzz(&corpus::annotations(), is_json::<Annotation>);
}

#[test]
fn pins() {
    fuzz(&corpus::pins(), is_json::<Pin>);
}

#[test]
fn index_segments() {
    fuzz(&corpus::segments(), |bytes| postcard::from_bytes::<IndexSegment>(bytes).is_ok());
}

#[test]
fn sealed_packs() {
    let (name, keys) = (corpus::PACK, corpus::keys());
    fuzz(&[corpus::sealed_pack().bytes], |bytes| pack::verify(&keys, name, bytes).is_ok());
}

#[test]
fn footers() {
    fuzz(&corpus::footers(), |bytes| pack::decode_footer(bytes).is_ok());
}

#[test]
fn frames() {
    fuzz(&corpus::frames(), |bytes| {
        let (codec, rest) = match bytes {
            [0, rest @ ..] => (Codec::Plain, rest),
            [_, rest @ ..] => (Codec::Zstd, rest),
            [] => return false,
        };
        let Some((length, encoded)) = rest.split_first_chunk() else { return false };
        frame::decode(codec, u32::from_le_bytes(*length), encoded.to_vec()).is_ok()
    });
}

#[test]
fn listings() {
    fuzz(&corpus::listings(), |bytes| {
        let mut decoder = listing::Decoder::default();
        // In pieces, as they come from chunks.
        for piece in bytes.chunks(bytes.len() / 3 + 1) {
            decoder.feed(piece);
            loop {
                match decoder.entry() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return false,
                }
            }
        }
        decoder.finish().is_ok()
    });
}

#[test]
fn roots() {
    fuzz(&corpus::roots(), |bytes| listing::read_root(bytes).is_ok());
}

#[test]
fn extents() {
    fuzz(&corpus::extents(), |bytes| {
        let mut decoder = stream::Decoder::<Extent>::default();
        decoder.feed(bytes);
        while let Ok(Some(extent)) = decoder.value() {
            assert!(extent.slice().is_none_or(|slice| u64::from(slice.length) == extent.length()));
        }
        decoder.finish().is_ok()
    });
}

#[test]
fn paths() {
    fuzz(&corpus::paths(), |bytes| {
        let path = RawPath::new(bytes);
        assert_eq!(path.to_string().parse(), Ok(path));
        text(bytes).parse::<RawPath>().is_ok()
    });
}

#[test]
fn object_names() {
    fuzz(&corpus::names(), |bytes| {
        let name: Result<ObjectName, _> = text(bytes).parse();
        name.map(|name| assert_eq!(name.to_string(), text(bytes))).is_ok()
    });
}

#[test]
fn locations() {
    fuzz(&corpus::locations(), |bytes| {
        let location: Result<Location, _> = text(bytes).parse();
        location.map(|location| location.to_string()).is_ok()
    });
}

#[test]
fn schedules() {
    fuzz(&corpus::schedules(), |bytes| {
        let schedule: Result<Schedule, _> = text(bytes).parse();
        schedule.map(|read| assert_eq!(read.to_string().parse().ok(), Some(read))).is_ok()
    });
}

#[test]
fn configurations() {
    // A file in memory: a disk would be what the time is spent on.
    let file = File::from(rustix::fs::memfd_create("config", MemfdFlags::CLOEXEC).unwrap());
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    fuzz(&corpus::configurations(), |bytes| {
        file.set_len(0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Config::read(&path).is_ok()
    });
}

fn is_json<T: DeserializeOwned>(bytes: &[u8]) -> bool {
    serde_json::from_slice::<T>(bytes).is_ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
