//! The calls for many jobs, beside raw transactions of one verb each, 64 at a time.

use tokio::time::Instant;

use super::{
    Failure, Plan, load,
    report::{Row, Target, Unit, median},
};

const POSTS: u32 = 10_000;
const CLAIMS: u32 = 1_000;
const RAW_CALLERS: usize = 64;

pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (mut raw, mut posts, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let jobs = plan.few(4_000);
        raw.push(load::measure(plan, load::Way::Raw, RAW_CALLERS, jobs).await?);
        let etcd = plan.start().await?;
        let board = super::board(&etcd.endpoint(), true).await?;
        let start = Instant::now();
        let posted = board.post_many((0..POSTS).map(|_| super::new_job())).await;
        posts.push(f64::from(POSTS) / start.elapsed().as_secs_f64());
        let posted: Vec<_> = posted.into_iter().collect::<Result<_, _>>()?;
        let start = Instant::now();
        let thousand = posted.into_iter().take(CLAIMS as usize);
        let held = board.claim_many(thousand, "bench").await;
        claims.push(f64::from(CLAIMS) / start.elapsed().as_secs_f64());
        let held: Vec<_> = held.into_iter().collect::<Result<_, _>>()?;
        drop(held);
        board.close().await;
    }
    let row = |measure: &str, raw, board| Row {
        measure: measure.to_owned(),
        unit: Unit::PerSecond,
        beside: "raw, 64 in flight",
        raw: Some(raw),
        board,
        target: Target::AtLeast(3.0),
    };
    Ok(vec![
        row(
            "post_many of 10,000",
            median(raw.iter().map(|it| it.post)),
            median(posts),
        ),
        row(
            "claim_many of 1,000",
            median(raw.iter().map(|it| it.claim)),
            median(claims),
        ),
    ])
}
