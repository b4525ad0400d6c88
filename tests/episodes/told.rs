//! What episodes came to, and how long what they promise took.

use std::{collections::BTreeMap, fmt, time::Duration};

use jobboard::testing::Audit;

use crate::plan::{Kind, Plan};

/// What was measured in an episode, or in many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// From the death of a process until nobody holds its jobs, while etcd was well.
    pub(crate) freed: Vec<Duration>,
    /// The same, when more went wrong.
    pub(crate) freed_in_trouble: Vec<Duration>,
    /// From the end of all faults until each job could be claimed or was held by somebody who lives.
    pub(crate) recovered: Vec<Duration>,
    /// The longest time without a write, after one of three members died that led.
    pub(crate) without_leader: Vec<Duration>,
    /// The longest time without a write, while one of three members stood still that led.
    pub(crate) leader_still: Vec<Duration>,
    /// The longest call of each episode.
    pub(crate) calls: Vec<Duration>,
}

/// What many episodes came to.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// The first seed and the last.
    seeds: Option<(u64, u64)>,
    /// How many there were with each version of etcd, and with how many members.
    episodes: BTreeMap<(String, usize), usize>,
    faults: BTreeMap<(Done, Kind), usize>,
    audit: [usize; 4],
    runs: usize,
    times: Times,
}

/// What an episode came to.
pub(crate) struct Ran {
    pub(crate) plan: Plan,
    /// The version of etcd.
    pub(crate) version: String,
    pub(crate) audit: Audit,
    pub(crate) times: Times,
    /// How often conductors did a job.
    pub(crate) runs: usize,
    /// What went wrong.
    pub(crate) faults: Vec<(Done, Kind)>,
}

/// What came of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Done {
    /// It happened.
    AsMeant,
    /// It happened, but that members of etcd were asked to end and not killed: they would have forgotten what
    /// they answered.
    InGoodOrder,
    /// It did not happen.
    Not,
}

impl Done {
    /// What came of a fault of which members of etcd were to die.
    pub(crate) const fn to_members(killed: bool) -> Self {
        if killed {
            Self::AsMeant
        } else {
            Self::InGoodOrder
        }
    }
}

impl Times {
    fn add(&mut self, more: Self) {
        self.freed.extend(more.freed);
        self.freed_in_trouble.extend(more.freed_in_trouble);
        self.recovered.extend(more.recovered);
        self.without_leader.extend(more.without_leader);
        self.leader_still.extend(more.leader_still);
        self.calls.extend(more.calls);
    }
}

impl Sums {
    pub(crate) fn add(&mut self, ran: Ran) {
        let (first, last) = self.seeds.unwrap_or((ran.plan.seed, ran.plan.seed));
        self.seeds = Some((first.min(ran.plan.seed), last.max(ran.plan.seed)));
        let etcd = (ran.version, ran.plan.members);
        *self.episodes.entry(etcd).or_default() += 1;
        for fault in ran.faults {
            *self.faults.entry(fault).or_default() += 1;
        }
        let Audit {
            changes,
            calls,
            unsure,
            views,
            ..
        } = ran.audit;
        for (sum, more) in self.audit.iter_mut().zip([changes, calls, unsure, views]) {
            *sum += more;
        }
        self.runs += ran.runs;
        self.times.add(ran.times);
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [changes, calls, unsure, views] = self.audit;
        let (first, last) = self.seeds.unwrap_or_default();
        let episodes = self.episodes.values().sum::<usize>();
        writeln!(f, "{episodes} episodes, seeds {first} to {last}:")?;
        for ((version, members), count) in &self.episodes {
            writeln!(f, "{count} with {members} members of etcd {version}")?;
        }
        writeln!(
            f,
            "{calls} calls, {unsure} answers unsure, {changes} changes, {views} views, {} jobs run by conductors, \
             0 promises broken",
            self.runs
        )?;
        for (what, done) in [
            ("faults", Done::AsMeant),
            ("members stopped in place of killed", Done::InGoodOrder),
            ("left out", Done::Not),
        ] {
            let faults = self.faults.iter().filter(|((came, _), _)| *came == done);
            let faults: Vec<_> = faults
                .map(|((_, kind), count)| format!("{kind:?} {count}"))
                .collect();
            writeln!(f, "{what}: {}", faults.join(", "))?;
        }
        let times = &self.times;
        for (what, times) in [
            ("jobs of the dead are free", &times.freed),
            ("the same, amid other trouble", &times.freed_in_trouble),
            ("all is well after all faults", &times.recovered),
            ("no write after a leader's death", &times.without_leader),
            ("no write while a leader stands still", &times.leader_still),
            ("longest call of an episode", &times.calls),
        ] {
            let mut times = times.clone();
            times.sort();
            let (median, worst) = (times.get(times.len() / 2), times.last());
            let seconds = |time: Option<&Duration>| time.copied().unwrap_or_default().as_secs_f64();
            let (median, worst) = (seconds(median), seconds(worst));
            writeln!(
                f,
                "{what}: {} times, median {median:.2} s, worst {worst:.2} s",
                times.len()
            )?;
        }
        Ok(())
    }
}
