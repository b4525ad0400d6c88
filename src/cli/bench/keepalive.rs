//! How many requests keep claims alive, by their number.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{
    Failure, Plan,
    report::{Row, Target, Unit},
};
use crate::local_etcd::LocalEtcd;

const TTL: Duration = Duration::from_secs(3);

/// How many requests are timed: from one that is counted to this many later, so that none is lost at
/// an edge.
const TIMED: f64 = 10.0;

/// How often is looked whether another was counted.
const LOOK: Duration = Duration::from_millis(20);

/// What etcd calls the requests that it counts.
const REQUESTS: &str = "grpc_server_msg_received_total{grpc_method=\"LeaseKeepAlive\"";

pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (one, thousand) = (a_minute(plan, 1).await?, a_minute(plan, 1_000).await?);
    Ok(vec![Row {
        measure: "keep-alives at 1,000 claims".to_owned(),
        unit: Unit::PerMinute,
        beside: "at 1 claim",
        raw: Some(one),
        board: thousand,
        target: Target::AtMost(1.1),
    }])
}

/// How many requests a minute keep so many claims alive.
async fn a_minute(plan: &Plan, claims: u32) -> Result<f64, Failure> {
    let etcd = plan.start().await?;
    let board = super::builder(&etcd.endpoint()).await?.ttl(TTL);
    let board = board.connect().await?;
    let posted = super::post_many(&board, claims).await?;
    let held = super::claim_many(&board, posted).await?;
    let now = keep_alives(&etcd).await?;
    let first = when_more_than(&etcd, now).await?;
    let last = when_more_than(&etcd, now + TIMED).await?;
    drop(held);
    board.close().await;
    Ok(TIMED * 60.0 / (last - first).as_secs_f64())
}

/// Waits until etcd has counted more than `count`.
async fn when_more_than(etcd: &LocalEtcd, count: f64) -> Result<Instant, Failure> {
    while keep_alives(etcd).await? <= count {
        sleep(LOOK).await;
    }
    Ok(Instant::now())
}

/// How many requests to keep a lease alive etcd has counted.
async fn keep_alives(etcd: &LocalEtcd) -> Result<f64, Failure> {
    let endpoint = etcd.endpoint();
    let address = endpoint.trim_start_matches("http://");
    let ask = async {
        let mut connection = TcpStream::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let answer = ask.await.map_err(Failure::system("read etcd's metrics"))?;
    let line = answer.lines().find(|line| line.starts_with(REQUESTS));
    let number = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.ok_or_else(|| Failure::new("etcd does not count what keeps leases alive"))
}
