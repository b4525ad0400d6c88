//! What goes wrong, done.

use std::{net::Ipv4Addr, time::Duration};

use etcd_client::{AlarmAction, AlarmType};
use futures::future;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::{
    auth,
    cluster::Cluster,
    hand::{Blow, Victim},
    link::Link,
    plan::{Fault, Kind},
    told::Done,
    way::Way,
    world::{TTL, World},
};

/// How long a member is away that was killed.
const AWAY: Duration = Duration::from_millis(1_500);

/// How long a leader stands still: three elections.
const THREE_ELECTIONS: Duration = Duration::from_secs(3);

/// How long most members are away.
const NO_QUORUM: Duration = Duration::from_millis(2_500);

/// How often and how long etcd is compacted.
const COMPACTIONS: (Duration, usize) = (Duration::from_millis(200), 12);

/// Between two moves of the lead.
const LEADS: Duration = Duration::from_millis(400);

/// How long there is no space.
const FULL: Duration = Duration::from_secs(1);

/// The ways of somebody to all members.
#[derive(Debug)]
pub(crate) struct Ways(Vec<Way>);

impl Ways {
    /// Open ways, which begin on this machine or where it is seen from behind a link.
    pub(crate) async fn to(endpoints: &[String], link: Option<&Link>) -> Self {
        let address = link.map_or(Ipv4Addr::LOCALHOST.into(), Link::address);
        let ways = endpoints.iter();
        let ways = ways.map(|endpoint| Way::from(address, endpoint, Duration::ZERO));
        Self(future::join_all(ways).await)
    }

    /// Where they begin.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.0.iter().map(|way| way.endpoint().to_owned()).collect()
    }

    /// All of them or, for two numbers of three, the one by which most was asked: what is under way there
    /// can come late, after it was asked for by another.
    fn any(&self, number: u64) -> &[Way] {
        let ways = (0..self.0.len()).max_by_key(|place| self.0[*place].asked());
        match ways {
            Some(busiest) if !number.is_multiple_of(3) => &self.0[busiest..=busiest],
            _ => &self.0,
        }
    }
}

impl World {
    /// Lets something go wrong, and waits until it is over. Gives what came of it.
    pub(crate) async fn suffer(&self, fault: Fault, victims: &[Victim]) -> Done {
        let number = fault.number;
        let part = |millis: u64| Duration::from_millis(number / 64 % millis);
        let victim = &victims[usize::try_from(number % 4).unwrap()];
        let ways = self.ways[usize::try_from(number / 4 % 3).unwrap()].any(number / 12);
        match fault.kind {
            Kind::WorkerKilled => victim.suffer(Blow::Kill).await,
            Kind::WorkerPausedLong => {
                let time = TTL + Duration::from_millis(500) + part(500);
                victim.suffer(Blow::Pause(time)).await;
            }
            Kind::WorkerPaused => victim.suffer(Blow::Pause(part(1_400))).await,
            Kind::RequestsHeld => hold(ways, (true, false), part(3_500)).await,
            Kind::AnswersHeld => hold(ways, (false, true), part(3_500)).await,
            Kind::Reset => {
                for _ in 0..3 {
                    ways.iter().for_each(Way::reset);
                    sleep(part(200)).await;
                }
            }
            Kind::AnswersLost => {
                for _ in 0..3 {
                    ways.iter().for_each(Way::lose_answers);
                    sleep(part(200)).await;
                    ways.iter().for_each(Way::reset);
                    sleep(part(400)).await;
                }
            }
            Kind::Compacted => return self.compact().await,
            Kind::LinkDown => {
                let link = match &self.link {
                    Ok(link) => link,
                    Err(why) => {
                        println!("no link goes down: {why}");
                        return Done::Not;
                    }
                };
                link.down().await;
                sleep(Duration::from_millis(1_500) + part(2_000)).await;
                link.up().await;
            }
            _ => {
                // One after the other: who is away can not do what the next wants of it.
                let mut cluster = self.cluster.lock().await;
                return self.suffer_of_etcd(fault, &mut cluster).await;
            }
        }
        Done::AsMeant
    }

    async fn suffer_of_etcd(&self, fault: Fault, cluster: &mut Cluster) -> Done {
        match fault.kind {
            Kind::LeaderKilled => return self.kill_leader(cluster).await,
            Kind::LeaderPaused => {
                let leader = cluster.leader().await;
                self.strike();
                stand_still(cluster, &[leader], THREE_ELECTIONS).await;
            }
            Kind::AllRestarted => {
                let all = cluster.alive();
                let killed = cluster.take_away(&all).await;
                cluster.restart(&all).await;
                return Done::to_members(killed);
            }
            Kind::QuorumLost => {
                let alive = cluster.alive();
                // All but one are no quorum, of two or of three.
                let most = &alive[1..];
                if cluster.is_fragile() || fault.number.is_multiple_of(2) {
                    stand_still(cluster, most, NO_QUORUM).await;
                } else {
                    cluster.kill(most);
                    sleep(NO_QUORUM).await;
                    cluster.restart(most).await;
                }
            }
            Kind::LeadMoved => {
                for _ in 0..3 {
                    let leader = cluster.leader().await;
                    let alive = cluster.alive();
                    let next = alive.into_iter().find(|place| *place != leader);
                    cluster.move_leader(next.unwrap()).await;
                    sleep(LEADS).await;
                }
            }
            Kind::AuthChanged => auth::change(cluster).await,
            Kind::NoSpace => self.fill(cluster).await,
            Kind::Defragmented => {
                for place in cluster.alive() {
                    let mut client = self.administrator(cluster, place).await;
                    // It can take longer than is waited for.
                    _ = client.defragment().await;
                }
            }
            other => unreachable!("{other:?} is no fault of etcd"),
        }
        Done::AsMeant
    }

    async fn kill_leader(&self, cluster: &mut Cluster) -> Done {
        let leader = [cluster.leader().await];
        if !cluster.is_fragile() || cluster.all().len() == 1 {
            self.strike();
            let killed = cluster.take_away(&leader).await;
            sleep(AWAY).await;
            cluster.restart(&leader).await;
            return Done::to_members(killed);
        }
        if cluster.alive().len() < cluster.all().len() {
            // It did not come back, and most are needed.
            return Done::Not;
        }
        self.strike();
        cluster.kill(&leader);
        Done::AsMeant
    }

    /// Notes when a leader was killed or stopped.
    fn strike(&self) {
        *self.struck.lock().unwrap() = Some(Instant::now());
    }

    /// Has etcd forget all that it need not know, again and again.
    async fn compact(&self) -> Done {
        let (every, times) = COMPACTIONS;
        let mut done = Done::Not;
        let mut every = interval(every);
        for _ in 0..times {
            every.tick().await;
            let now = self.now().await;
            let is_seen = timeout(TTL, self.auditor.caught_up(now)).await == Ok(true);
            // Up to there it can have been done before.
            if is_seen && self.store.compact(now).await.is_ok() {
                done = Done::AsMeant;
            }
        }
        done
    }

    /// Raises the alarm that there is no space, and quits it.
    async fn fill(&self, cluster: &Cluster) {
        let leader = cluster.leader().await;
        let mut client = self.administrator(cluster, leader).await;
        for action in [AlarmAction::Activate, AlarmAction::Deactivate] {
            let mut alarm = async || client.alarm(action, AlarmType::Nospace, None).await;
            // Other faults can be in the way.
            while alarm().await.is_err() {
                sleep(LEADS).await;
            }
            sleep(FULL).await;
        }
    }

    async fn administrator(&self, cluster: &Cluster, place: usize) -> etcd_client::Client {
        let root = self
            .plan
            .has(Kind::AuthChanged)
            .then(auth::root_and_password);
        Box::pin(cluster.administrator(place, root)).await
    }
}

async fn stand_still(cluster: &Cluster, members: &[usize], time: Duration) {
    for place in members {
        cluster.pause(*place);
    }
    sleep(time).await;
    for place in members {
        cluster.resume(*place);
    }
}

async fn hold(ways: &[Way], (requests, answers): (bool, bool), time: Duration) {
    for way in ways {
        way.hold(requests, answers);
    }
    sleep(Duration::from_millis(300) + time).await;
    for way in ways {
        way.hold(false, false);
    }
}
