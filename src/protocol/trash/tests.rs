use super::*;
use crate::protocol::{
    table::{
        ANOTHERS, ANY, CANCEL, CLAIM,
        Change::{self, Delete, Put},
        DATA, FOREIGN, FREE, HELD, Keys, LAST_MODIFIED, Lost, NEIGHBOUR, OUR_OTHER, OURS, OWNER,
        PAUSED, POSTING, RELEASED, REPLACED, Row, SEEN, SENT, SINCE, STATE, Stage, TASKFLOWS,
        TRASH, UNIQUE, UNIQUE_POSTING, UNREADABLE, check, check_lost, hold,
    },
    time::Timestamp,
};

type Outcome = Result<Revision, TrashRefusal>;

const LOST: Settled<Outcome> = Settled::Known(Err(TrashRefusal::NotHeld(NotHeld { now: None })));

/// A trash record of this very trashing.
const OUR_TRASH: &[u8] = br#"{"jobboard":{"trashed_on":"2026-01-31T12:00:00.000000","trashed_by":"w","attempts":1,"claim":"00000000-0000-0000-0000-000000000002"}}"#;
/// A trash record of another trashing.
const ANOTHER_TRASH: &[u8] = br#"{"jobboard":{"trashed_on":"2026-01-31T12:00:00.000000","trashed_by":"x","attempts":1,"claim":"00000000-0000-0000-0000-000000000009"}}"#;
const SECOND_PLACE: &str = "/t/.trash/b/job7.1";

fn trash(stage: &Stage) -> Trash {
    trash_into(stage, 0)
}

fn trash_into(stage: &Stage, copy: u64) -> Trash {
    trash_of(stage, copy, POSTING)
}

fn trash_of(stage: &Stage, copy: u64, posting: &'static [u8]) -> Trash {
    let posting = Posting::read(Bytes::from_static(posting)).unwrap();
    let note = TrashNote {
        on: Timestamp::parse("2026-01-31T12:00:00Z").unwrap().get(),
        by: "w",
        reason: Some("bad"),
        attempts: 3,
        operation: CLAIM,
    };
    Trash::new(&stage.keys, hold(Some(CLAIM)), copy, &posting, &note).unwrap()
}

/// The job goes into the trash.
fn trashed(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(SENT)),
    }
}

/// The token is gone, so that nothing changes.
fn not_held(
    name: &'static str,
    since: &'static [Change],
    now: Option<&str>,
    after: Keys,
) -> Row<Outcome> {
    let now = now.map(str::to_owned);
    Row {
        name,
        since,
        outcome: Err(TrashRefusal::NotHeld(NotHeld { now })),
        after,
        settled: LOST,
    }
}

/// The place is taken, so that nothing changes.
fn place_taken(
    name: &'static str,
    since: &'static [Change],
    settled: Settled<Outcome>,
) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(TrashRefusal::PlaceTaken),
        after: &[
            (TRASH, SINCE[0]),
            (DATA, SEEN[0]),
            (LAST_MODIFIED, SEEN[3]),
            (OWNER, SEEN[1]),
            (STATE, SEEN[2]),
        ],
        settled,
    }
}

const GONE: Keys = &[(TRASH, SENT)];

#[test]
fn job_is_trashed_as_long_as_the_token_holds() {
    let rows = [
        trashed("as seen", &[], GONE),
        trashed("owner rewritten", &[Put(OWNER, TASKFLOWS)], GONE),
        trashed("owner unreadable", &[Put(OWNER, UNREADABLE)], GONE),
        trashed("posting absent", &[Delete(DATA)], GONE),
        trashed("posting anew", &[Delete(DATA), Put(DATA, POSTING)], GONE),
        trashed("posting unreadable", &[Put(DATA, UNREADABLE)], GONE),
        trashed("state absent", &[Delete(STATE)], GONE),
        trashed("state moved", &[Put(STATE, ANY)], GONE),
        trashed("state unreadable", &[Put(STATE, UNREADABLE)], GONE),
        trashed("more keys", &[Put(CANCEL, ANY), Put(FOREIGN, ANY)], GONE),
        trashed(
            "paused, release mark, beside another job",
            &[Put(PAUSED, ANY), Put(RELEASED, ANY), Put(NEIGHBOUR, ANY)],
            &[
                (PAUSED, SINCE[0]),
                (RELEASED, SINCE[1]),
                (TRASH, SENT),
                (NEIGHBOUR, SINCE[2]),
            ],
        ),
    ];
    check(HELD, trash, rows);
}

#[test]
fn unique_key_goes_with_its_job() {
    let rows = [trashed("held", &[Put(UNIQUE, ANY)], GONE)];
    check(HELD, |stage| trash_of(stage, 0, UNIQUE_POSTING), rows);
}

#[test]
fn nothing_is_trashed_into_a_place_that_is_taken() {
    let never = Settled::DidNotHappen;
    let rows = [
        place_taken("by another", &[Put(TRASH, ANOTHER_TRASH)], never.clone()),
        place_taken("by TaskFlow", &[Put(TRASH, POSTING)], never.clone()),
        place_taken("unreadable", &[Put(TRASH, UNREADABLE)], never),
        place_taken(
            "by us",
            &[Put(TRASH, OUR_TRASH)],
            Settled::Known(Ok(SINCE[0])),
        ),
    ];
    check(HELD, trash, rows);
}

#[test]
fn next_place_takes_what_the_first_can_not() {
    let rows = [trashed(
        "first taken",
        &[Put(TRASH, ANOTHER_TRASH)],
        &[(TRASH, SINCE[0]), (SECOND_PLACE, SENT)],
    )];
    check(HELD, |stage| trash_into(stage, 1), rows);
}

#[test]
fn nothing_is_trashed_once_the_token_is_gone() {
    #[rustfmt::skip]
    let rows = [
        not_held("no owner", &[Delete(OWNER)], None, FREE),
        not_held("same record", &[Delete(OWNER), Put(OWNER, OURS)], Some("w"), REPLACED),
        not_held("our other claim", &[Delete(OWNER), Put(OWNER, OUR_OTHER)], Some("w"), REPLACED),
        not_held("another's", &[Delete(OWNER), Put(OWNER, ANOTHERS)], Some("x"), REPLACED),
        not_held("TaskFlow's", &[Delete(OWNER), Put(OWNER, TASKFLOWS)], Some("tf"), REPLACED),
        not_held("unreadable", &[Delete(OWNER), Put(OWNER, UNREADABLE)], None, REPLACED),
        not_held(
            "leftovers",
            &[Delete(OWNER), Delete(DATA)],
            None,
            &[(LAST_MODIFIED, SEEN[3]), (STATE, SEEN[2])],
        ),
        not_held(
            "no owner, place taken",
            &[Delete(OWNER), Delete(DATA), Put(TRASH, ANOTHER_TRASH)],
            None,
            &[(TRASH, SINCE[2]), (LAST_MODIFIED, SEEN[3]), (STATE, SEEN[2])],
        ),
    ];
    check(HELD, trash, rows);
}

#[test]
fn lost_trash_happened_if_the_record_carries_the_claim() {
    let done = Settled::Known(Ok(SENT));
    let rows = [
        Lost {
            name: "nothing",
            later: &[],
            arrived: done.clone(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "number used again",
            later: &[Delete(OWNER), Put(DATA, POSTING), Put(OWNER, ANOTHERS)],
            arrived: done.clone(),
            never_arrived: LOST,
        },
        Lost {
            name: "released",
            later: &[Delete(OWNER), Put(RELEASED, ANY)],
            arrived: done,
            never_arrived: LOST,
        },
        Lost {
            name: "restored or purged",
            later: &[Delete(OWNER), Delete(TRASH)],
            arrived: LOST,
            never_arrived: LOST,
        },
        Lost {
            name: "trashed by another",
            later: &[Delete(OWNER), Delete(TRASH), Put(TRASH, ANOTHER_TRASH)],
            arrived: LOST,
            never_arrived: LOST,
        },
    ];
    check_lost(HELD, trash, rows);
}

#[test]
fn trash_record_is_the_posting_with_a_note() {
    let stage = Stage::new(HELD);
    stage.send(&trash(&stage)).unwrap();
    assert_eq!(
        stage.value(TRASH),
        r#"{"details":{},"jobboard":{"attempts":3,"claim":"00000000-0000-0000-0000-000000000002","reason":"bad","trashed_by":"w","trashed_on":"2026-01-31T12:00:00.000000"},"name":"n","priority":"NORMAL","uuid":"00000000-0000-0000-0000-000000000002"}"#
    );
}
