//! What `jobboard run` tells of its jobs, in a line each.

use futures::{Stream, StreamExt};
use serde::Serialize;

use crate::{
    ConductorEvent, Step,
    cli::output::{self, Format, plain, plain_json},
};

/// Reports what becomes of each job, until there is nothing more.
pub(super) async fn report(mut events: impl Stream<Item = ConductorEvent> + Unpin, format: Format) {
    while let Some(ConductorEvent { job, step, .. }) = events.next().await {
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
            _ => continue,
        };
        let Some(job) = job else { continue };
        let report = Report {
            number: job.id().get(),
            uuid: job.uuid(),
            name: job.name(),
            outcome,
            why,
        };
        match (format, serde_json::to_string(&report)) {
            (Format::Json, Ok(line)) => output::note(plain_json(&line)),
            _ => output::note(report),
        }
    }
}

/// Tells that the first signal came.
pub(super) fn note_stopping(format: Format) {
    match format {
        Format::Table => {
            output::note("stopping: what runs is waited for; another signal kills it");
        }
        Format::Json => output::note(serde_json::json!({ "outcome": "stopping" })),
    }
}

/// What became of a job.
#[derive(Debug, Serialize)]
struct Report<'a> {
    number: u64,
    uuid: uuid::Uuid,
    name: &'a str,
    outcome: &'static str,
    why: Option<String>,
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, name) = (self.number, plain(self.name));
        write!(f, "job {number} ({name}): {}", self.outcome)?;
        match &self.why {
            Some(why) => write!(f, ": {}", plain(why)),
            None => Ok(()),
        }
    }
}
