//! What `jobboard run` tells of its jobs, and of what keeps it from them, in a line each.

use std::{convert::Infallible, future, mem};

use futures::{Stream, StreamExt};
use serde::Serialize;

use crate::{
    ConductorEvent, Job, JobBoard, Pause, Result, Step,
    cache::Closed,
    cli::output::{self, Format, plain, plain_json},
};

/// Reports what becomes of each job, until there is nothing more.
pub(super) async fn report(mut events: impl Stream<Item = ConductorEvent> + Unpin, format: Format) {
    let mut missed = 0;
    while let Some(ConductorEvent { job, step, .. }) = next(&mut events, &mut missed).await {
        let (outcome, why) = match step {
            Step::Consumed => ("consumed", None),
            Step::Abandoned(why) => ("abandoned", why),
            Step::Trashed(why) => ("trashed", Some(why)),
            Step::Refused(why) => ("refused", Some(why)),
            Step::Unsettled(why) => ("unknown", Some(why)),
            Step::Lost => {
                let why = "the claim is over; the command was killed";
                ("lost", Some(why.to_owned()))
            }
            Step::Dropped => ("killed", Some("this process was told to".to_owned())),
            // What was killed is given back without a word.
            Step::Snoozed(Some(why)) => ("abandoned", Some(why)),
            Step::Lagged(missed) => {
                Report::of_all("missed", lagged(missed)).tell(format);
                continue;
            }
            // `tell_pauses` tells of a pause, whether it keeps the conductor from a claim or not.
            _ => continue,
        };
        let Some(job) = job else { continue };
        Report::of(&job, outcome, why).tell(format);
    }
}

/// The next event. What was missed is told in one, as soon as there is no other: who writes slowly misses
/// again and again.
async fn next(
    events: &mut (impl Stream<Item = ConductorEvent> + Unpin),
    missed: &mut u64,
) -> Option<ConductorEvent> {
    loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            () = future::ready(()), if *missed > 0 => None,
        };
        match event {
            Some(ConductorEvent {
                step: Step::Lagged(more),
                ..
            }) => *missed += more,
            None if *missed > 0 => {
                return Some(ConductorEvent {
                    job: None,
                    attempt: None,
                    step: Step::Lagged(mem::take(missed)),
                });
            }
            event => return event,
        }
    }
}

fn lagged(missed: u64) -> String {
    format!(
        "what became of some jobs is not told: {missed} steps came faster than they could be written"
    )
}

/// Tells when the board is paused and when it is resumed, each once.
pub(super) async fn tell_pauses(board: &JobBoard, format: Format) -> Infallible {
    // What ends the view ends the conductor, which says so.
    _ = watch_pauses(board, format).await;
    future::pending().await
}

async fn watch_pauses(board: &JobBoard, format: Format) -> Result<()> {
    let pauses = board.pause_view().await?;
    let ended = |closed: Closed| closed.while_doing("watch for pauses of the board");
    loop {
        pauses.until(true).await.map_err(ended)?;
        // Who paused it is told if it can be read.
        let pause = board.paused().await.ok().flatten().unwrap_or_default();
        Report::of_all("paused", paused(pause)).tell(format);
        pauses.until(false).await.map_err(ended)?;
        Report::of_all("resumed", "jobs are claimed again".to_owned()).tell(format);
    }
}

fn paused(pause: Pause) -> String {
    let why = "nothing is claimed until the board is resumed";
    match (pause.by, pause.reason) {
        (Some(by), Some(reason)) => format!("{why} ({by}: {reason})"),
        (Some(told), None) | (None, Some(told)) => format!("{why} ({told})"),
        (None, None) => why.to_owned(),
    }
}

/// Tells that the first signal came.
pub(super) fn tell_stopping(format: Format) {
    let why = "what runs is waited for; another signal kills it";
    Report::of_all("stopping", why.to_owned()).tell(format);
}

/// What became of a job, or of all.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    job: Option<About<'a>>,
    outcome: &'static str,
    why: Option<String>,
}

/// Which job it is.
#[derive(Debug, Serialize)]
struct About<'a> {
    number: u64,
    uuid: uuid::Uuid,
    name: &'a str,
}

impl<'a> Report<'a> {
    fn of(job: &'a Job, outcome: &'static str, why: Option<String>) -> Self {
        let about = About {
            number: job.id().get(),
            uuid: job.uuid(),
            name: job.name(),
        };
        Self {
            job: Some(about),
            outcome,
            why,
        }
    }

    const fn of_all(outcome: &'static str, why: String) -> Self {
        Self {
            job: None,
            outcome,
            why: Some(why),
        }
    }

    fn tell(&self, format: Format) {
        match (format, serde_json::to_string(self)) {
            (Format::Json, Ok(line)) => output::note(plain_json(&line)),
            _ => output::note(self),
        }
    }
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(About { number, name, .. }) = self.job {
            write!(f, "job {number} ({}): ", plain(name))?;
        }
        f.write_str(self.outcome)?;
        match &self.why {
            Some(why) => write!(f, ": {}", plain(why)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn event(step: Step) -> ConductorEvent {
        ConductorEvent {
            job: None,
            attempt: None,
            step,
        }
    }

    #[tokio::test]
    async fn what_was_missed_is_told_once_when_there_is_no_other_event() {
        let steps = [Step::Lagged(2), Step::Draining, Step::Lagged(3)];
        let mut events = stream::iter(steps.map(event)).chain(stream::pending());
        let mut missed = 0;
        let first = next(&mut events, &mut missed).await.unwrap();
        assert!(matches!(first.step, Step::Draining), "{first:?}");
        let second = next(&mut events, &mut missed).await.unwrap();
        assert!(matches!(second.step, Step::Lagged(5)), "{second:?}");
        assert_eq!(missed, 0);
    }

    #[tokio::test]
    async fn what_was_missed_is_told_before_the_events_end() {
        let mut events = stream::iter([event(Step::Lagged(2))]);
        let mut missed = 0;
        let last = next(&mut events, &mut missed).await.unwrap();
        assert!(matches!(last.step, Step::Lagged(2)), "{last:?}");
        assert!(next(&mut events, &mut missed).await.is_none());
    }

    #[test]
    fn pause_is_told_with_who_paused_and_why_as_far_as_that_is_known() {
        let mut pause = Pause::default();
        let told = "nothing is claimed until the board is resumed";
        assert_eq!(paused(pause.clone()), told);
        pause.by = Some("ops".to_owned());
        assert_eq!(paused(pause.clone()), format!("{told} (ops)"));
        pause.reason = Some("full".to_owned());
        assert_eq!(paused(pause), format!("{told} (ops: full)"));
    }
}
