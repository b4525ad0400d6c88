//! What led to a violation, cut down to what it can not do without.

use std::collections::BTreeSet;

use super::{
    history::History,
    judge::Judge,
    noted::{Call, Noted},
    story::{Promise, Violation},
};

/// Tells what led to a violation: what happened to its job, and the least of what was noted without which
/// it would be none. Where what happened breaks the promise by itself, whatever was asked about the job
/// is told: nothing else says who did it.
pub(super) fn told(history: &History, noted: &Noted, broken: Violation) -> Violation {
    let judge = Judge::new(history);
    let is_broken = |noted: &Noted| judge.judge(noted).as_ref() == Err(&broken);
    let mut least = noted.clone();
    if is_broken(noted) {
        cut(&mut least, |noted| &mut noted.calls, is_broken);
        cut(&mut least, |noted| &mut noted.beliefs, is_broken);
        cut(&mut least, |noted| &mut noted.told, is_broken);
    } else {
        let about = |call: &Call| judge.number_of(&call.asked) == broken.number();
        least.calls.retain(about);
        least.beliefs.clear();
        least.told.clear();
    }
    let asked = least.calls.iter();
    let asked = asked.filter_map(|call| judge.number_of(&call.asked));
    let numbers: BTreeSet<_> = asked.chain(broken.number()).collect();
    let changes = history.changes.iter();
    let changes = changes.filter(|change| numbers.contains(&change.number));
    let mut story: Vec<_> = changes
        .map(|change| {
            format!(
                "job {} at {}: {:?}",
                change.number, change.revision, change.what
            )
        })
        .collect();
    story.extend(least.calls.iter().map(ToString::to_string));
    story.extend(least.beliefs.iter().map(|belief| format!("{belief:?}")));
    if broken.promise() == Promise::View {
        let of_job = |job| history.number_of(job) == broken.number();
        let told = least.told.iter();
        let told = told.filter(|told| told.news.job().copied().is_some_and(of_job));
        story.extend(told.map(|told| {
            let (client, at) = (&told.client, told.revision);
            format!("{client} was told at {at} {}", told.news)
        }));
    }
    broken.with(story)
}

/// Leaves out of a part of what was noted, from its end on, whatever makes no difference: large pieces
/// first.
fn cut<T: Clone>(
    noted: &mut Noted,
    part: fn(&mut Noted) -> &mut Vec<T>,
    is_broken: impl Fn(&Noted) -> bool,
) {
    let mut piece = part(noted).len();
    while piece > 0 {
        let mut end = part(noted).len();
        while end > 0 {
            let begin = end.saturating_sub(piece);
            let all = part(noted).clone();
            part(noted).drain(begin..end);
            if !is_broken(noted) {
                *part(noted) = all;
            }
            end = begin;
        }
        piece /= 2;
    }
}
