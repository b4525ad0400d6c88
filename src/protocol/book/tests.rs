use super::*;
use crate::{
    protocol::table::{
        ANOTHERS, ANY, CLAIM,
        Change::{self, Delete, Put},
        DATA, FENCED, HELD, Keys, LAST_MODIFIED, LATER, Lost, OUR_OTHER, OURS, OWNER, RECEIPT, Row,
        SEEN, SENT, SINCE, STATE, Stage, TASKFLOWS, UNREADABLE, check, check_lost, hold,
    },
    store::{Header, KeyValue, RangeResponse},
};

const UUID: Uuid = Uuid::from_u128(5);
const BOOK: &str = "/t/.books/b/00000000-0000-0000-0000-000000000005";
const FLOW: &str =
    "/t/.books/b/00000000-0000-0000-0000-000000000005/00000000-0000-0000-0000-000000000006";
const ATOM: &str = "/t/.books/b/00000000-0000-0000-0000-000000000005/00000000-0000-0000-0000-000000000006/00000000-0000-0000-0000-000000000007";
const ANOTHER_ATOM: &str = "/t/.books/b/00000000-0000-0000-0000-000000000005/00000000-0000-0000-0000-000000000006/00000000-0000-0000-0000-000000000008";
/// Another book, whose uuid begins alike.
const NEIGHBOUR: &str = "/t/.books/b/00000000-0000-0000-0000-000000000050";

const RECORD: &[u8] = b"{\"ours\":1}";

fn part(names: &[&'static str]) -> Part {
    let sheet = |name: &&'static str| (Key::new(*name).unwrap(), Bytes::from_static(RECORD));
    let mut parts = parts(names.iter().map(sheet).collect());
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

/// A held job and its book. The book's key came to be at the fifth revision of what was seen.
const KEPT: &[Change] = &[
    HELD[0],
    HELD[1],
    HELD[2],
    HELD[3],
    Put(BOOK, ANY),
    Put(FLOW, ANY),
    Put(ATOM, ANY),
];
const CREATED: Revision = Revision::new(7);
const PUT_FLOW: Revision = Revision::new(8);
const PUT_ATOM: Revision = Revision::new(9);

fn save(stage: &Stage) -> SaveBook {
    let part = part(&[ATOM, FLOW]);
    SaveBook::new(&stage.keys, hold(Some(CLAIM)), UUID, CREATED, part)
}

type Saved = Result<Revision, SaveRefusal>;

const OVER: Settled<Saved> = Settled::Known(Err(SaveRefusal::NotHeld(NotHeld { now: None })));

/// The token holds and the book is there, so that the records are written.
fn saved(name: &'static str, since: &'static [Change], after: Keys) -> Row<Saved> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(FENCED)),
    }
}

#[test]
fn records_are_saved_while_the_token_holds_and_the_book_is_there() {
    #[rustfmt::skip]
    let rows = [
        saved("as seen", &[], &[
            (BOOK, CREATED), (FLOW, SENT), (ATOM, SENT),
            (RECEIPT, SENT),
            (DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (OWNER, SEEN[1]), (STATE, SEEN[2]),
        ]),
        saved("owner rewritten", &[Put(OWNER, TASKFLOWS)], &[
            (BOOK, CREATED), (FLOW, SENT), (ATOM, SENT),
            (RECEIPT, SENT),
            (DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (OWNER, SINCE[0]), (STATE, SEEN[2]),
        ]),
        saved("saved before", &[Put(BOOK, RECORD), Put(ATOM, RECORD)], &[
            (BOOK, SINCE[0]), (FLOW, SENT), (ATOM, SENT),
            (RECEIPT, SENT),
            (DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (OWNER, SEEN[1]), (STATE, SEEN[2]),
        ]),
        saved("record gone", &[Delete(ATOM)], &[
            (BOOK, CREATED), (FLOW, SENT), (ATOM, SENT),
            (RECEIPT, SENT),
            (DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (OWNER, SEEN[1]), (STATE, SEEN[2]),
        ]),
    ];
    check(KEPT, save, rows);
}

/// The token is gone, so that nothing changes.
fn not_held(name: &'static str, since: &'static [Change], now: Option<&str>) -> Row<Saved> {
    let now = now.map(str::to_owned);
    let after: Keys = if since.len() == 1 { FREE } else { REPLACED };
    Row {
        name,
        since,
        outcome: Err(SaveRefusal::NotHeld(NotHeld { now })),
        after,
        settled: OVER,
    }
}

const FREE: Keys = &[
    (BOOK, CREATED),
    (FLOW, PUT_FLOW),
    (ATOM, PUT_ATOM),
    (DATA, SEEN[0]),
    (LAST_MODIFIED, SEEN[3]),
    (STATE, SEEN[2]),
];

const REPLACED: Keys = &[
    (BOOK, CREATED),
    (FLOW, PUT_FLOW),
    (ATOM, PUT_ATOM),
    (DATA, SEEN[0]),
    (LAST_MODIFIED, SEEN[3]),
    (OWNER, SINCE[1]),
    (STATE, SEEN[2]),
];

#[test]
fn nothing_is_saved_once_the_token_is_gone() {
    #[rustfmt::skip]
    let rows = [
        not_held("no owner", &[Delete(OWNER)], None),
        not_held("same record", &[Delete(OWNER), Put(OWNER, OURS)], Some("w")),
        not_held("our other claim", &[Delete(OWNER), Put(OWNER, OUR_OTHER)], Some("w")),
        not_held("another's", &[Delete(OWNER), Put(OWNER, ANOTHERS)], Some("x")),
        not_held("unreadable", &[Delete(OWNER), Put(OWNER, UNREADABLE)], None),
    ];
    check(KEPT, save, rows);
}

#[test]
fn nothing_is_saved_to_a_book_that_is_gone_or_another() {
    let not_kept = |name, since, after| Row {
        name,
        since,
        outcome: Err(SaveRefusal::NotKept),
        after,
        settled: Settled::DidNotHappen,
    };
    #[rustfmt::skip]
    let rows = [
        not_kept("gone", &[Delete(BOOK), Delete(FLOW), Delete(ATOM)], &[
            (DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (OWNER, SEEN[1]), (STATE, SEEN[2]),
        ]),
        not_kept("created anew", &[Delete(BOOK), Put(BOOK, ANY)], &[
            (BOOK, SINCE[1]), (FLOW, PUT_FLOW), (ATOM, PUT_ATOM),
            (DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (OWNER, SEEN[1]), (STATE, SEEN[2]),
        ]),
    ];
    check(KEPT, save, rows);
}

#[test]
fn lost_save_happened_if_the_receipt_says_so() {
    let row = |name, later, never_arrived| Lost {
        name,
        later,
        arrived: Settled::Known(Ok(FENCED)),
        never_arrived,
    };
    let rows = [
        row("nothing", &[], Settled::DidNotHappen),
        // What another save puts since says nothing of this one.
        row("saved since", &[Put(ATOM, RECORD)], Settled::DidNotHappen),
        row("book deleted", &[Delete(BOOK)], Settled::DidNotHappen),
        row("owner gone", &[Delete(OWNER)], OVER),
        row("claimed", &[Delete(OWNER), Put(OWNER, ANOTHERS)], OVER),
    ];
    check_lost(KEPT, save, rows);
}

#[test]
fn save_whose_session_is_gone_is_over() {
    let stage = Stage::new(KEPT);
    let save = save(&stage);
    let reads = [read_of(None)];
    let evidence = evidence(&reads, Receipt::Gone);
    assert_eq!(save.settle(&evidence), Ok(OVER));
}

const NOTHING: &[Change] = &[];

type Created = Result<Revision, Exists>;

/// The last part: it has the book's own record.
fn create(stage: &Stage) -> CreateBook {
    CreateBook::new(&stage.keys, UUID, part(&[FLOW, BOOK]))
}

/// A part before the last.
fn prepare(stage: &Stage) -> CreateBook {
    CreateBook::new(&stage.keys, UUID, part(&[ATOM]))
}

#[test]
fn book_is_created_where_there_is_none() {
    let created = |name, since, after| Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(SENT)),
    };
    let rows = [
        created(
            "nothing",
            &[],
            &[(BOOK, SENT), (FLOW, SENT), (RECEIPT, SENT)],
        ),
        created(
            "left by a creation that ended half-way, beside another book",
            &[Put(FLOW, ANY), Put(ATOM, ANY), Put(NEIGHBOUR, ANY)],
            &[
                (BOOK, SENT),
                (FLOW, SENT),
                (ATOM, SINCE[1]),
                (NEIGHBOUR, SINCE[2]),
                (RECEIPT, SENT),
            ],
        ),
    ];
    check(NOTHING, create, rows);
    let rows = [Row {
        settled: Settled::Known(Ok(FENCED)),
        ..created("nothing", &[], &[(ATOM, SENT), (RECEIPT, SENT)])
    }];
    check(NOTHING, prepare, rows);
}

#[test]
fn book_that_is_there_stays_as_it_is() {
    let exists = |name, since, after| Row {
        name,
        since,
        outcome: Err(Exists),
        after,
        settled: Settled::DidNotHappen,
    };
    let rows = || {
        [
            exists("another", &[Put(BOOK, ANY)], &[(BOOK, SINCE[0])]),
            exists("the same", &[Put(BOOK, RECORD)], &[(BOOK, SINCE[0])]),
            exists("broken", &[Put(BOOK, UNREADABLE)], &[(BOOK, SINCE[0])]),
        ]
    };
    check(NOTHING, create, rows());
    check(NOTHING, prepare, rows());
}

#[test]
fn lost_creation_happened_if_the_receipt_says_so() {
    let row = |name, later, arrived| Lost::<Created> {
        name,
        later,
        arrived: Settled::Known(Ok(arrived)),
        never_arrived: Settled::DidNotHappen,
    };
    let rows = [
        row("nothing", &[], SENT),
        row("saved", &[Put(BOOK, ANY)], SENT),
        // A save must not take the place of the book for the book.
        row("deleted", &[Delete(BOOK)], FENCED),
        row("anew", &[Delete(BOOK), Put(BOOK, ANY)], LATER[1]),
    ];
    check_lost(NOTHING, create, rows);
}

#[test]
fn creation_whose_session_is_gone_is_told_by_its_words() {
    let stage = Stage::new(NOTHING);
    let settle = |verb: CreateBook, there| {
        let reads = [read_of(there)];
        verb.settle(&evidence(&reads, Receipt::Gone)).unwrap()
    };
    let there = Settled::Known(Ok(SENT));
    assert_eq!(settle(create(&stage), Some(RECORD)), there);
    assert_eq!(settle(create(&stage), Some(ANY)), Settled::CannotTell);
    assert_eq!(settle(create(&stage), None), Settled::CannotTell);
    assert_eq!(settle(prepare(&stage), None), Settled::DidNotHappen);
}

fn delete(stage: &Stage) -> DeleteBook {
    DeleteBook::new(&stage.keys, UUID)
}

#[test]
fn book_goes_with_all_that_is_in_it_and_alone() {
    let deleted = |name, since, outcome, after, settled| Row {
        name,
        since,
        outcome,
        after,
        settled,
    };
    #[rustfmt::skip]
    let rows = [
        deleted("whole", &[Put(BOOK, ANY), Put(FLOW, ANY), Put(ATOM, ANY)],
            true, &[(RECEIPT, SENT)], Settled::Known(true)),
        deleted("beside another", &[Put(BOOK, UNREADABLE), Put(NEIGHBOUR, ANY)],
            true, &[(NEIGHBOUR, SINCE[1]), (RECEIPT, SENT)], Settled::Known(true)),
        deleted("half", &[Put(FLOW, ANY), Put(ATOM, ANY), Put(NEIGHBOUR, ANY)],
            false, &[(FLOW, SINCE[0]), (ATOM, SINCE[1]), (NEIGHBOUR, SINCE[2])], Settled::DidNotHappen),
        deleted("nothing", &[], false, &[], Settled::DidNotHappen),
    ];
    check(NOTHING, delete, rows);
}

#[test]
fn only_what_belongs_to_no_book_is_swept() {
    let swept = |name, since, outcome, after| Row {
        name,
        since,
        outcome,
        after,
        settled: Settled::Repeat,
    };
    #[rustfmt::skip]
    let rows = [
        swept("half", &[Put(FLOW, ANY), Put(ATOM, ANY), Put(NEIGHBOUR, ANY)],
            SENT, &[(NEIGHBOUR, SINCE[2])]),
        swept("whole", &[Put(BOOK, ANY), Put(FLOW, ANY)],
            before(SENT), &[(BOOK, SINCE[0]), (FLOW, SINCE[1])]),
        swept("nothing", &[], before(SENT), &[]),
    ];
    check(NOTHING, |stage| sweep_book(&stage.keys, UUID), rows);
}

/// The revision before this one.
fn before(revision: Revision) -> Revision {
    Revision::new(revision.get() - 1)
}

#[test]
fn deletion_whose_session_is_gone_is_told_by_what_is_there() {
    let stage = Stage::new(NOTHING);
    let settle = |there| {
        let reads = [read_of(there)];
        delete(&stage).settle(&evidence(&reads, Receipt::Gone))
    };
    assert_eq!(settle(Some(ANY)), Ok(Settled::DidNotHappen));
    assert_eq!(settle(None), Ok(Settled::CannotTell));
}

#[test]
fn records_are_divided_as_they_come_and_as_they_fit() {
    let lengths = |sizes: &[usize]| -> Vec<usize> {
        let sheet = |size: &usize| (Key::new("/key").unwrap(), Bytes::from(vec![0; size - 4]));
        let parts = parts(sizes.iter().map(sheet).collect());
        parts.iter().map(Part::len).collect()
    };
    let (half, all) = (MAX_BYTES / 2, MAX_BYTES);
    assert_eq!(lengths(&[]), [0; 0]);
    assert_eq!(lengths(&[4; 250]), [100, 100, 50]);
    assert_eq!(lengths(&[half, half, 4]), [2, 1]);
    assert_eq!(lengths(&[half, half + 1, half - 1]), [1, 2]);
    assert_eq!(lengths(&[4, all, 4]), [1, 1, 1]);
}

#[test]
fn fullest_part_is_taken_by_a_store_with_the_limits_of_etcd() {
    let stage = Stage::new(KEPT);
    let sheet = |number: u128| {
        let (flow, atom) = (Uuid::from_u128(6), Uuid::from_u128(number));
        let record = Bytes::from(vec![b' '; MAX_BYTES / MAX_PUTS - 200]);
        (stage.keys.atom(UUID, flow, atom), record)
    };
    let parts = parts((1000..1100).map(sheet).collect());
    assert_eq!(parts.len(), 1);
    let part = parts[0].clone();
    let save = SaveBook::new(&stage.keys, hold(Some(CLAIM)), UUID, CREATED, part.clone());
    stage.send(&save).unwrap();
    let other = Uuid::from_u128(9);
    stage
        .send(&CreateBook::new(&stage.keys, other, part))
        .unwrap();
}

#[test]
fn records_are_not_shown() {
    let stage = Stage::new(KEPT);
    assert!(!format!("{:?}", save(&stage)).contains("ours"));
    assert!(!format!("{:?}", create(&stage)).contains("ours"));
    assert!(!format!("{:?}", part(&[ANOTHER_ATOM])).contains("ours"));
}

fn evidence(reads: &[RangeResponse], receipt: Receipt) -> Evidence<'_> {
    Evidence {
        at: FENCED,
        reads,
        receipt,
    }
}

fn read_of(value: Option<&'static [u8]>) -> RangeResponse {
    let kv = value.map(|value| KeyValue {
        key: Key::new(BOOK).unwrap(),
        value: Bytes::from_static(value),
        create_revision: SENT,
        mod_revision: SENT,
        version: 1,
        lease: None,
    });
    RangeResponse {
        header: Header {
            cluster_id: 1,
            revision: FENCED,
        },
        count: usize::from(kv.is_some()),
        kvs: kv.into_iter().collect(),
    }
}
