use super::*;
use crate::protocol::{
    owner::OwnerRecord,
    state::{SeenState, StateRecord},
    table::{
        ANOTHERS, ANY, CANCEL, CLAIM,
        Change::{self, Delete, Put},
        DATA, FENCED, FOREIGN, Keys, Lost, NEIGHBOUR, OWNER, PAUSED, RECEIPT, RELEASED, Row, SEEN,
        SENT, SINCE, STATE, Stage, TASKFLOWS, TRASH, UNIQUE, UNIQUE_POSTING, UNREADABLE, check,
        check_found, check_lost, job,
    },
    time::Timestamp,
    verb::Receipt,
};

type Outcome = Result<Revision, TrashUnclaimedRefusal>;

/// A job that was tried, and holds a unique key.
const SEEN_SO: &[Change] = &[
    Put(DATA, UNIQUE_POSTING),
    Put(STATE, TWICE),
    Put(UNIQUE, ANY),
];

const TWICE: &[u8] = br#"{"attempts":2,"unsettled":2}"#;
const THRICE: &[u8] = br#"{"attempts":3,"unsettled":0}"#;

/// A trash record of this very trashing.
const OUR_TRASH: &[u8] = br#"{"jobboard":{"claim":"00000000-0000-0000-0000-000000000002"}}"#;
/// A trash record of another trashing.
const ANOTHER_TRASH: &[u8] = br#"{"jobboard":{"claim":"00000000-0000-0000-0000-000000000009"}}"#;

const GONE: Keys = &[(RECEIPT, SENT), (TRASH, SENT)];

fn trash(stage: &Stage) -> TrashUnclaimed {
    let posting = Posting::read(Bytes::from_static(UNIQUE_POSTING)).unwrap();
    let note = TrashNote {
        on: Timestamp::parse("2026-01-31T12:00:00Z").unwrap().get(),
        by: "w",
        reason: Some("tried too often"),
        attempts: 2,
        operation: CLAIM,
    };
    let job = (job(), SEEN[0], &posting);
    TrashUnclaimed::new(&stage.keys, job, SEEN[1], 0, &note).unwrap()
}

fn trashed(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(SENT)),
    }
}

/// The job is not as it was seen, so that nothing changes; the posting is still there.
fn refused(
    name: &'static str,
    since: &'static [Change],
    why: NotOffered,
    after: Keys,
) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(TrashUnclaimedRefusal::NotOffered(why)),
        after,
        settled: Settled::DidNotHappen,
    }
}

fn owned(record: &[u8]) -> NotOffered {
    NotOffered::Owned(Some(OwnerRecord::read(record).unwrap()))
}

#[test]
fn job_that_nobody_holds_is_trashed_and_lets_its_unique_key_go() {
    let rows = [
        trashed("as seen", &[], GONE),
        trashed("posting unreadable", &[Put(DATA, UNREADABLE)], GONE),
        trashed("more keys", &[Put(CANCEL, ANY), Put(FOREIGN, ANY)], GONE),
        trashed(
            "paused, release mark, beside another job",
            &[Put(PAUSED, ANY), Put(RELEASED, ANY), Put(NEIGHBOUR, ANY)],
            &[
                (PAUSED, SINCE[0]),
                (RECEIPT, SENT),
                (RELEASED, SINCE[1]),
                (TRASH, SENT),
                (NEIGHBOUR, SINCE[2]),
            ],
        ),
    ];
    check(SEEN_SO, trash, rows);
}

#[test]
fn job_that_changed_since_stays_as_it_is() {
    let moved = SeenState {
        mod_revision: SINCE[0],
        record: StateRecord::read(THRICE).unwrap(),
    };
    let no_state = NotOffered::StateMoved(Box::default());
    let unreadable = NotOffered::Unreadable(StateRecord::read(UNREADABLE).unwrap_err());
    let held: Keys = &[
        (UNIQUE, SEEN[2]),
        (DATA, SEEN[0]),
        (OWNER, SINCE[0]),
        (STATE, SEEN[1]),
    ];
    let touched: Keys = &[(UNIQUE, SEEN[2]), (DATA, SEEN[0]), (STATE, SINCE[0])];
    let rows = [
        refused("claimed", &[Put(OWNER, ANOTHERS)], owned(ANOTHERS), held),
        refused(
            "by TaskFlow",
            &[Put(OWNER, TASKFLOWS)],
            owned(TASKFLOWS),
            held,
        ),
        refused(
            "by somebody",
            &[Put(OWNER, UNREADABLE)],
            NotOffered::Owned(None),
            held,
        ),
        refused(
            "moved",
            &[Put(STATE, THRICE)],
            NotOffered::StateMoved(moved.into()),
            touched,
        ),
        refused(
            "state unreadable",
            &[Put(STATE, UNREADABLE)],
            unreadable,
            touched,
        ),
        refused(
            "state absent",
            &[Delete(STATE)],
            no_state,
            &[(UNIQUE, SEEN[2]), (DATA, SEEN[0])],
        ),
    ];
    check(SEEN_SO, trash, rows);
}

#[test]
fn what_is_in_the_trash_stays_there() {
    let rows = [Row {
        outcome: Err(TrashUnclaimedRefusal::PlaceTaken),
        settled: Settled::DidNotHappen,
        ..trashed(
            "place taken",
            &[Put(TRASH, ANOTHER_TRASH)],
            &[
                (TRASH, SINCE[0]),
                (UNIQUE, SEEN[2]),
                (DATA, SEEN[0]),
                (STATE, SEEN[1]),
            ],
        )
    }];
    check(SEEN_SO, trash, rows);
}

#[test]
fn job_that_is_gone_is_not_trashed() {
    let gone = || Err(TrashUnclaimedRefusal::NotOffered(NotOffered::Gone));
    let rows = [
        Row {
            outcome: gone(),
            settled: Settled::DidNotHappen,
            ..trashed(
                "posting absent",
                &[Delete(DATA)],
                &[(UNIQUE, SEEN[2]), (STATE, SEEN[1])],
            )
        },
        Row {
            outcome: gone(),
            settled: Settled::DidNotHappen,
            ..trashed(
                "posting anew",
                &[Delete(DATA), Put(DATA, UNIQUE_POSTING)],
                &[(UNIQUE, SEEN[2]), (DATA, SINCE[1]), (STATE, SEEN[1])],
            )
        },
    ];
    check(SEEN_SO, trash, rows);
}

#[test]
fn lost_answer_is_told_by_the_place_in_the_trash_or_by_the_posting() {
    let ours = Settled::Known(Ok(SENT));
    let done_before = Settled::Known(Ok(FENCED));
    let rows = [
        Lost {
            name: "nothing else happened",
            later: &[],
            arrived: ours.clone(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "restored since",
            later: &[Delete(TRASH), Put(DATA, UNIQUE_POSTING)],
            arrived: done_before.clone(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "claimed since",
            later: &[Put(OWNER, ANOTHERS)],
            arrived: ours.clone(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "the place belongs to another trashing",
            later: &[Delete(TRASH), Put(TRASH, ANOTHER_TRASH)],
            arrived: done_before,
            never_arrived: Settled::DidNotHappen,
        },
    ];
    check_lost(SEEN_SO, trash, rows);
}

#[test]
fn record_names_its_trashing_and_no_other() {
    assert!(TrashNote::names(OUR_TRASH, CLAIM));
    assert!(!TrashNote::names(ANOTHER_TRASH, CLAIM));
    assert!(!TrashNote::names(UNREADABLE, CLAIM));
    let stage = Stage::new(SEEN_SO);
    stage.send(&trash(&stage)).unwrap();
    assert!(TrashNote::names(stage.value(TRASH).as_bytes(), CLAIM));
    assert!(stage.value(TRASH).contains(r#""reason":"tried too often""#));
    let there = stage.keys_there();
    assert!(
        there
            .iter()
            .all(|(key, _)| !key.as_bytes().starts_with(b"/t/jobs"))
    );
}

#[test]
fn posting_that_stands_tells_that_nothing_happened_where_there_is_no_receipt() {
    use Receipt::{DoesNotName, Gone, Names};
    let posted = (DATA, UNIQUE_POSTING, SEEN[0]);
    let another = (DATA, UNIQUE_POSTING, SENT);
    let ours = (TRASH, OUR_TRASH, SENT);
    #[rustfmt::skip]
    let rows = [
        ("stands, no receipt", &[posted][..], Gone, Settled::DidNotHappen),
        ("posted anew, no receipt", &[another], Gone, Settled::CannotTell),
        ("gone, no receipt", &[], Gone, Settled::CannotTell),
        ("in the trash, no receipt", &[ours], Gone, Settled::Known(Ok(SENT))),
        ("gone, named", &[], Names, Settled::Known(Ok(FENCED))),
        ("gone, not named", &[], DoesNotName, Settled::DidNotHappen),
    ];
    check_found(&trash(&Stage::new(SEEN_SO)), rows);
}
