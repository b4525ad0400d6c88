//! The protocol by which a board writes to etcd, explored to its end by a model checker.
//!
//! Two processes, two jobs that share a unique key, and everything that can go wrong between them
//! and etcd: answers get lost, requests arrive late and in any order, leases end at any time,
//! sessions follow each other, an operator releases claims by force. The model knows the rules of
//! the protocol and nothing of the code that keeps them. With all rules, each reachable state is
//! visited, and none breaks a property. Without any one of the rules, there is a trace that does:
//! that is what the rule is for, and the test prints it.
//!
//! Left out are pauses, attempts, priorities and results, the deadline of a call, a unique key whose
//! job is gone, clients of other kinds, and a view of the board that lags (a process looks at the
//! board as it is, but its request can arrive at any later time).
#![expect(clippy::print_stdout, reason = "a trace is there to be read")]

mod action;
mod answers;
mod etcd;
mod model;
mod process;
mod request;
mod rules;
mod state;

use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    action::Action,
    model::{
        ENDS_ARE_NOTED, HOLDERS_OWN, Kind, LEASE_IS_GONE, LOST_IS_FINAL, NO_RETURN,
        NO_STALE_CHANGE, ONCE, ONE_OWNER, POSTED_ONCE, Setting, TRUE_FAILURE, TRUE_SUCCESS, UNIQUE,
    },
    rules::{Rule, Rules},
    state::State,
};

/// A job is claimed, and settled in every way.
fn settling() -> Setting {
    Setting {
        rules: Rules::default(),
        verbs: &[Kind::Claim, Kind::Consume, Kind::Abandon, Kind::Trash],
        calls: [2, 2],
        lanes: [1, 1],
        groups: false,
        reads_follow: false,
        views: false,
        losses: 2,
        posted: [true, false],
    }
}

/// The same, with two calls of one process under way at a time.
fn settling_side_by_side() -> Setting {
    Setting {
        verbs: &[Kind::Claim, Kind::Consume, Kind::Abandon],
        calls: [3, 2],
        lanes: [2, 1],
        losses: 1,
        ..settling()
    }
}

/// Reads after a fence come in a transaction of their own.
fn reading_after_the_fence() -> Setting {
    Setting {
        verbs: &[Kind::Claim, Kind::Consume],
        reads_follow: true,
        ..settling()
    }
}

/// Both processes post under one unique key, and claim.
fn posting() -> Setting {
    Setting {
        verbs: &[Kind::Post, Kind::Claim, Kind::Consume],
        posted: [false, false],
        ..settling()
    }
}

/// One process sends a post and a claim in one envelope; another job holds the unique key.
fn posting_in_groups() -> Setting {
    Setting {
        lanes: [2, 1],
        groups: true,
        losses: 1,
        posted: [false, true],
        ..posting()
    }
}

/// Each process can be the operator who releases the other's claim by force.
fn releasing() -> Setting {
    Setting {
        verbs: &[
            Kind::Claim,
            Kind::Consume,
            Kind::TrashUnclaimed,
            Kind::Release,
        ],
        calls: [2, 3],
        losses: 1,
        ..settling()
    }
}

/// The same, while both look at what becomes of their claims.
fn releasing_in_view() -> Setting {
    Setting {
        verbs: &[Kind::Claim, Kind::Consume, Kind::Release],
        calls: [2, 2],
        views: true,
        ..releasing()
    }
}

/// A job is trashed by its owner and restored, while another is posted under its unique key.
fn reviewing() -> Setting {
    Setting {
        verbs: &[
            Kind::Post,
            Kind::Claim,
            Kind::Consume,
            Kind::Trash,
            Kind::Restore,
        ],
        calls: [3, 2],
        losses: 1,
        ..settling()
    }
}

/// A job that nobody holds is trashed, and restored.
fn trashing_unclaimed() -> Setting {
    Setting {
        verbs: &[
            Kind::Claim,
            Kind::Consume,
            Kind::TrashUnclaimed,
            Kind::Restore,
        ],
        calls: [2, 2],
        losses: 1,
        ..settling()
    }
}

/// Visits every reachable state.
fn assert_holds(name: &str, setting: Setting) {
    let start = tokio::time::Instant::now();
    let checker = setting
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!(
        "{name}: {states} states, up to {depth} steps, {:.1?}",
        start.elapsed()
    );
    checker.assert_properties();
}

/// Finds, without the rule, a trace that breaks the property, and prints it.
fn assert_needed(rule: Rule, setting: Setting, property: &'static str) {
    let setting = Setting {
        rules: Rules {
            without: Some(rule),
        },
        ..setting
    };
    let checker = setting
        .checker()
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .spawn_bfs()
        .join();
    let trace = checker.assert_any_discovery(property).into_actions();
    println!("without {rule:?}, this does not hold: {property}");
    for (at, step) in needed_steps(&setting, trace, property).iter().enumerate() {
        println!("{:>4}. {step}", at + 1);
    }
}

/// The steps of a trace without which it would not break the property.
fn needed_steps(setting: &Setting, mut trace: Vec<Action>, property: &'static str) -> Vec<Action> {
    let holds = setting.property(property).condition;
    let mut at = trace.len();
    while at > 0 {
        at -= 1;
        let mut shorter = trace.clone();
        shorter.remove(at);
        if replay(setting, &shorter).is_some_and(|end| !holds(setting, &end)) {
            trace = shorter;
        }
    }
    trace
}

fn replay(setting: &Setting, trace: &[Action]) -> Option<State> {
    let mut state = setting.init_states().pop()?;
    for step in trace {
        let mut possible = Vec::new();
        setting.actions(&state, &mut possible);
        state = possible
            .contains(step)
            .then(|| setting.next_state(&state, step.clone()))??;
    }
    Some(state)
}

#[test]
fn claims_are_settled_once_and_answers_are_true() {
    assert_holds("settling", settling());
}

#[test]
fn two_calls_of_one_process_get_true_answers() {
    assert_holds("settling side by side", settling_side_by_side());
}

#[test]
fn reads_that_follow_a_fence_tell_the_truth() {
    assert_holds("reading after the fence", reading_after_the_fence());
}

#[test]
fn posts_are_made_once_and_consumed_jobs_stay_away() {
    assert_holds("posting", posting());
}

#[test]
fn members_of_an_envelope_get_answers_of_their_own() {
    assert_holds("posting in groups", posting_in_groups());
}

#[test]
fn released_claims_are_over_and_answers_are_true() {
    assert_holds("releasing", releasing());
}

#[test]
fn claims_that_were_seen_to_end_are_over() {
    assert_holds("releasing in view", releasing_in_view());
}

#[test]
fn restored_jobs_come_back_once_and_keep_unique_keys_apart() {
    assert_holds("reviewing", reviewing());
}

#[test]
fn jobs_that_nobody_holds_are_trashed_once() {
    assert_holds("trashing unclaimed", trashing_unclaimed());
}

#[test]
fn each_write_must_compare_the_guard() {
    assert_needed(Rule::GuardInEachWrite, posting(), NO_RETURN);
    assert_needed(Rule::GuardInEachWrite, settling(), TRUE_FAILURE);
}

#[test]
fn lost_answers_must_be_fenced() {
    assert_needed(Rule::FenceBeforeReading, settling(), TRUE_FAILURE);
    assert_needed(Rule::FenceBeforeReading, posting(), POSTED_ONCE);
}

#[test]
fn reads_that_follow_must_compare_the_guard() {
    assert_needed(
        Rule::GuardInEachRead,
        reading_after_the_fence(),
        TRUE_SUCCESS,
    );
}

#[test]
fn posts_must_leave_a_receipt() {
    assert_needed(Rule::ReceiptOfPost, posting(), NO_RETURN);
    assert_needed(Rule::ReceiptOfPost, posting(), ONCE);
}

#[test]
fn restores_must_leave_a_receipt() {
    assert_needed(Rule::ReceiptOfRestore, reviewing(), TRUE_FAILURE);
}

#[test]
fn refused_members_must_leave_a_note() {
    assert_needed(Rule::NoteOfRefused, posting_in_groups(), TRUE_SUCCESS);
}

#[test]
fn session_must_have_one_verb_for_each_job() {
    assert_needed(
        Rule::OneVerbForEachJob,
        settling_side_by_side(),
        TRUE_SUCCESS,
    );
}

#[test]
fn claims_must_end_with_the_guard() {
    assert_needed(Rule::ClaimOnLeaseOfGuard, settling(), TRUE_SUCCESS);
}

#[test]
fn lease_must_be_revoked_before_lost_is_told() {
    assert_needed(Rule::RevokeBeforeLost, settling(), LEASE_IS_GONE);
    assert_needed(Rule::RevokeBeforeLost, settling(), LOST_IS_FINAL);
}

#[test]
fn pending_claims_must_be_known() {
    assert_needed(Rule::PendingClaimsAreKnown, settling(), HOLDERS_OWN);
}

#[test]
fn ends_that_were_seen_must_be_kept_for_the_answer() {
    assert_needed(
        Rule::EndsAreKeptForTheAnswer,
        releasing_in_view(),
        ENDS_ARE_NOTED,
    );
}

#[test]
fn restores_must_compare_the_unique_key() {
    assert_needed(Rule::UniqueKeyInRestore, reviewing(), UNIQUE);
}

#[test]
fn releases_must_leave_a_mark() {
    assert_needed(Rule::MarkOfRelease, releasing(), TRUE_SUCCESS);
}

#[test]
fn claims_must_compare_the_posting() {
    assert_needed(Rule::PostingInClaim, settling(), ONE_OWNER);
}

#[test]
fn settling_must_compare_the_token() {
    assert_needed(Rule::TokenInEachSettling, releasing(), NO_STALE_CHANGE);
}
