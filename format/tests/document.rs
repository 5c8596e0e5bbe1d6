//! The examples of docs/format.md are what the code makes, and what it reads.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fmt::Write as _;

use format::content::{ContentHasher, PAGE_BYTES};
use format::control;
use format::descriptor::Descriptor;
use format::frame::{ChunkKind, ChunkRecord, Codec, Frame};
use format::ids::{ObjectId, PointId, RepositoryId};
use format::index::IndexSegment;
use format::keys::{Keys, RootKey};
use format::listing;
use format::names::{ObjectName, PackName};
use format::pack::{self, SealedPack};
use format::raw::RawPath;
use format::session::{Outcome, SessionEnd};
use format::tree::{Content, Entry, Extent, Extents, FileTime, HardLink, Kind, Metadata, Slice};
use hkdf::Hkdf;
use sha2::Sha256;

const DOCUMENT: &str = include_str!("../../docs/format.md");
const POINT: PointId = PointId::new(counting(0xb0));
const PACK: PackName = PackName { session: POINT, id: ObjectId::new(counting(0xc0)) };

const fn counting<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [first; N];
    let mut at = 0;
    while at < N {
        bytes[at] = first + at as u8;
        at += 1;
    }
    bytes
}

/// The hexadecimal digits after a label: on its line, or on the indented lines below it.
fn digits(label: &str) -> String {
    let mut lines = DOCUMENT.lines().skip_while(|line| {
        let rest = line.strip_prefix(label).map(|rest| rest.split(';').next().unwrap());
        !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("  "))
    });
    let first = lines.next().unwrap_or_else(|| panic!("`{label}` is not in the document"));
    let first = first[label.len()..].split(';').next().unwrap();
    let more = lines.take_while(|line| line.starts_with("  "));
    let digits = first.chars().chain(more.flat_map(str::chars));
    digits.filter(|c| !c.is_whitespace()).collect()
}

/// Both as text, so that a failure shows what the document should say.
#[track_caller]
fn documented(label: &str, bytes: &[u8]) {
    assert_eq!(digits(label), hex(bytes), "{label}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The first block of JSON after a heading.
fn json(heading: &str) -> &'static str {
    let (_, section) = DOCUMENT.split_once(&format!("# {heading}\n")).unwrap();
    section.split_once("```json\n").unwrap().1.split_once("\n```").unwrap().0
}

fn keys() -> Keys {
    Keys::derive(&RootKey::new(counting(0)), RepositoryId::new(counting(0xa0)))
}

fn expand(salt: &[u8], key: &[u8], info: &str) -> [u8; 32] {
    let mut expanded = [0; 32];
    Hkdf::<Sha256>::new(Some(salt), key).expand(info.as_bytes(), &mut expanded).unwrap();
    expanded
}

fn branch(info: &str) -> [u8; 32] {
    expand(&counting::<16>(0xa0), &counting::<32>(0), info)
}

fn example_pack() -> SealedPack {
    let record = |text: &[u8]| ChunkRecord {
        id: keys().chunk_id(text),
        length: u32::try_from(text.len()).unwrap(),
    };
    let frame = Frame {
        kind: ChunkKind::Data,
        chunks: vec![record(b"hello"), record(b"world!")],
        raw_length: 11,
        codec: Codec::Plain,
        bytes: b"helloworld!".to_vec(),
    };
    pack::seal(&keys(), PACK, vec![frame], Vec::new())
}

#[test]
fn the_document_has_the_keys_and_what_they_name() {
    documented("root key", &counting::<32>(0));
    documented("repository id", &counting::<16>(0xa0));
    documented("point", POINT.as_bytes());
    documented("pack", PACK.id.as_bytes());
    for key in ["chunk id", "part", "content", "cut points", "seal", "salt", "cache"] {
        let label = format!("stillpoint {key}");
        documented(&label, &branch(&label));
    }
    assert_eq!(*keys().cut_key(), branch("stillpoint cut points"));
    let hello = blake3::keyed_hash(&branch("stillpoint chunk id"), b"hello");
    documented("chunk id of hello", hello.as_bytes());
    assert_eq!(keys().chunk_id(b"hello").as_bytes(), hello.as_bytes());
    let hello = blake3::keyed_hash(&branch("stillpoint part"), b"hello");
    documented("digest of hello", &hello.as_bytes()[..16]);
    assert_eq!(keys().digest(b"hello").as_bytes(), &hello.as_bytes()[..16]);
}

#[test]
fn the_document_has_a_key_and_a_commitment_of_an_object() {
    let salt: [u8; 32] = counting(0xe0);
    documented("salt of an object", &salt);
    for label in ["stillpoint object key", "stillpoint commitment"] {
        documented(label, &expand(&salt, &branch("stillpoint seal"), label));
    }
}

#[test]
fn the_document_has_a_descriptor() {
    let repository = RepositoryId::new(counting(0xa0));
    let descriptor = Descriptor::parse(json("Descriptor").as_bytes()).unwrap();
    assert_eq!(descriptor, Descriptor::new(repository));
}

#[test]
fn the_document_has_a_control_object_and_a_link_to_it() {
    let name = ObjectName::Outcome(POINT);
    let content = Outcome { nonce: PACK.id, end: SessionEnd::Fenced, previous: None };
    let text = serde_json::to_string(&content).unwrap();
    assert_eq!(json("Control objects"), text);
    let bytes = control::seal(&keys(), name, &content, [0; 16]).unwrap();
    documented("control object", &bytes);
    assert_eq!(control::open::<Outcome>(&keys(), name, &bytes).unwrap(), content);

    let compressed = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    documented("zstd frame", &compressed);
    let mut salt = blake3::Hasher::new_keyed(&branch("stillpoint salt"));
    for part in [name.to_string().as_bytes(), &[0; 16], &compressed] {
        salt.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    assert_eq!(bytes[8..40], *salt.finalize().as_bytes());
    let commitment = expand(&bytes[8..40], &branch("stillpoint seal"), "stillpoint commitment");
    assert_eq!(bytes[40..72], commitment);

    let link: control::Link = serde_json::from_str(json("Links")).unwrap();
    assert_eq!(link, control::link(&keys(), name, &bytes));
}

#[test]
fn the_document_has_a_pack_and_its_segment() {
    let SealedPack { bytes, record } = example_pack();
    let frame_end = 72 + record.frames[0].length as usize;
    let trailer = bytes.len() - 16;
    documented("magic, salt, commitment", &bytes[..72]);
    documented("sealed frame", &bytes[72..frame_end]);
    documented("sealed footer", &bytes[frame_end..trailer]);
    documented("length, count, magic", &bytes[trailer..]);
    let footer = digits("footer");
    assert_eq!(footer.len() / 2 + 16, trailer - frame_end);

    let identity = PACK.to_string();
    let footer: Vec<u8> = (0..footer.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&footer[at..at + 2], 16))
        .collect::<Result<_, _>>()
        .unwrap();
    let mut salt = blake3::Hasher::new_keyed(&branch("stillpoint salt"));
    for part in [identity.as_bytes(), &footer, b"helloworld!"] {
        salt.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    assert_eq!(record.salt, *salt.finalize().as_bytes(), "the footer is not the one sealed");
    assert_eq!(pack::verify(&keys(), PACK, &bytes).unwrap(), record);
    let segment = IndexSegment { packs: vec![record], previous: None };
    documented("segment", &postcard::to_allocvec(&segment).unwrap());
}

#[test]
fn the_document_has_an_entry_with_every_kind_of_extent() {
    let slice = |text: &[u8]| Slice {
        chunk: keys().chunk_id(text),
        offset: 0,
        length: u32::try_from(text.len()).unwrap(),
    };
    let extents = vec![
        Extent::Whole(slice(b"hello")),
        Extent::Hole { length: 4096 },
        Extent::Part {
            slice: Slice { offset: 1, length: 5, ..slice(b"world!") },
            digest: keys().digest(b"orld!"),
        },
    ];
    let size = extents.iter().map(Extent::length).sum();
    assert_eq!(size, 4106);
    let entry = Entry {
        name: RawPath::new("b"),
        kind: Kind::File(Content { size, extents: Extents::Here(extents), hash: None }),
        metadata: Metadata {
            mode: 0o600,
            uid: 1000,
            gid: 1000,
            modified: FileTime { seconds: -1, nanoseconds: 500_000_000 },
            hard_link: Some(HardLink { filesystem: 0, inode: 300 }),
            ..Metadata::default()
        },
    };
    let mut bytes = Vec::new();
    listing::write(&entry, &mut bytes);
    documented("entry of b", &bytes);
    let mut decoder = listing::Decoder::default();
    decoder.feed(&bytes);
    assert_eq!(decoder.entry().unwrap(), Some(entry));
}

#[test]
fn the_document_has_a_content_hash() {
    let pages = [(0_u64, vec![b'a'; PAGE_BYTES]), (2, b"b".to_vec())];
    let (mut input, mut hasher) = (Vec::new(), ContentHasher::new(&keys()));
    for (number, page) in &pages {
        let digest = keys().digest(page);
        documented(&format!("digest of page {number}"), digest.as_bytes());
        input.extend_from_slice(&number.to_le_bytes());
        input.extend_from_slice(digest.as_bytes());
        hasher.page(*number, digest);
    }
    input.extend_from_slice(&8193_u64.to_le_bytes());
    documented("hashed", &input);
    let hash = blake3::keyed_hash(&branch("stillpoint content"), &input);
    documented("content hash", hash.as_bytes());
    assert_eq!(hasher.finish(8193).as_bytes(), hash.as_bytes());
}
