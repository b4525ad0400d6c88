use chrono::DateTime;
use serde_json::value::to_raw_value;

use super::*;
use crate::{
    protocol::{
        done::Done,
        table::{
            ANOTHERS, ANY, CANCEL, CLAIM,
            Change::{self, Delete, Put},
            DATA, DONE, FENCED, FOREIGN, FREE, HELD, Keys, LAST_MODIFIED, Lost, NEIGHBOUR,
            OUR_OTHER, OURS, OWNER, PAUSED, POSTING, RELEASED, REPLACED, Row, SEEN, SENT, SINCE,
            STATE, Stage, TASKFLOWS, UNIQUE, UNREADABLE, check, check_lost, hold,
        },
    },
    store::ErrorKind,
};

type Outcome = Result<Revision, NotHeld>;

const LOST: Settled<Outcome> = Settled::Known(Err(NotHeld { now: None }));

fn consume(stage: &Stage) -> Consume {
    Consume::new(&stage.keys, &stage.guard, hold(Some(CLAIM)), None)
}

fn consume_with_a_unique_key(stage: &Stage) -> Consume {
    let unique = Key::new(UNIQUE).unwrap();
    Consume::new(&stage.keys, &stage.guard, hold(Some(CLAIM)), Some(unique))
}

fn consume_by_name(stage: &Stage) -> Consume {
    Consume::new(&stage.keys, &stage.guard, hold(None), None)
}

fn consume_with_a_result(stage: &Stage) -> Consume {
    consume(stage).keeping(record(), stage.grant())
}

fn record() -> DoneRecord {
    let done = Done {
        uuid: CLAIM,
        result: &to_raw_value("done").unwrap(),
        on: DateTime::UNIX_EPOCH,
        by: "w",
    };
    DoneRecord::new(&done).unwrap()
}

/// The token holds, so that every key of the job goes.
fn consumed(name: &'static str, since: &'static [Change]) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after: &[],
        settled: Settled::Known(Ok(FENCED)),
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
        outcome: Err(NotHeld { now }),
        after,
        settled: LOST,
    }
}

#[test]
fn job_is_consumed_as_long_as_the_token_holds() {
    let rows = [
        consumed("as seen", &[]),
        consumed("owner record rewritten", &[Put(OWNER, TASKFLOWS)]),
        consumed("owner record unreadable", &[Put(OWNER, UNREADABLE)]),
        consumed("posting absent", &[Delete(DATA)]),
        consumed("posting anew", &[Delete(DATA), Put(DATA, POSTING)]),
        consumed("posting unreadable", &[Put(DATA, UNREADABLE)]),
        consumed("state absent", &[Delete(STATE)]),
        consumed("state moved", &[Put(STATE, ANY)]),
        consumed("state unreadable", &[Put(STATE, UNREADABLE)]),
        consumed("more keys", &[Put(CANCEL, ANY), Put(FOREIGN, ANY)]),
        Row {
            after: &[(PAUSED, SINCE[0])],
            ..consumed("paused", &[Put(PAUSED, ANY)])
        },
        Row {
            after: &[(NEIGHBOUR, SINCE[0])],
            ..consumed("beside another job", &[Put(NEIGHBOUR, POSTING)])
        },
        // The mark is of an earlier claim, which nobody can tell: so that the claim counts as lost.
        Row {
            after: &[(RELEASED, SINCE[0])],
            settled: LOST,
            ..consumed("release mark", &[Put(RELEASED, ANY)])
        },
    ];
    check(HELD, consume, rows);
}

#[test]
fn unique_key_goes_with_its_job() {
    let rows = [consumed("held", &[Put(UNIQUE, ANY)])];
    check(HELD, consume_with_a_unique_key, rows);
}

#[test]
fn nothing_is_consumed_once_the_token_is_gone() {
    #[rustfmt::skip]
    let rows = [
        not_held("no owner", &[Delete(OWNER)], None, FREE),
        not_held("same record", &[Delete(OWNER), Put(OWNER, OURS)], Some("w"), REPLACED),
        not_held("our other claim", &[Delete(OWNER), Put(OWNER, OUR_OTHER)], Some("w"), REPLACED),
        not_held("another's", &[Delete(OWNER), Put(OWNER, ANOTHERS)], Some("x"), REPLACED),
        not_held("TaskFlow's", &[Delete(OWNER), Put(OWNER, TASKFLOWS)], Some("tf"), REPLACED),
        not_held("unreadable", &[Delete(OWNER), Put(OWNER, UNREADABLE)], None, REPLACED),
    ];
    check(HELD, consume, rows);
}

#[test]
fn what_is_left_of_a_job_without_posting_and_token_stays() {
    let rows = [Row {
        // Nothing but this claim's consume would have taken both, for all that can be seen.
        settled: Settled::Known(Ok(FENCED)),
        ..not_held(
            "leftovers",
            &[Delete(OWNER), Delete(DATA)],
            None,
            &[(LAST_MODIFIED, SEEN[3]), (STATE, SEEN[2])],
        )
    }];
    check(HELD, consume, rows);
}

#[test]
fn lost_consume_happened_if_token_and_posting_went_without_a_release() {
    let done = Settled::Known(Ok(FENCED));
    let rows = [
        Lost {
            name: "nothing",
            later: &[],
            arrived: done.clone(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "owner gone",
            later: &[Delete(OWNER)],
            arrived: done.clone(),
            never_arrived: LOST,
        },
        Lost {
            name: "released",
            later: &[Delete(OWNER), Put(RELEASED, ANY)],
            arrived: LOST,
            never_arrived: LOST,
        },
        Lost {
            name: "released and consumed by another",
            later: &[Delete(OWNER), Put(RELEASED, ANY), Delete(DATA)],
            arrived: LOST,
            never_arrived: LOST,
        },
        Lost {
            name: "number used again",
            later: &[Delete(OWNER), Delete(DATA), Put(DATA, POSTING)],
            arrived: done.clone(),
            never_arrived: done.clone(),
        },
        Lost {
            name: "mark while the token holds",
            later: &[Put(RELEASED, ANY)],
            arrived: LOST,
            never_arrived: Settled::DidNotHappen,
        },
    ];
    check_lost(HELD, consume, rows);
}

#[test]
fn lost_consume_of_a_foreign_owner_key_is_never_taken_for_done() {
    let rows = [Lost {
        name: "nothing",
        later: &[],
        arrived: LOST,
        never_arrived: Settled::DidNotHappen,
    }];
    check_lost(HELD, consume_by_name, rows);
}

#[test]
fn result_is_kept_as_long_as_the_token_holds() {
    let kept = |name, since| Row {
        after: &[(DONE, SENT)],
        ..consumed(name, since)
    };
    let rows = [
        kept("as seen", &[]),
        kept("owner record rewritten", &[Put(OWNER, TASKFLOWS)]),
        kept("posting absent", &[Delete(DATA)]),
        kept("state moved", &[Put(STATE, ANY)]),
        kept("an earlier job's result", &[Put(DONE, ANY)]),
    ];
    check(HELD, consume_with_a_result, rows);
}

#[test]
fn no_result_is_kept_once_the_token_is_gone() {
    #[rustfmt::skip]
    let rows = [
        not_held("no owner", &[Delete(OWNER)], None, FREE),
        not_held("same record", &[Delete(OWNER), Put(OWNER, OURS)], Some("w"), REPLACED),
        not_held("another's", &[Delete(OWNER), Put(OWNER, ANOTHERS)], Some("x"), REPLACED),
        not_held(
            "beside an earlier job's result",
            &[Delete(OWNER), Put(DONE, ANY)],
            None,
            &[(DONE, SINCE[1]), (DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (STATE, SEEN[2])],
        ),
    ];
    check(HELD, consume_with_a_result, rows);
}

#[test]
fn lost_consume_with_a_result_is_told_by_the_job_and_not_by_the_result() {
    let done = Settled::Known(Ok(FENCED));
    let rows = [
        Lost {
            name: "nothing",
            later: &[],
            arrived: done.clone(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "result ended",
            later: &[Delete(DONE)],
            arrived: done.clone(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "result of a later job",
            later: &[Delete(OWNER), Put(DONE, ANY)],
            arrived: done,
            never_arrived: LOST,
        },
        Lost {
            name: "released",
            later: &[Delete(OWNER), Put(RELEASED, ANY)],
            arrived: LOST,
            never_arrived: LOST,
        },
    ];
    check_lost(HELD, consume_with_a_result, rows);
}

#[test]
fn result_lies_on_its_own_lease() {
    let stage = Stage::new(HELD);
    let lease = stage.grant();
    stage
        .send(&consume(&stage).keeping(record(), lease))
        .unwrap();
    assert_eq!(stage.value(DONE).as_bytes(), record().bytes());
    stage.end(lease);
    assert_eq!(stage.keys_there(), []);
}

#[test]
fn nothing_is_consumed_once_the_lease_of_the_result_is_gone() {
    let stage = Stage::new(HELD);
    let lease = stage.grant();
    let verb = consume(&stage).keeping(record(), lease);
    stage.end(lease);
    let before = stage.keys_there();
    assert_eq!(stage.refusal(&verb), ErrorKind::LeaseNotFound);
    assert_eq!(stage.keys_there(), before);
}
