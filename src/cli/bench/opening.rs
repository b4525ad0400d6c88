//! Opening a board of many jobs, and going through them.

use etcd_client::GetOptions;
use tokio::time::Instant;

use super::{
    Failure, Plan,
    raw::Raw,
    report::{Row, Target, Unit, median, micros},
};
use crate::{JobBoard, store::Etcd};

/// How many keys a board reads at once; the raw read does the same.
const PAGE: i64 = 500;

pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for jobs in [1_000, 10_000, 100_000] {
        if jobs == 1_000 || !plan.quick {
            rows.extend(measure_with(plan, jobs).await?);
        }
    }
    Ok(rows)
}

async fn measure_with(plan: &Plan, jobs: u32) -> Result<Vec<Row>, Failure> {
    let etcd = plan.start().await?;
    let poster = super::board(&etcd.endpoint(), true).await?;
    for posted in poster.post_many((0..jobs).map(|_| super::new_job())).await {
        posted?;
    }
    poster.close().await;
    let raw = Raw::connect(&etcd.endpoint()).await?;
    let (mut read, mut opened, mut iterated) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let start = Instant::now();
        read_all(&raw).await?;
        read.push(micros(start.elapsed()));
        // What is compared is the list, not how a connection is made.
        let store = Etcd::connect([etcd.endpoint()]).await?;
        let board = JobBoard::builder(super::BOARD).store(store).read_only(true);
        let start = Instant::now();
        let board = board.connect().await?;
        opened.push(micros(start.elapsed()));
        let start = Instant::now();
        let last = board.jobs().map(|job| job.id()).max();
        iterated.push(f64::from(jobs) / start.elapsed().as_secs_f64());
        if last.is_none() {
            return Err(Failure::new("the board is empty"));
        }
        board.close().await;
    }
    let most = if jobs == 100_000 {
        Target::AtMost(1.5)
    } else {
        Target::None
    };
    Ok(vec![
        Row {
            measure: format!("opening {jobs} jobs"),
            unit: Unit::Microseconds,
            beside: "raw read in pages",
            raw: Some(median(read)),
            board: median(opened),
            target: most,
        },
        Row {
            measure: format!("jobs gone through, of {jobs}"),
            unit: Unit::PerSecond,
            beside: "",
            raw: None,
            board: median(iterated),
            target: Target::AtLeast(1e6),
        },
    ])
}

/// Reads all of a board's jobs in pages, at one revision.
async fn read_all(raw: &Raw) -> Result<(), Failure> {
    let mut kv = raw.kv().clone();
    let mut from = format!("/taskflow/jobs/{}/job0", super::BOARD).into_bytes();
    let mut revision = 0;
    loop {
        let page = GetOptions::new()
            .with_range(format!("/taskflow/jobs/{}/job:", super::BOARD))
            .with_limit(PAGE)
            .with_revision(revision);
        let page = kv.get(from, Some(page)).await?;
        revision = page
            .header()
            .map_or(0, etcd_client::ResponseHeader::revision);
        match page.kvs().last() {
            Some(last) if page.more() => from = [last.key(), &[0]].concat(),
            _ => return Ok(()),
        }
    }
}
