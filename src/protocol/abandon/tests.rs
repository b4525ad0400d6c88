use super::*;
use crate::protocol::table::{
    ANOTHERS, ANY, CANCEL, CLAIM,
    Change::{self, Delete, Put},
    DATA, FENCED, FREE, HELD, Keys, LAST_MODIFIED, Lost, OUR_OTHER, OURS, OWNER, PAUSED, POSTING,
    RELEASED, REPLACED, Row, SEEN, SENT, SINCE, STATE, Stage, TASKFLOWS, UNREADABLE, check,
    check_lost, hold,
};

type Outcome = Result<Revision, NotHeld>;

const BACK: Settled<Outcome> = Settled::Known(Ok(FENCED));

fn abandon(stage: &Stage) -> Abandon {
    let state = StateRecord::default().claimed(CLAIM, "w").abandoned();
    Abandon::new(&stage.keys, hold(Some(CLAIM)), Some(state))
}

fn abandon_alone(stage: &Stage) -> Abandon {
    Abandon::new(&stage.keys, hold(None), None)
}

/// The token holds, so that the owner key goes.
fn abandoned(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: BACK,
    }
}

/// The token is gone, so that nothing changes. A lost answer is none the worse: the job is given
/// back either way.
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
        settled: BACK,
    }
}

const WRITTEN: Keys = &[(DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (STATE, SENT)];

#[test]
fn job_is_given_back_as_long_as_the_token_holds() {
    let rows = [
        abandoned("as seen", &[], WRITTEN),
        abandoned("owner rewritten", &[Put(OWNER, TASKFLOWS)], WRITTEN),
        abandoned("owner unreadable", &[Put(OWNER, UNREADABLE)], WRITTEN),
        abandoned("state absent", &[Delete(STATE)], WRITTEN),
        abandoned("state moved", &[Put(STATE, ANY)], WRITTEN),
        abandoned("state unreadable", &[Put(STATE, UNREADABLE)], WRITTEN),
        abandoned(
            "posting absent",
            &[Delete(DATA)],
            &[(LAST_MODIFIED, SEEN[3]), (STATE, SENT)],
        ),
        abandoned(
            "posting anew",
            &[Delete(DATA), Put(DATA, POSTING)],
            &[(DATA, SINCE[1]), (LAST_MODIFIED, SEEN[3]), (STATE, SENT)],
        ),
        abandoned(
            "paused, release mark and a request to stop",
            &[Put(PAUSED, ANY), Put(RELEASED, ANY), Put(CANCEL, ANY)],
            &[
                (PAUSED, SINCE[0]),
                (RELEASED, SINCE[1]),
                (CANCEL, SINCE[2]),
                (DATA, SEEN[0]),
                (LAST_MODIFIED, SEEN[3]),
                (STATE, SENT),
            ],
        ),
    ];
    check(HELD, abandon, rows);
}

#[test]
fn state_that_is_not_given_is_left_alone() {
    let rows = [
        abandoned("as seen", &[], FREE),
        abandoned(
            "state absent",
            &[Delete(STATE)],
            &[(DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3])],
        ),
    ];
    check(HELD, abandon_alone, rows);
}

#[test]
fn nothing_is_given_back_once_the_token_is_gone() {
    #[rustfmt::skip]
    let rows = [
        not_held("no owner", &[Delete(OWNER)], None, FREE),
        not_held("same record", &[Delete(OWNER), Put(OWNER, OURS)], Some("w"), REPLACED),
        not_held("our other claim", &[Delete(OWNER), Put(OWNER, OUR_OTHER)], Some("w"), REPLACED),
        not_held("another's", &[Delete(OWNER), Put(OWNER, ANOTHERS)], Some("x"), REPLACED),
        not_held("TaskFlow's", &[Delete(OWNER), Put(OWNER, TASKFLOWS)], Some("tf"), REPLACED),
        not_held("unreadable", &[Delete(OWNER), Put(OWNER, UNREADABLE)], None, REPLACED),
    ];
    check(HELD, abandon, rows);
}

#[test]
fn lost_abandon_is_over_once_the_token_is_gone() {
    let rows = [
        Lost {
            name: "nothing",
            later: &[],
            arrived: BACK,
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "claimed by another",
            later: &[Delete(OWNER), Put(OWNER, ANOTHERS)],
            arrived: BACK,
            never_arrived: BACK,
        },
        Lost {
            name: "consumed by another",
            later: &[Delete(OWNER), Delete(DATA), Delete(STATE)],
            arrived: BACK,
            never_arrived: BACK,
        },
    ];
    check_lost(HELD, abandon, rows);
}

#[test]
fn state_is_written_as_given() {
    let stage = Stage::new(HELD);
    stage.send(&abandon(&stage)).unwrap();
    assert_eq!(
        stage.value(STATE),
        r#"{"attempts":1,"unsettled":0,"last_owner":"w"}"#
    );
}
