//! What every kind of slot keeps, and the worked example of docs/format.md#a-worked-example.

use super::*;

const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);
const ID: SlotId = SlotId::new([2; 8]);
const DOCUMENT: &str = include_str!("../../../docs/format.md");

fn root() -> RootKey {
    RootKey::new([9; 32])
}

fn keys() -> [Key; 3] {
    [
        Key::Passphrase(Passphrase::new("right")),
        Key::File(KeyFile::new([4; 32])),
        Key::Recovery(RecoveryKey::new([5; 20])),
    ]
}

fn wrap(key: &Key) -> Slot {
    let inscription = Inscription {
        label: "in the safe".parse().unwrap(),
        created: "2026-03-01T12:00:00Z".parse().unwrap(),
    };
    Slot::wrap((&root(), REPOSITORY), ID, key, inscription, [3; 32]).unwrap()
}

fn key_file_slot() -> Slot {
    wrap(&keys()[1])
}

#[test]
fn the_right_key_opens_and_others_do_not() {
    for (key, other) in keys().iter().zip([
        Key::Passphrase(Passphrase::new("wrong")),
        Key::File(KeyFile::new([6; 32])),
        Key::Recovery(RecoveryKey::new([6; 20])),
    ]) {
        let slot = wrap(key);
        assert_eq!(slot.unwrap(REPOSITORY, key).unwrap().as_bytes(), root().as_bytes());
        let wrong = slot.unwrap(REPOSITORY, &other);
        assert!(matches!(wrong, Err(SlotError::WrongKey { .. })), "{wrong:?}");
        let elsewhere = slot.unwrap(RepositoryId::new([8; 16]), key);
        assert!(matches!(elsewhere, Err(SlotError::Damaged(_))), "{elsewhere:?}");
    }
}

#[test]
fn a_key_opens_no_slot_of_another_kind() {
    // The same bytes as another kind of key.
    let slot = wrap(&Key::Recovery(RecoveryKey::new([4; 20])));
    let as_passphrase = slot.unwrap(REPOSITORY, &Key::Passphrase(Passphrase::new([4; 20])));
    assert!(matches!(as_passphrase, Err(SlotError::WrongKey { kind: Kind::Passphrase, .. })));
    assert!(matches!(slot.unwrap(REPOSITORY, &keys()[1]), Err(SlotError::WrongKey { .. })));
}

#[test]
fn a_slot_survives_its_json() {
    for key in &keys()[1..] {
        let slot = wrap(key);
        assert_eq!(Slot::parse(ID, &slot.to_bytes()).unwrap(), slot);
    }
}

#[test]
fn whatever_is_altered_is_found() {
    let whole: serde_json::Value = serde_json::from_slice(&key_file_slot().to_bytes()).unwrap();
    let alterations = [
        ("kind", "recovery"),
        ("label", "in the bin"),
        ("created", "2026-03-01T12:00:01Z"),
        ("salt", &"00".repeat(32)),
        ("commitment", &"00".repeat(32)),
        ("wrapped", &"00".repeat(48)),
        ("proof", &"00".repeat(32)),
        ("slot", "0202020202020203"),
    ];
    for (field, value) in alterations {
        let mut altered = whole.clone();
        altered[field] = value.into();
        let Ok(slot) = Slot::parse(ID, altered.to_string().as_bytes()) else { continue };
        assert!(!slot.is_proven(&root(), REPOSITORY), "{field}");
        // The proof is for lists of slots; whoever opens one has the seal.
        assert_eq!(slot.unwrap(REPOSITORY, &keys()[1]).is_ok(), field == "proof", "{field}");
    }
    assert!(key_file_slot().is_proven(&root(), REPOSITORY));
    assert!(!key_file_slot().is_proven(&RootKey::new([8; 32]), REPOSITORY));
}

#[test]
fn a_hostile_cost_is_refused_before_any_memory_is_taken() {
    let mut slot = key_file_slot();
    let cost = derive::Cost { memory_kib: u32::MAX, ..COST };
    (slot.kind, slot.algorithm) = (Kind::Passphrase, Algorithm::Argon2id { cost });
    assert!(matches!(slot.unwrap(REPOSITORY, &keys()[0]), Err(SlotError::Cost(_))));
}

#[test]
fn a_slot_of_another_kind_is_unknown_and_one_under_another_name_damaged() {
    let text = String::from_utf8(key_file_slot().to_bytes()).unwrap();
    let parse = |from: &str, to: &str| Slot::parse(ID, text.replace(from, to).as_bytes());
    // What nobody has written yet, and a passphrase without its cost.
    for (from, to) in [("key-file", "tpm"), ("key-file", "passphrase"), ("hkdf", "\\u001b[2J")] {
        let error = parse(from, to).unwrap_err();
        assert!(matches!(error, SlotError::UnknownKind { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
    assert!(matches!(parse(&"02".repeat(8), &"03".repeat(8)), Err(SlotError::Damaged(_))));
    assert!(matches!(parse(&"03".repeat(32), "03"), Err(SlotError::Damaged(_))));
    assert!(matches!(parse("in the safe", "\\u001b[2J"), Err(SlotError::Malformed { .. })));
    assert!(matches!(Slot::parse(ID, b"no slot"), Err(SlotError::Malformed { .. })));
}

#[test]
fn the_worked_example_is_what_this_program_writes() {
    let example = DOCUMENT.split("### A worked example").nth(1).unwrap();
    let example = example.split("\n## ").next().unwrap();
    for key in keys() {
        let slot = wrap(&key);
        let text = String::from_utf8(slot.to_bytes()).unwrap();
        assert!(example.contains(&format!("```json\n{text}```")), "not in the document:\n{text}");
        assert_eq!(slot.unwrap(REPOSITORY, &key).unwrap().as_bytes(), root().as_bytes());
        let text = match &key {
            Key::Passphrase(_) => continue,
            Key::File(file) => file.text(),
            Key::Recovery(recovery) => recovery.text(),
        };
        assert!(example.contains(text.trim_end()), "not in the document:\n{}", *text);
    }
}
