use super::*;
use crate::protocol::{
    table::{
        ANOTHERS, ANY, CANCEL,
        Change::{self, Delete, Put},
        DATA, FENCED, FOREIGN, Keys, LAST_MODIFIED, Lost, NEIGHBOUR, OWNER, PAUSED, POSTING,
        RECEIPT, Row, SEEN, SENT, SINCE, STATE, Stage, TASKFLOWS, TRASH, UNREADABLE, check,
        check_found, check_lost,
    },
    verb::Receipt,
};

type Outcome = Result<Revision, QuarantineRefusal>;

const NEVER: Settled<Outcome> = Settled::DidNotHappen;

const PLACE: &str = "/t/.trash/b/quarantined.x";

/// A job whose posting can not be read, with a key of nobody among its own.
const BROKEN: &[Change] = &[Put(DATA, UNREADABLE), Put(STATE, ANY), Put(FOREIGN, ANY)];

/// What was left of a job.
const ORPHANS: &[Change] = &[Put(STATE, ANY), Put(LAST_MODIFIED, ANY)];

fn place(name: &'static str, put: Revision) -> Place {
    let key = Key::new(name).unwrap();
    Place { key, put }
}

/// Moves keys that were read one after the other.
fn quarantine(stage: &Stage, key: &'static str, moved: &[&'static str]) -> Quarantine {
    let key = Key::new(key).unwrap();
    let moved = moved.iter().zip(SEEN).map(|(name, put)| place(name, put));
    let record = Bytes::from_static(b"record");
    let to = (Key::new(PLACE).unwrap(), record);
    Quarantine::new(&stage.keys, &key, moved.collect(), to)
}

fn broken(stage: &Stage) -> Quarantine {
    quarantine(stage, DATA, &[DATA, STATE, FOREIGN])
}

fn orphans(stage: &Stage) -> Quarantine {
    quarantine(stage, DATA, &[STATE, LAST_MODIFIED])
}

fn moved(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(FENCED)),
    }
}

/// Nothing changes, and no receipt is written.
fn refused(
    name: &'static str,
    since: &'static [Change],
    why: QuarantineRefusal,
    after: Keys,
) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(why),
        after,
        settled: Settled::DidNotHappen,
    }
}

fn owned(record: &[u8]) -> QuarantineRefusal {
    QuarantineRefusal::Owned(Some(OwnerRecord::read(record).unwrap()))
}

const MOVED: Keys = &[(RECEIPT, SENT), (PLACE, SENT)];

#[test]
fn job_that_can_not_be_read_is_moved_whole_as_it_was_read() {
    use QuarantineRefusal::{Changed, PlaceTaken};
    #[rustfmt::skip]
    let rows = [
        moved("as read", &[], MOVED),
        moved(
            "paused, beside another job and one in the trash",
            &[Put(PAUSED, ANY), Put(NEIGHBOUR, ANY), Put(TRASH, ANY)],
            &[
                (PAUSED, SINCE[0]),
                (RECEIPT, SENT),
                (TRASH, SINCE[2]),
                (PLACE, SENT),
                (NEIGHBOUR, SINCE[1]),
            ],
        ),
        // A key of nobody that came since stays, for nobody has seen what it holds.
        moved(
            "another key of nobody",
            &[Put("/t/jobs/b/job7.x", ANY)],
            &[(RECEIPT, SENT), (PLACE, SENT), ("/t/jobs/b/job7.x", SINCE[0])],
        ),
        refused(
            "rewritten",
            &[Put(DATA, POSTING)],
            Changed,
            &[(DATA, SINCE[0]), (FOREIGN, SEEN[2]), (STATE, SEEN[1])],
        ),
        refused("gone", &[Delete(DATA)], Changed, &[(FOREIGN, SEEN[2]), (STATE, SEEN[1])]),
        refused(
            "another key rewritten",
            &[Put(STATE, ANY)],
            Changed,
            &[(DATA, SEEN[0]), (FOREIGN, SEEN[2]), (STATE, SINCE[0])],
        ),
        refused(
            "a request to stop came",
            &[Put(CANCEL, ANY)],
            Changed,
            &[(CANCEL, SINCE[0]), (DATA, SEEN[0]), (FOREIGN, SEEN[2]), (STATE, SEEN[1])],
        ),
        refused(
            "last modified came",
            &[Put(LAST_MODIFIED, ANY)],
            Changed,
            &[(DATA, SEEN[0]), (FOREIGN, SEEN[2]), (LAST_MODIFIED, SINCE[0]), (STATE, SEEN[1])],
        ),
        refused(
            "place taken",
            &[Put(PLACE, ANY)],
            PlaceTaken,
            &[(PLACE, SINCE[0]), (DATA, SEEN[0]), (FOREIGN, SEEN[2]), (STATE, SEEN[1])],
        ),
    ];
    check(BROKEN, broken, rows);
}

#[test]
fn job_that_is_held_stays_where_it_is() {
    let held: Keys = &[
        (DATA, SEEN[0]),
        (FOREIGN, SEEN[2]),
        (OWNER, SINCE[0]),
        (STATE, SEEN[1]),
    ];
    let unknown = || QuarantineRefusal::Owned(None);
    let rows = [
        refused("by us", &[Put(OWNER, ANOTHERS)], owned(ANOTHERS), held),
        refused("TaskFlow", &[Put(OWNER, TASKFLOWS)], owned(TASKFLOWS), held),
        refused("somebody", &[Put(OWNER, UNREADABLE)], unknown(), held),
    ];
    check(BROKEN, broken, rows);

    let state = |stage: &Stage| quarantine(stage, STATE, &[STATE]);
    let held: Keys = &[(OWNER, SINCE[0]), (STATE, SEEN[0])];
    let rows = [
        moved("nobody", &[], MOVED),
        refused("held", &[Put(OWNER, ANOTHERS)], owned(ANOTHERS), held),
    ];
    check(&[Put(STATE, UNREADABLE)], state, rows);
}

#[test]
fn owner_key_is_not_moved_even_if_it_was_read_with_the_others() {
    let seen = &[Put(DATA, UNREADABLE), Put(OWNER, UNREADABLE)];
    let stays: Keys = &[(DATA, SEEN[0]), (OWNER, SEEN[1])];
    let unknown = || QuarantineRefusal::Owned(None);
    let job = |stage: &Stage| quarantine(stage, DATA, &[DATA, OWNER]);
    check(seen, job, [refused("with its job", &[], unknown(), stays)]);

    let stays: Keys = &[(OWNER, SEEN[0])];
    let alone = |stage: &Stage| quarantine(stage, OWNER, &[OWNER]);
    let rows = [refused("alone", &[], unknown(), stays)];
    check(&[Put(OWNER, UNREADABLE)], alone, rows);
}

#[test]
fn what_was_left_of_a_job_is_moved_while_no_job_is_there() {
    use QuarantineRefusal::Changed;
    #[rustfmt::skip]
    let rows = [
        moved("as read", &[], MOVED),
        refused(
            "a posting came",
            &[Put(DATA, POSTING)],
            Changed,
            &[(DATA, SINCE[0]), (LAST_MODIFIED, SEEN[1]), (STATE, SEEN[0])],
        ),
        refused("one gone", &[Delete(STATE)], Changed, &[(LAST_MODIFIED, SEEN[1])]),
        refused(
            "held",
            &[Put(OWNER, TASKFLOWS)],
            owned(TASKFLOWS),
            &[(LAST_MODIFIED, SEEN[1]), (OWNER, SINCE[0]), (STATE, SEEN[0])],
        ),
    ];
    check(ORPHANS, orphans, rows);
}

#[test]
fn key_of_nobody_is_moved_alone() {
    let foreign = |stage: &Stage| quarantine(stage, FOREIGN, &[FOREIGN]);
    let seen = &[Put(FOREIGN, ANY), Put(DATA, POSTING)];
    #[rustfmt::skip]
    let rows = [
        moved("as read", &[], &[(RECEIPT, SENT), (PLACE, SENT), (DATA, SEEN[1])]),
        moved(
            "beside a held job",
            &[Put(OWNER, ANOTHERS)],
            &[(RECEIPT, SENT), (PLACE, SENT), (DATA, SEEN[1]), (OWNER, SINCE[0])],
        ),
        refused(
            "rewritten",
            &[Put(FOREIGN, ANY)],
            QuarantineRefusal::Changed,
            &[(DATA, SEEN[1]), (FOREIGN, SINCE[0])],
        ),
    ];
    check(seen, foreign, rows);
}

#[test]
fn lost_quarantine_happened_if_the_receipt_says_so() {
    let row = |name, later, arrived| Lost {
        name,
        later,
        arrived,
        never_arrived: Settled::DidNotHappen,
    };
    let done = || Settled::Known(Ok(FENCED));
    let rows = [
        row("nothing else", &[][..], done()),
        row("purged since", &[Delete(PLACE)], done()),
        row("number used again", &[Put(DATA, POSTING)], done()),
        row("receipt gone", &[Delete(RECEIPT)], NEVER),
    ];
    check_lost(BROKEN, broken, rows);
}

#[test]
fn key_that_stands_tells_that_nothing_happened_where_there_is_no_receipt() {
    use Receipt::{DoesNotName, Gone, Names};
    let as_read = &[(DATA, UNREADABLE, SEEN[0])][..];
    let anew = &[(DATA, POSTING, SENT)];
    let done = || Settled::Known(Ok(FENCED));
    #[rustfmt::skip]
    let rows = [
        ("as read, no receipt", as_read, Gone, NEVER),
        ("anew, no receipt", anew, Gone, Settled::CannotTell),
        ("gone, no receipt", &[], Gone, Settled::CannotTell),
        ("gone, named", &[], Names, done()),
        ("anew, named", anew, Names, done()),
        ("gone, not named", &[], DoesNotName, NEVER),
    ];
    check_found(&broken(&Stage::new(BROKEN)), rows);
}
