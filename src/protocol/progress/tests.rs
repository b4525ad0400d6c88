use super::*;
use crate::protocol::table::{
    ANOTHERS, CLAIM,
    Change::{Delete, Put},
    DATA, FREE, HELD, Keys, LAST_MODIFIED, Lost, OUR_OTHER, OWNER, REPLACED, Row, SEEN, SENT,
    STATE, Stage, TASKFLOWS, check, check_lost, hold,
};

type Outcome = Result<Revision, NotHeld>;

const AGAIN: Settled<Outcome> = Settled::Repeat;

fn report(stage: &Stage) -> Report {
    let progress = Progress {
        fraction: 0.5,
        message: None,
    };
    let state = StateRecord::default()
        .claimed(CLAIM, "w")
        .progressed(progress);
    Report::new(&stage.keys, hold(Some(CLAIM)), state)
}

fn not_held(now: Option<&str>) -> Outcome {
    let now = now.map(str::to_owned);
    Err(NotHeld { now })
}

#[test]
fn progress_is_written_as_long_as_the_token_holds() {
    const WRITTEN: Keys = &[
        (DATA, SEEN[0]),
        (LAST_MODIFIED, SEEN[3]),
        (OWNER, SEEN[1]),
        (STATE, SENT),
    ];
    #[rustfmt::skip]
    let rows = [
        Row { name: "as seen", since: &[], outcome: Ok(SENT), after: WRITTEN, settled: AGAIN },
        Row { name: "no state", since: &[Delete(STATE)], outcome: Ok(SENT), after: WRITTEN, settled: AGAIN },
        Row { name: "no owner", since: &[Delete(OWNER)], outcome: not_held(None), after: FREE, settled: AGAIN },
        Row { name: "our other claim", since: &[Delete(OWNER), Put(OWNER, OUR_OTHER)], outcome: not_held(Some("w")), after: REPLACED, settled: AGAIN },
        Row { name: "another's", since: &[Delete(OWNER), Put(OWNER, ANOTHERS)], outcome: not_held(Some("x")), after: REPLACED, settled: AGAIN },
        Row { name: "TaskFlow's", since: &[Delete(OWNER), Put(OWNER, TASKFLOWS)], outcome: not_held(Some("tf")), after: REPLACED, settled: AGAIN },
    ];
    check(HELD, report, rows);
}

#[test]
fn lost_report_is_sent_again_whatever_became_of_it() {
    let rows = [Lost {
        name: "claimed by another",
        later: &[Delete(OWNER), Put(OWNER, ANOTHERS)],
        arrived: AGAIN,
        never_arrived: AGAIN,
    }];
    check_lost(HELD, report, rows);
}

#[test]
fn progress_stands_in_the_state() {
    let stage = Stage::new(HELD);
    stage.send(&report(&stage)).unwrap();
    assert!(
        stage
            .value(STATE)
            .contains(r#""progress":{"fraction":0.5}"#)
    );
}
