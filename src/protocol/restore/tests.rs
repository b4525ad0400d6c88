use super::*;
use crate::protocol::{
    table::{
        ANOTHER_POSTING, ANOTHERS, ANY, CANCEL,
        Change::{self, Delete, Put},
        DATA, FENCED, FOREIGN, Keys, LAST_MODIFIED, LATER, Lost, NEIGHBOUR, OWNER, PAUSED, POSTING,
        RECEIPT, Row, SEEN, SENT, SINCE, STATE, Stage, TASKFLOWS, TRASH, UNIQUE, UNIQUE_POSTING,
        UNREADABLE, check, check_found, check_lost, job,
    },
    verb::Receipt,
};

type Outcome = Result<Revision, RestoreRefusal>;

const NEVER: Settled<Outcome> = Settled::DidNotHappen;

/// [`POSTING`] as it lies in the trash.
const TRASHED: &[u8] = br#"{"uuid":"00000000-0000-0000-0000-000000000002","name":"n","priority":"NORMAL","details":{},"jobboard":{"trashed_on":"2026-01-31T12:00:00.000000","trashed_by":"w","reason":"bad","attempts":3,"claim":"00000000-0000-0000-0000-000000000002"}}"#;
/// [`UNIQUE_POSTING`] as it lies in the trash.
const UNIQUE_TRASHED: &[u8] = br#"{"uuid":"00000000-0000-0000-0000-000000000002","name":"n","priority":"NORMAL","details":{},"jobboard":{"v":1,"unique":"k","trashed_by":"w","attempts":3,"claim":"00000000-0000-0000-0000-000000000002"}}"#;
/// Where the unique key says that this very job holds it, and that another does.
const SELF: &[u8] = b"/t/jobs/b/job7";
const OTHER: &[u8] = b"/t/jobs/b/job70";

const IN_TRASH: &[Change] = &[Put(TRASH, TRASHED)];
const UNIQUE_IN_TRASH: &[Change] = &[Put(TRASH, UNIQUE_TRASHED)];

fn restore_of(stage: &Stage, record: &'static [u8]) -> Restore {
    let record = TrashRecord::read(Bytes::from_static(record)).unwrap();
    let place = Place {
        key: stage.keys.trash(job(), 0),
        put: SEEN[0],
    };
    Restore::new(&stage.keys, job(), place, &record).unwrap()
}

fn restore(stage: &Stage) -> Restore {
    restore_of(stage, TRASHED)
}

fn unique_restore(stage: &Stage) -> Restore {
    restore_of(stage, UNIQUE_TRASHED)
}

fn restored(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(SENT)),
    }
}

/// Nothing changes, and no receipt is written.
fn refused(
    name: &'static str,
    since: &'static [Change],
    why: RestoreRefusal,
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

fn not_unique(found: Option<(Revision, &'static [u8])>) -> RestoreRefusal {
    let found = found.map(|(at, text)| (at, Bytes::from_static(text)));
    RestoreRefusal::NotUnique(Found::of(found))
}

const BACK: Keys = &[(RECEIPT, SENT), (DATA, SENT)];

#[test]
fn job_comes_back_and_nothing_of_before_counts() {
    #[rustfmt::skip]
    let rows = [
        restored("as read", &[], BACK),
        restored("state left", &[Put(STATE, ANY)], BACK),
        restored("more left", &[Put(LAST_MODIFIED, ANY), Put(CANCEL, ANY)], BACK),
        restored("unreadable state left", &[Put(STATE, UNREADABLE)], BACK),
        restored(
            "foreign key, paused, beside another job",
            &[Put(FOREIGN, ANY), Put(PAUSED, ANY), Put(NEIGHBOUR, ANY)],
            &[
                (PAUSED, SINCE[1]),
                (RECEIPT, SENT),
                (DATA, SENT),
                (FOREIGN, SINCE[0]),
                (NEIGHBOUR, SINCE[2]),
            ],
        ),
        restored(
            "its unique key is nobody's business where it has none",
            &[Put(UNIQUE, OTHER)],
            &[(RECEIPT, SENT), (UNIQUE, SINCE[0]), (DATA, SENT)],
        ),
    ];
    check(IN_TRASH, restore, rows);
}

#[test]
fn posting_comes_back_to_the_letter_without_what_the_trash_noted() {
    for (in_trash, record, posting) in [
        (IN_TRASH, TRASHED, POSTING),
        (UNIQUE_IN_TRASH, UNIQUE_TRASHED, UNIQUE_POSTING),
    ] {
        let stage = Stage::new(in_trash);
        stage.send(&restore_of(&stage, record)).unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(stage.value(DATA).as_bytes()), value(posting));
    }
}

#[test]
fn record_that_is_not_as_it_was_read_is_not_restored() {
    use RestoreRefusal::Gone;
    #[rustfmt::skip]
    let rows = [
        refused("purged", &[Delete(TRASH)], Gone, &[]),
        refused("put anew", &[Delete(TRASH), Put(TRASH, TRASHED)], Gone, &[(TRASH, SINCE[1])]),
        refused("rewritten", &[Put(TRASH, TRASHED)], Gone, &[(TRASH, SINCE[0])]),
        refused(
            "restored by another",
            &[Delete(TRASH), Put(DATA, POSTING)],
            Gone,
            &[(DATA, SINCE[1])],
        ),
    ];
    check(IN_TRASH, restore, rows);
}

#[test]
fn number_that_is_taken_is_not_restored_to() {
    use RestoreRefusal::{Owned, Posted};
    let taken: Keys = &[(TRASH, SEEN[0]), (DATA, SINCE[0])];
    #[rustfmt::skip]
    let rows = [
        refused("another's", &[Put(DATA, ANOTHER_POSTING)], Posted, taken),
        refused("unreadable", &[Put(DATA, UNREADABLE)], Posted, taken),
        refused("of the same uuid", &[Put(DATA, POSTING)], Posted, taken),
        refused(
            "another's, held",
            &[Put(DATA, ANOTHER_POSTING), Put(OWNER, ANOTHERS)],
            Posted,
            &[(TRASH, SEEN[0]), (DATA, SINCE[0]), (OWNER, SINCE[1])],
        ),
        refused(
            "an owner is left",
            &[Put(OWNER, TASKFLOWS)],
            Owned,
            &[(TRASH, SEEN[0]), (OWNER, SINCE[0])],
        ),
    ];
    check(IN_TRASH, restore, rows);
}

#[test]
fn unique_key_is_taken_again_or_the_job_stays_in_the_trash() {
    let held: Keys = &[(TRASH, SEEN[0]), (UNIQUE, SINCE[0])];
    let other = || not_unique(Some((SINCE[0], OTHER)));
    let itself = || not_unique(Some((SINCE[0], SELF)));
    #[rustfmt::skip]
    let rows = [
        restored("as read", &[], &[(RECEIPT, SENT), (UNIQUE, SENT), (DATA, SENT)]),
        refused("another's", &[Put(UNIQUE, OTHER)], other(), held),
        refused("its own, left behind", &[Put(UNIQUE, SELF)], itself(), held),
        refused(
            "another's, and purged",
            &[Put(UNIQUE, OTHER), Delete(TRASH)],
            RestoreRefusal::Gone,
            &[(UNIQUE, SINCE[0])],
        ),
    ];
    check(UNIQUE_IN_TRASH, unique_restore, rows);
}

/// Takes over the unique key, which was read after the record, and says `text`; the posting of the
/// job that it names was put at `posting`.
fn taking_over(stage: &Stage, text: &'static [u8], posting: Revision) -> Restore {
    let found = Found::of(Some((SEEN[1], Bytes::from_static(text))));
    let claimant = found.claimant(&stage.keys).unwrap().unwrap();
    unique_restore(stage).taking_over(Some(claimant.stale(&stage.keys, posting)))
}

#[test]
fn stale_unique_key_is_taken_over() {
    let own = &[Put(TRASH, UNIQUE_TRASHED), Put(UNIQUE, SELF)];
    let all: Keys = &[(RECEIPT, SENT), (UNIQUE, SENT), (DATA, SENT)];
    let rows = [
        restored("its own", &[], all),
        refused(
            "its own no more",
            &[Put(UNIQUE, OTHER)],
            not_unique(Some((SINCE[0], OTHER))),
            &[(TRASH, SEEN[0]), (UNIQUE, SINCE[0])],
        ),
    ];
    check(own, |stage| taking_over(stage, SELF, Revision::ZERO), rows);

    let of_none = &[Put(TRASH, UNIQUE_TRASHED), Put(UNIQUE, OTHER)];
    let rows = [
        restored("of a job that is gone", &[], all),
        refused(
            "of one that came meanwhile",
            &[Put(NEIGHBOUR, UNIQUE_POSTING)],
            not_unique(Some((SEEN[1], OTHER))),
            &[(TRASH, SEEN[0]), (UNIQUE, SEEN[1]), (NEIGHBOUR, SINCE[0])],
        ),
    ];
    check(
        of_none,
        |stage| taking_over(stage, OTHER, Revision::ZERO),
        rows,
    );
}

#[test]
fn lost_restore_happened_if_the_receipt_says_so() {
    let done = || Settled::Known(Ok(FENCED));
    let there = || Settled::Known(Ok(SENT));
    let row = |name, later, arrived, never_arrived| Lost {
        name,
        later,
        arrived,
        never_arrived,
    };
    #[rustfmt::skip]
    let rows = [
        row("nothing", &[][..], there(), NEVER),
        row("claimed", &[Put(OWNER, ANOTHERS)], there(), NEVER),
        row("consumed", &[Delete(DATA)], done(), NEVER),
        row("trashed again", &[Delete(DATA), Put(TRASH, TRASHED)], done(), NEVER),
        row("made unreadable", &[Put(DATA, UNREADABLE)], done(), NEVER),
        row("number used again", &[Delete(DATA), Put(DATA, ANOTHER_POSTING)], done(), NEVER),
        // Where the request never arrived, another restored it.
        row("restored by another", &[Delete(TRASH), Put(DATA, POSTING)], there(), NEVER),
        row("restored twice", &[Delete(DATA), Put(DATA, POSTING)], Settled::Known(Ok(LATER[1])), NEVER),
        row("receipt gone", &[Delete(RECEIPT)], NEVER, NEVER),
    ];
    check_lost(IN_TRASH, restore, rows);
}

#[test]
fn record_that_stands_tells_that_nothing_happened_where_there_is_no_receipt() {
    use Receipt::{DoesNotName, Gone, Names};
    let as_read = &[(TRASH, TRASHED, SEEN[0])][..];
    let anew = &[(TRASH, TRASHED, SENT)];
    let back = &[(DATA, POSTING, SENT)];
    let others = &[(DATA, ANOTHER_POSTING, SENT)];
    let there = || Settled::Known(Ok(SENT));
    let done = || Settled::Known(Ok(FENCED));
    #[rustfmt::skip]
    let rows = [
        ("in the trash, no receipt", as_read, Gone, NEVER),
        ("in the trash anew, no receipt", anew, Gone, Settled::CannotTell),
        ("on the board, no receipt", back, Gone, Settled::CannotTell),
        ("gone, no receipt", &[], Gone, Settled::CannotTell),
        ("on the board, named", back, Names, there()),
        ("on the board, not named", back, DoesNotName, NEVER),
        ("another's, named", others, Names, done()),
        ("gone, named", &[], Names, done()),
        ("gone, not named", &[], DoesNotName, NEVER),
    ];
    check_found(&restore(&Stage::new(IN_TRASH)), rows);
}
