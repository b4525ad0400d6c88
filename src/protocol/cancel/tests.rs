use super::*;
use crate::protocol::table::{
    ANOTHERS, ANY, CANCEL,
    Change::{self, Delete, Put},
    DATA, FREE, HELD, Keys, LAST_MODIFIED, Lost, OURS, OWNER, PAUSED, POSTING, REPLACED, Row, SEEN,
    SENT, SINCE, STATE, Stage, TASKFLOWS, UNREADABLE, check, check_lost, job,
};

type Outcome = Result<Revision, Moved>;

fn request() -> CancelRequest {
    CancelRequest {
        by: Some("operator".to_owned()),
        reason: Some("wrong file".to_owned()),
        on: Timestamp::parse("2026-01-31T12:00:00Z").map(Timestamp::get),
    }
}

fn cancel(stage: &Stage) -> RequestCancel {
    RequestCancel::new(&stage.keys, job(), SEEN[0], SEEN[1], &request())
}

const ASKED: Keys = &[
    (CANCEL, SENT),
    (DATA, SEEN[0]),
    (LAST_MODIFIED, SEEN[3]),
    (OWNER, SEEN[1]),
    (STATE, SEEN[2]),
];

/// Whatever becomes of its answer, it is sent again.
fn asked(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Repeat,
    }
}

fn moved(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        outcome: Err(Moved),
        ..asked(name, since, after)
    }
}

#[test]
fn owner_that_was_seen_is_asked() {
    let rows = [
        asked("as seen", &[], ASKED),
        asked("asked before", &[Put(CANCEL, UNREADABLE)], ASKED),
        asked(
            "state moved, owner written again, paused",
            &[Put(STATE, ANY), Put(OWNER, TASKFLOWS), Put(PAUSED, ANY)],
            &[
                (PAUSED, SINCE[2]),
                (CANCEL, SENT),
                (DATA, SEEN[0]),
                (LAST_MODIFIED, SEEN[3]),
                (OWNER, SINCE[1]),
                (STATE, SINCE[0]),
            ],
        ),
    ];
    check(HELD, cancel, rows);
}

#[test]
fn nobody_else_is_asked() {
    let rows = [
        moved("given back", &[Delete(OWNER)], FREE),
        moved(
            "another's",
            &[Delete(OWNER), Put(OWNER, ANOTHERS)],
            REPLACED,
        ),
        moved("claimed anew", &[Delete(OWNER), Put(OWNER, OURS)], REPLACED),
        moved(
            "posting absent",
            &[Delete(DATA)],
            &[(LAST_MODIFIED, SEEN[3]), (OWNER, SEEN[1]), (STATE, SEEN[2])],
        ),
        moved(
            "posting anew",
            &[Delete(DATA), Put(DATA, POSTING)],
            &[
                (DATA, SINCE[1]),
                (LAST_MODIFIED, SEEN[3]),
                (OWNER, SEEN[1]),
                (STATE, SEEN[2]),
            ],
        ),
    ];
    check(HELD, cancel, rows);
}

#[test]
fn lost_request_is_made_again() {
    let again = |name, later| Lost {
        name,
        later,
        arrived: Settled::Repeat,
        never_arrived: Settled::Repeat,
    };
    let rows = [
        again("nothing else", &[]),
        again("given back since", &[Delete(OWNER)]),
        again("gone since", &[Delete(OWNER), Delete(DATA)]),
    ];
    check_lost(HELD, cancel, rows);
}

#[test]
fn request_is_read_as_it_was_written() {
    let written = request().write();
    assert_eq!(
        std::str::from_utf8(&written).unwrap(),
        r#"{"requested_by":"operator","reason":"wrong file","requested_on":"2026-01-31T12:00:00.000000","jobboard":{"v":1}}"#
    );
    assert_eq!(CancelRequest::read(&written).unwrap(), request());
    assert_eq!(
        CancelRequest::read(b"{}").unwrap(),
        CancelRequest::default()
    );
    for odd in [&b"?"[..], br#"{"reason":3}"#] {
        assert!(!CancelRequest::read(odd).unwrap_err().is_newer());
    }
    let newer = CancelRequest::read(br#"{"reason":3,"jobboard":{"v":2}}"#);
    assert!(newer.unwrap_err().is_newer());
}

#[test]
fn request_without_a_reason_names_who_made_it() {
    let nobody = CancelRequest::default();
    let somebody = CancelRequest {
        by: Some("operator".to_owned()),
        ..nobody.clone()
    };
    let reasons = [request(), somebody, nobody].map(|request| request.as_reason());
    assert_eq!(
        reasons,
        ["wrong file", "cancelled by operator", "cancelled"]
    );
}
