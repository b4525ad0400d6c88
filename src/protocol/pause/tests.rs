use super::*;
use crate::{
    protocol::{
        table::{
            ANY, BARRIER,
            Change::{self, Put},
            Keys, Lost, PAUSED, Row, SENT, SINCE, Stage, UNREADABLE, check, check_lost,
        },
        verb::Settled,
    },
    store::{Key, Revision},
};

const NONE: &[Change] = &[];
const STANDS: &[Change] = &[Put(PAUSED, ANY)];
/// What lies beside it is no pause.
const BESIDE: &str = "/t/.control/b/paused2";

fn of_an_operator() -> Pause {
    Pause {
        by: Some("operator".to_owned()),
        reason: Some("the disk is full".to_owned()),
        on: Timestamp::parse("2026-01-31T12:00:00").map(Timestamp::get),
    }
}

fn pause(stage: &Stage) -> Repeatable {
    super::pause(&stage.keys, &of_an_operator())
}

fn resume(stage: &Stage) -> Repeatable {
    super::resume(&stage.keys)
}

/// Whatever is there, the verb is done, and can be done again.
fn done(name: &'static str, since: &'static [Change], after: Keys) -> Row<Revision> {
    Row {
        name,
        since,
        outcome: SENT,
        after,
        settled: Settled::Repeat,
    }
}

#[test]
fn board_is_paused_in_every_state() {
    let rows = [
        done("not paused", &[], &[(PAUSED, SENT)]),
        done("paused already", &[Put(PAUSED, ANY)], &[(PAUSED, SENT)]),
        done(
            "paused unreadably",
            &[Put(PAUSED, UNREADABLE)],
            &[(PAUSED, SENT)],
        ),
        done(
            "beside a barrier",
            &[Put(BARRIER, ANY)],
            &[(PAUSED, SENT), (BARRIER, SINCE[0])],
        ),
    ];
    check(NONE, pause, rows);
}

#[test]
fn board_is_resumed_in_every_state() {
    let rows = [
        done("paused", &[], &[]),
        done("paused anew", &[Put(PAUSED, UNREADABLE)], &[]),
        done(
            "beside another key",
            &[Put(BESIDE, ANY)],
            &[(BESIDE, SINCE[0])],
        ),
        Row {
            // What deletes nothing takes no revision.
            outcome: Revision::new(SENT.get() - 1),
            ..done("resumed already", &[Change::Delete(PAUSED)], &[])
        },
    ];
    check(STANDS, resume, rows);
}

#[test]
fn lost_pause_and_lost_resume_are_written_again() {
    let again = || Lost {
        name: "nothing",
        later: &[],
        arrived: Settled::Repeat,
        never_arrived: Settled::Repeat,
    };
    check_lost(NONE, pause, [again()]);
    check_lost(STANDS, pause, [again()]);
    check_lost(NONE, resume, [again()]);
    check_lost(STANDS, resume, [again()]);
}

#[test]
fn record_outlives_the_session_that_wrote_it() {
    let stage = Stage::new(NONE);
    stage.send(&pause(&stage));
    let written = r#"{"paused_by":"operator","reason":"the disk is full","paused_on":"2026-01-31T12:00:00.000000","jobboard":{"v":1}}"#;
    assert_eq!(stage.value(PAUSED), written);
    stage.revoke();
    assert_eq!(stage.keys_there(), [(Key::new(PAUSED).unwrap(), SINCE[0])]);
}

#[test]
fn what_was_written_is_read_back() {
    let without_a_reason = Pause {
        reason: None,
        ..of_an_operator()
    };
    for pause in [of_an_operator(), without_a_reason] {
        assert_eq!(Pause::read(&pause.write()), Ok(pause));
    }
}

#[test]
fn what_a_person_wrote_by_hand_is_read_as_far_as_it_goes() {
    assert_eq!(Pause::read(b"{}"), Ok(Pause::default()));
    let by = Pause::read(br#"{"paused_by": "me", "odd": [1], "jobboard": {"odd": 2}}"#).unwrap();
    assert_eq!(by.by.as_deref(), Some("me"));
    for unreadable in [&b""[..], b"paused", br#"{"paused_by": 7}"#, UNREADABLE] {
        assert!(Pause::read(unreadable).is_err());
    }
    let newer = Pause::read(br#"{"paused_by": {}, "jobboard": {"v": 2}}"#).unwrap_err();
    assert!(newer.is_newer());
}
