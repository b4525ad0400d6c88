//! The calls for many jobs, beside raw transactions of one verb each, 64 at a time.

use super::{
    Failure, Plan, load,
    report::{Row, Target, Unit, median, timed},
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
        let board = super::board(&etcd.endpoint()).await?;
        let (took, mut posted) = timed(super::post_many(&board, POSTS)).await?;
        posts.push(f64::from(POSTS) / took * 1e6);
        posted.truncate(CLAIMS as usize);
        let (took, held) = timed(super::claim_many(&board, posted)).await?;
        claims.push(f64::from(CLAIMS) / took * 1e6);
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
