//! What episodes came to.

use std::{collections::BTreeMap, fmt};

use jobboard::testing::Audit;

use crate::{
    plan::{Kind, Plan},
    times::Times,
};

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
        write!(f, "{}", self.times)
    }
}
