//! Opening a board of many jobs, and going through them.

use etcd_client::GetOptions;
use tokio::time::Instant;

use super::{
    Failure, Plan,
    raw::{Raw, revision_of},
    report::{Row, Target, Unit, median, timed},
};
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
    let mut etcd = plan.start().await?;
    let poster = super::board(&etcd.endpoint()).await?;
    super::post_many(&poster, jobs).await?;
    poster.close().await;
    // Some versions stay slow after such a burst, and some lose what they answered when they are killed.
    etcd.stop().await?;
    etcd.restart().await?;
    let raw = Raw::connect(&etcd.endpoint()).await?;
    let (mut read, mut opened, mut iterated) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        read.push(timed(read_all(&raw)).await?.0);
        // What is compared is the list, not how a connection is made.
        let board = super::builder(&etcd.endpoint()).await?.read_only(true);
        let (took, board) = timed(board.connect()).await?;
        opened.push(took);
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
        revision = revision_of(page.header());
        match page.kvs().last() {
            Some(last) if page.more() => from = [last.key(), &[0]].concat(),
            _ => return Ok(()),
        }
    }
}
