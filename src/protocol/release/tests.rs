use super::*;
use crate::protocol::{
    state::StateRecord,
    table::{
        ANOTHERS, ANY, CANCEL, CLAIM,
        Change::{self, Delete, Put},
        DATA, FENCED, HELD, Keys, LAST_MODIFIED, Lost, OUR_OTHER, OURS, OWNER, PAUSED, RELEASED,
        Row, SEEN, SENT, SESSION, SINCE, STATE, Stage, UNREADABLE, check, check_lost, job,
    },
};

type Outcome = Result<Revision, Moved>;

/// Takes the job of [`HELD`] from its owner, whose session is the one that writes.
fn release(stage: &Stage) -> Release {
    let mark = ClaimMark {
        session: SESSION,
        claim: CLAIM,
    };
    let next = Some(StateRecord::default().write());
    of(stage, Some((mark, stage.guard.lease())), next)
}

/// The same where the owner has no session, and the state can not be read.
fn bare(stage: &Stage) -> Release {
    of(stage, None, None)
}

fn of(stage: &Stage, session: Option<(ClaimMark, LeaseId)>, next: Option<Bytes>) -> Release {
    let of = ReleaseOf {
        job: job(),
        token: SEEN[1],
        session,
        seen: SEEN[2],
        next,
    };
    Release::new(&stage.keys, of)
}

const DONE: Keys = &[
    (RELEASED, SENT),
    (DATA, SEEN[0]),
    (LAST_MODIFIED, SEEN[3]),
    (STATE, SENT),
];

fn released(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(FENCED)),
    }
}

fn moved(
    name: &'static str,
    since: &'static [Change],
    after: Keys,
    settled: Settled<Outcome>,
) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(Moved),
        after,
        settled,
    }
}

#[test]
fn owner_goes_and_leaves_a_mark_as_long_as_the_token_holds() {
    let rows = [
        released("as seen", &[], DONE),
        released("owner unreadable", &[Put(OWNER, UNREADABLE)], DONE),
        released(
            "posting absent",
            &[Delete(DATA)],
            &[(RELEASED, SENT), (LAST_MODIFIED, SEEN[3]), (STATE, SENT)],
        ),
        released(
            "paused, to be cancelled",
            &[Put(PAUSED, ANY), Put(CANCEL, ANY)],
            &[
                (PAUSED, SINCE[0]),
                (RELEASED, SENT),
                (CANCEL, SINCE[1]),
                (DATA, SEEN[0]),
                (LAST_MODIFIED, SEEN[3]),
                (STATE, SENT),
            ],
        ),
    ];
    check(HELD, release, rows);
    let rows = [released(
        "no session, no state",
        &[],
        &[(DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (STATE, SEEN[2])],
    )];
    check(HELD, bare, rows);
}

#[test]
fn job_that_changed_since_keeps_its_owner() {
    let done = || Settled::Known(Ok(FENCED));
    let rows = [
        moved(
            "given back",
            &[Delete(OWNER)],
            &[(DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (STATE, SEEN[2])],
            done(),
        ),
        moved(
            "another's",
            &[Delete(OWNER), Put(OWNER, ANOTHERS)],
            &[
                (DATA, SEEN[0]),
                (LAST_MODIFIED, SEEN[3]),
                (OWNER, SINCE[1]),
                (STATE, SEEN[2]),
            ],
            done(),
        ),
        moved(
            "state moved",
            &[Put(STATE, ANY)],
            &[
                (DATA, SEEN[0]),
                (LAST_MODIFIED, SEEN[3]),
                (OWNER, SEEN[1]),
                (STATE, SINCE[0]),
            ],
            Settled::DidNotHappen,
        ),
    ];
    check(HELD, release, rows);
}

#[test]
fn lost_release_happened_if_the_token_is_gone() {
    let done = || Settled::Known(Ok(FENCED));
    let rows = [
        Lost {
            name: "nothing else",
            later: &[],
            arrived: done(),
            never_arrived: Settled::DidNotHappen,
        },
        Lost {
            name: "claimed since",
            later: &[Delete(OWNER), Put(OWNER, OUR_OTHER)],
            arrived: done(),
            never_arrived: done(),
        },
        Lost {
            name: "owner record written again",
            later: &[Put(OWNER, OURS)],
            arrived: done(),
            never_arrived: Settled::DidNotHappen,
        },
    ];
    check_lost(HELD, release, rows);
}

#[test]
fn mark_goes_with_the_session_whose_claim_was_released() {
    let stage = Stage::new(HELD);
    stage.send(&release(&stage)).unwrap();
    stage.revoke();
    let there = stage.keys_there().into_iter().map(|(key, _)| key);
    let marked = there.filter(|key| *key == Key::new(RELEASED).unwrap());
    assert_eq!(marked.count(), 0);
}
