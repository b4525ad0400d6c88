use super::*;
use crate::protocol::table::{
    ANOTHERS, ANY, CANCEL, CLAIM,
    Change::{self, Delete, Put},
    DATA, FOREIGN, Keys, LAST_MODIFIED, Lost, OUR_OTHER, OURS, OWNER, PAUSED, POSTING, RELEASED,
    Row, SEEN, SENT, SINCE, STATE, Stage, TASKFLOWS, UNREADABLE, check, check_lost, job,
};

type Outcome = Result<Revision, ClaimRefusal>;

const POSTED: &[Change] = &[Put(DATA, POSTING)];
const TRIED: &[Change] = &[Put(DATA, POSTING), Put(STATE, TWICE)];

const TWICE: &[u8] = br#"{"attempts":2,"unsettled":1,"later":true}"#;
const THRICE: &[u8] = br#"{"attempts":3,"unsettled":0}"#;

/// The claim of a job of which no state was seen.
fn claim(stage: &Stage) -> Claim {
    claim_of(stage, &SeenState::default())
}

/// The claim of a job whose state was seen.
fn claim_again(stage: &Stage) -> Claim {
    claim_of(stage, &state(SEEN[1], TWICE))
}

fn claim_of(stage: &Stage, seen: &SeenState) -> Claim {
    let of = ClaimOf {
        job: job(),
        posted: SEEN[0],
        seen,
        who: "w",
        claim: CLAIM,
        now: Timestamp::parse("2026-01-31T12:00:00Z").unwrap().get(),
    };
    Claim::new(&stage.keys, &stage.guard, &of)
}

fn state(mod_revision: Revision, record: &[u8]) -> SeenState {
    SeenState {
        mod_revision,
        record: StateRecord::read(record).unwrap(),
    }
}

fn unreadable() -> NotOffered {
    NotOffered::Unreadable(StateRecord::read(UNREADABLE).unwrap_err())
}

fn owned(record: &[u8]) -> NotOffered {
    NotOffered::Owned(Some(OwnerRecord::read(record).unwrap()))
}

/// The job is claimed.
fn claimed(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(SENT)),
    }
}

/// The job is not claimed, and nothing changes.
fn refused(
    name: &'static str,
    since: &'static [Change],
    why: impl Into<ClaimRefusal>,
    after: Keys,
) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(why.into()),
        after,
        settled: Settled::DidNotHappen,
    }
}

const WRITTEN: Keys = &[
    (DATA, SEEN[0]),
    (LAST_MODIFIED, SENT),
    (OWNER, SENT),
    (STATE, SENT),
];

#[test]
fn free_job_is_claimed() {
    let rows = [
        claimed("as seen", &[], WRITTEN),
        claimed("last modified", &[Put(LAST_MODIFIED, ANY)], WRITTEN),
        claimed(
            "posting rewritten in its place",
            &[Put(DATA, UNREADABLE)],
            &[
                (DATA, SINCE[0]),
                (LAST_MODIFIED, SENT),
                (OWNER, SENT),
                (STATE, SENT),
            ],
        ),
        claimed(
            "release mark, a request to stop and a foreign key",
            &[Put(RELEASED, ANY), Put(CANCEL, ANY), Put(FOREIGN, ANY)],
            &[
                (RELEASED, SINCE[0]),
                (CANCEL, SINCE[1]),
                (DATA, SEEN[0]),
                (FOREIGN, SINCE[2]),
                (LAST_MODIFIED, SENT),
                (OWNER, SENT),
                (STATE, SENT),
            ],
        ),
    ];
    check(POSTED, claim, rows);
    check(TRIED, claim_again, [claimed("as seen", &[], WRITTEN)]);
}

#[test]
fn job_that_is_not_the_one_seen_is_not_claimed() {
    use NotOffered::Gone;
    #[rustfmt::skip]
    let rows = [
        refused("absent", &[Delete(DATA)], Gone, &[]),
        refused("anew", &[Delete(DATA), Put(DATA, POSTING)], Gone, &[(DATA, SINCE[1])]),
        refused("state alone", &[Delete(DATA), Put(STATE, ANY)], Gone, &[(STATE, SINCE[1])]),
        refused("owner alone", &[Delete(DATA), Put(OWNER, ANOTHERS)], Gone, &[(OWNER, SINCE[1])]),
        refused("absent, paused", &[Delete(DATA), Put(PAUSED, ANY)], Gone, &[(PAUSED, SINCE[1])]),
    ];
    check(POSTED, claim, rows);
}

#[test]
fn job_that_is_owned_is_not_claimed() {
    const AFTER: Keys = &[(DATA, SEEN[0]), (OWNER, SINCE[0])];
    let rows = [
        refused("another's", &[Put(OWNER, ANOTHERS)], owned(ANOTHERS), AFTER),
        refused("ours", &[Put(OWNER, OUR_OTHER)], owned(OUR_OTHER), AFTER),
        refused(
            "taskflow",
            &[Put(OWNER, TASKFLOWS)],
            owned(TASKFLOWS),
            AFTER,
        ),
        refused(
            "unreadable",
            &[Put(OWNER, UNREADABLE)],
            NotOffered::Owned(None),
            AFTER,
        ),
        Row {
            settled: Settled::Known(Ok(SINCE[0])),
            ..refused(
                "by this very claim",
                &[Put(OWNER, OURS)],
                owned(OURS),
                AFTER,
            )
        },
        Row {
            settled: Settled::Known(Err(ClaimRefusal::Released)),
            ..refused(
                "release mark",
                &[Put(OWNER, ANOTHERS), Put(RELEASED, ANY)],
                owned(ANOTHERS),
                &[(RELEASED, SINCE[1]), (DATA, SEEN[0]), (OWNER, SINCE[0])],
            )
        },
        refused(
            "with a state, while paused",
            &[
                Put(OWNER, ANOTHERS),
                Put(STATE, UNREADABLE),
                Put(PAUSED, ANY),
            ],
            owned(ANOTHERS),
            &[
                (PAUSED, SINCE[2]),
                (DATA, SEEN[0]),
                (OWNER, SINCE[0]),
                (STATE, SINCE[1]),
            ],
        ),
    ];
    check(POSTED, claim, rows);
}

#[test]
fn job_whose_state_is_not_as_seen_is_not_claimed() {
    const MOVED: Keys = &[(DATA, SEEN[0]), (STATE, SINCE[0])];
    let moved = || NotOffered::StateMoved(state(SINCE[0], THRICE).into());
    let rows = [
        refused("came", &[Put(STATE, THRICE)], moved(), MOVED),
        refused("unreadable", &[Put(STATE, UNREADABLE)], unreadable(), MOVED),
        refused(
            "came, paused",
            &[Put(STATE, THRICE), Put(PAUSED, ANY)],
            moved(),
            &[(PAUSED, SINCE[1]), (DATA, SEEN[0]), (STATE, SINCE[0])],
        ),
    ];
    check(POSTED, claim, rows);
    let same = || NotOffered::StateMoved(state(SINCE[0], TWICE).into());
    let absent = || NotOffered::StateMoved(Box::default());
    let rows = [
        refused("moved", &[Put(STATE, THRICE)], moved(), MOVED),
        refused("written the same", &[Put(STATE, TWICE)], same(), MOVED),
        refused("unreadable", &[Put(STATE, UNREADABLE)], unreadable(), MOVED),
        refused("absent", &[Delete(STATE)], absent(), &[(DATA, SEEN[0])]),
    ];
    check(TRIED, claim_again, rows);
}

#[test]
fn nothing_is_claimed_on_a_paused_board() {
    let paused = || ClaimRefusal::Paused;
    let rows = [refused(
        "no state",
        &[Put(PAUSED, ANY)],
        paused(),
        &[(PAUSED, SINCE[0]), (DATA, SEEN[0])],
    )];
    check(POSTED, claim, rows);
    let rows = [refused(
        "state as seen",
        &[Put(PAUSED, UNREADABLE)],
        paused(),
        &[(PAUSED, SINCE[0]), (DATA, SEEN[0]), (STATE, SEEN[1])],
    )];
    check(TRIED, claim_again, rows);
}

#[test]
fn lost_claim_happened_if_the_owner_key_carries_it() {
    let never = || Settled::DidNotHappen;
    let done = || Settled::Known(Ok(SENT));
    let released = || Settled::Known(Err(ClaimRefusal::Released));
    let row = |name, later, arrived, never_arrived| Lost {
        name,
        later,
        arrived,
        never_arrived,
    };
    #[rustfmt::skip]
    let rows = [
        row("nothing", &[] as &[Change], done(), never()),
        row("paused", &[Put(PAUSED, ANY)], done(), never()),
        row("posting gone", &[Delete(DATA)], done(), never()),
        row("state moved", &[Put(STATE, THRICE)], done(), never()),
        row("an old mark", &[Put(RELEASED, ANY)], done(), released()),
        row("owner gone", &[Delete(OWNER)], never(), never()),
        row("another's", &[Delete(OWNER), Put(OWNER, ANOTHERS)], never(), never()),
        row("our other", &[Delete(OWNER), Put(OWNER, OUR_OTHER)], never(), never()),
        row("TaskFlow's", &[Delete(OWNER), Put(OWNER, TASKFLOWS)], never(), never()),
        row("unreadable", &[Delete(OWNER), Put(OWNER, UNREADABLE)], never(), never()),
        row("released", &[Delete(OWNER), Put(RELEASED, ANY)], released(), released()),
        row(
            "released, and claimed by another",
            &[Delete(OWNER), Put(RELEASED, ANY), Put(OWNER, ANOTHERS)],
            released(),
            released(),
        ),
    ];
    check_lost(POSTED, claim, rows);
}

#[test]
fn claim_counts_itself_and_ends_with_the_session() {
    let stage = Stage::new(TRIED);
    stage.send(&claim_again(&stage)).unwrap();
    let lease = stage.guard.lease().get();
    assert_eq!(
        stage.value(OWNER),
        format!(
            r#"{{"owner":"w","lease_id":{lease},"jobboard":{{"session":"00000000-0000-0000-0000-000000000001","claim":"00000000-0000-0000-0000-000000000002"}}}}"#
        )
    );
    assert_eq!(
        stage.value(STATE),
        r#"{"attempts":3,"unsettled":2,"claim":"00000000-0000-0000-0000-000000000002","last_owner":"w","later":true}"#
    );
    assert_eq!(
        stage.value(LAST_MODIFIED),
        r#"{"last_modified":"2026-01-31T12:00:00.000000"}"#
    );
    stage.revoke();
    let there = stage.keys_there();
    let names: Vec<_> = there.iter().map(|(key, _)| key.as_str().unwrap()).collect();
    assert_eq!(names, [DATA, LAST_MODIFIED, STATE]);
}
