use bytes::Bytes;
use serde_json::json;

use super::{
    assemble::{Broken, assemble},
    draft::{Draft, Which, mark_all_saved, mark_saved},
    *,
};
use crate::{
    error::{ErrorKind, Result},
    protocol::keys::Keyspace,
    store::{Key, KeyValue},
};

const SEEN: Revision = Revision::new(20);

fn keys() -> Keyspace {
    Keyspace::new(&"/t".parse().unwrap(), &"b".parse().unwrap())
}

fn new_book() -> LogBook {
    LogBook::new("book".to_owned(), Random::seeded(1))
}

/// Two flows, whose atoms come in no order of their names.
fn filled() -> LogBook {
    let mut book = new_book();
    let flow = book.add_flow("resize");
    flow.set_state("RUNNING");
    flow.add_atom("second").set_results(json!({"secret": 7}));
    flow.add_atom("first").set_state("SUCCESS").set_version("2");
    book.add_flow("publish").add_atom("upload");
    book
}

fn sheets(book: &LogBook, which: Which) -> Vec<(Key, Bytes)> {
    let draft = Draft::of(book, &keys(), which, DateTime::UNIX_EPOCH, "save").unwrap();
    let parts = draft.into_parts();
    parts
        .iter()
        .flat_map(|part| part.sheets().to_vec())
        .collect()
}

/// What is kept of a book, each record at a revision of its own.
fn kept(book: &LogBook) -> Vec<KeyValue> {
    let mut kept: Vec<_> = (10..)
        .zip(sheets(book, Which::All))
        .map(|(at, (key, value))| KeyValue {
            key,
            value,
            create_revision: Revision::new(at),
            mod_revision: Revision::new(at),
            version: 1,
            lease: None,
        })
        .collect();
    kept.sort_by(|one, two| one.key.cmp(&two.key));
    kept
}

fn read(uuid: Uuid, kept: Vec<KeyValue>) -> Result<LogBook, Broken> {
    assemble(&keys(), &Random::seeded(2), uuid, SEEN, kept)
}

fn names<'a>(book: &'a LogBook, flow: &str) -> Vec<&'a str> {
    let flow = book.flow(flow).unwrap();
    flow.atoms().iter().map(AtomDetail::name).collect()
}

#[test]
fn book_that_is_put_together_is_the_one_that_was_written() {
    let book = filled();
    let again = read(book.uuid(), kept(&book)).unwrap();
    assert_eq!(sheets(&again, Which::All), sheets(&book, Which::All));
    assert_eq!(names(&again, "resize"), ["second", "first"]);
    let flows: Vec<_> = again.flows().iter().map(FlowDetail::name).collect();
    assert_eq!(flows, ["resize", "publish"]);
    let created = Revision::new(15);
    let seen = SEEN;
    assert_eq!(again.kept, Some(Kept { created, seen }));
    assert!(again.is_saved() && !book.is_saved());
}

#[test]
fn what_is_there_is_not_added_twice() {
    let mut book = filled();
    let uuid = book.flow("resize").unwrap().uuid();
    let flow = book.add_flow("resize");
    assert_eq!(flow.uuid(), uuid);
    assert_eq!(flow.add_atom("first").state(), Some("SUCCESS"));
    assert_eq!((book.flows().len(), names(&book, "resize").len()), (2, 2));
    assert!(book.flow("first").is_none() && book.flow_mut("first").is_none());
}

#[test]
fn only_what_changed_is_written_with_what_names_it() {
    let book = filled();
    let mut book = read(book.uuid(), kept(&book)).unwrap();
    assert!(sheets(&book, Which::Changed).is_empty());
    // Finding what is there changes nothing.
    book.add_flow("resize").add_atom("first");
    assert!(book.is_saved());

    let keys = keys();
    let (uuid, flow) = (book.uuid(), book.flow("resize").unwrap().uuid());
    let first = book.add_flow("resize").add_atom("first");
    let first = first.set_state("FAILURE").uuid();
    let written: Vec<_> = sheets(&book, Which::Changed);
    assert_eq!(written[0].0, keys.atom(uuid, flow, first));
    assert_eq!(written.len(), 1);

    let third = book.add_flow("resize").add_atom("third").uuid();
    let written = sheets(&book, Which::Changed).into_iter();
    let written: Vec<_> = written.map(|(key, _)| key).collect();
    assert_eq!(
        written,
        [
            keys.atom(uuid, flow, first),
            keys.atom(uuid, flow, third),
            keys.flow(uuid, flow)
        ]
    );
}

#[test]
fn book_itself_is_written_last() {
    let book = filled();
    let written = sheets(&book, Which::All);
    let lengths: Vec<_> = written
        .iter()
        .map(|(key, _)| key.as_str().unwrap().split('/').count())
        .collect();
    assert_eq!(lengths, [7, 7, 7, 6, 6, 5]);
}

#[test]
fn what_was_saved_is_marked_in_the_order_of_writing() {
    let mut book = filled();
    let now = DateTime::UNIX_EPOCH;
    let all = sheets(&book, Which::All);
    mark_saved(&mut book, 2, now);
    assert_eq!(sheets(&book, Which::Changed), all[2..]);
    assert_eq!(book.flow("resize").unwrap().updated_at(), Some(now));
    assert_eq!(book.created_at(), None);
    mark_saved(&mut book, 3, now);
    assert_eq!(sheets(&book, Which::Changed), all[5..]);
    assert!(!book.is_saved());
    mark_all_saved(&mut book, now);
    assert!(book.is_saved());
    assert_eq!(book.created_at(), Some(now));
}

#[test]
fn book_is_as_new_as_what_was_saved_last_in_it() {
    let mut book = filled();
    mark_all_saved(&mut book, DateTime::UNIX_EPOCH);
    let later = DateTime::from_timestamp_nanos(9_000_000);
    book.add_flow("publish")
        .add_atom("upload")
        .set_state("SUCCESS");
    mark_saved(&mut book, 1, later);
    assert_eq!(book.updated_at(), Some(later));
    assert_eq!(book.created_at(), Some(DateTime::UNIX_EPOCH));
    let resize = book.flow("resize").unwrap();
    assert_eq!(resize.updated_at(), Some(DateTime::UNIX_EPOCH));
}

#[test]
fn record_that_no_other_names_belongs_to_nothing() {
    let book = filled();
    let mut kept = kept(&book);
    let flow = book.flow("resize").unwrap().uuid();
    for key in [
        keys().atom(book.uuid(), flow, Uuid::from_u128(1)),
        keys().flow(book.uuid(), Uuid::from_u128(2)),
        keys().atom(book.uuid(), Uuid::from_u128(2), Uuid::from_u128(3)),
    ] {
        let broken = KeyValue {
            key,
            value: Bytes::from_static(b"{"),
            ..kept[0].clone()
        };
        kept.push(broken);
    }
    let again = read(book.uuid(), kept).unwrap();
    assert_eq!(names(&again, "resize"), ["second", "first"]);
}

#[test]
fn record_that_is_missing_or_broken_is_named() {
    let book = filled();
    for place in 1..kept(&book).len() {
        let mut missing = kept(&book);
        let gone = missing.remove(place).key;
        let why = read(book.uuid(), missing).unwrap_err();
        assert!(
            matches!(&why, Broken::Unreadable(key, _) if *key == gone),
            "{why}"
        );
    }
    for place in 0..kept(&book).len() {
        let mut newer = kept(&book);
        let text = String::from_utf8(newer[place].value.to_vec()).unwrap();
        newer[place].value = text.replace("\"v\":1", "\"v\":2").into();
        let why = read(book.uuid(), newer).unwrap_err().to_string();
        assert!(
            why.ends_with("its layout has version 2, this library knows 1"),
            "{why}"
        );
    }
}

#[test]
fn book_without_its_own_record_is_missing() {
    let book = filled();
    let mut half = kept(&book);
    half.remove(0);
    for left in [half, Vec::new()] {
        assert!(matches!(read(book.uuid(), left), Err(Broken::Missing)));
    }
}

#[test]
fn record_that_is_named_twice_is_refused() {
    let mut book = filled();
    let first = book.flow("resize").unwrap().uuid();
    book.detail.add(first);
    let why = read(book.uuid(), kept(&book)).unwrap_err();
    assert!(matches!(why, Broken::Unreadable(..)), "{why}");
}

#[test]
fn what_can_not_be_kept_is_refused_before_anything_is_sent() {
    let refused = |book: &LogBook, which| {
        let draft = Draft::of(book, &keys(), which, DateTime::UNIX_EPOCH, "save");
        let error = draft.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let mut book = filled();
    mark_all_saved(&mut book, DateTime::UNIX_EPOCH);
    let changed = |change: fn(&mut AtomDetail)| {
        let mut book = book.clone();
        change(book.add_flow("resize").add_atom("first"));
        book
    };

    let long = changed(|atom| {
        atom.set_results("r".repeat(512 << 10));
    });
    let why = refused(&long, Which::Changed);
    assert!(
        why.contains("the record of atom \"first\"") && why.contains("524288"),
        "{why}"
    );
    let deep = changed(|atom| {
        atom.set_results((0..200).fold(json!(1), |deep, _| json!([deep])));
    });
    let why = refused(&deep, Which::Changed);
    assert!(why.contains("could not be read"), "{why}");

    let mut unnamed = book.clone();
    unnamed.add_flow("resize").add_atom("");
    assert!(refused(&unnamed, Which::Changed).contains("the atom's name is empty"));
    let mut named = book.clone();
    named.add_flow(&"n".repeat(256));
    assert!(refused(&named, Which::Changed).contains("256 bytes"));
    let nameless = LogBook::new(String::new(), Random::seeded(1));
    assert!(refused(&nameless, Which::All).contains("the book's name"));
}

#[test]
fn results_are_read_as_a_type_and_never_repeated() {
    let mut book = new_book();
    let atom = book.add_flow("f").add_atom("a");
    assert_eq!(atom.results_as::<Option<u8>>().unwrap(), None);
    atom.set_results(json!(["one", "hunter2"]));
    assert_eq!(atom.results_as::<Vec<String>>().unwrap()[0], "one");
    let why = atom.results_as::<u8>().unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Corrupt);
    assert!(!why.to_string().contains("hunter2"), "{why}");
}

#[test]
fn meta_and_results_are_not_shown() {
    let mut book = filled();
    let meta = || Map::from_iter([("secret".to_owned(), json!(8))]);
    book.set_meta(meta());
    book.add_flow("resize").set_meta(meta());
    book.add_flow("resize").add_atom("first").set_meta(meta());
    let shown = format!("{book:?}");
    assert!(
        shown.contains("resize") && shown.contains("SUCCESS"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn uuids_come_from_the_generator_that_was_handed_in() {
    let uuids = |book: &LogBook| {
        let flow = book.flow("resize").unwrap();
        (book.uuid(), flow.uuid(), flow.atom("first").unwrap().uuid())
    };
    assert_eq!(uuids(&filled()), uuids(&filled()));
}
