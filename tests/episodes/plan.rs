//! What goes wrong in an episode, drawn from its seed alone.

use std::time::Duration;

use jobboard::random::Random;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A process is killed (SIGKILL) while it holds jobs.
    WorkerKilled,
    /// A process stands still (SIGSTOP) for longer than its lease lives, in the midst of a call.
    WorkerPausedLong,
    /// A process stands still for less than its lease lives.
    WorkerPaused,
    /// The member that leads is killed; the only one comes back.
    LeaderKilled,
    /// The member that leads stands still, for three elections.
    LeaderPaused,
    /// All members end, and come back.
    AllRestarted,
    /// etcd forgets all that it need not know, each 200 ms.
    Compacted,
    /// What is asked does not arrive.
    RequestsHeld,
    /// What etcd says does not arrive.
    AnswersHeld,
    /// Connections are reset.
    Reset,
    /// What etcd did is not told, and the connections are reset.
    AnswersLost,
    /// Most members are killed or stand still.
    QuorumLost,
    /// The lead moves, three times.
    LeadMoved,
    /// Roles, users and passwords change.
    AuthChanged,
    /// etcd has no space left.
    NoSpace,
    /// A member is defragmented, and answers nothing meanwhile.
    Defragmented,
    /// The link goes down behind which a process is, in a network namespace of its own.
    LinkDown,
}

/// How often each happens, in proportion.
const WEIGHTS: [(Kind, u64); 17] = [
    (Kind::WorkerKilled, 200),
    (Kind::WorkerPausedLong, 150),
    (Kind::WorkerPaused, 50),
    (Kind::LeaderKilled, 150),
    (Kind::LeaderPaused, 100),
    (Kind::AllRestarted, 50),
    (Kind::Compacted, 100),
    (Kind::RequestsHeld, 50),
    (Kind::AnswersHeld, 50),
    (Kind::Reset, 50),
    (Kind::AnswersLost, 150),
    (Kind::QuorumLost, 50),
    (Kind::LeadMoved, 50),
    (Kind::AuthChanged, 20),
    (Kind::NoSpace, 10),
    (Kind::Defragmented, 20),
    (Kind::LinkDown, 20),
];

/// The episodes that are run if nobody says otherwise begin with this seed: so many on, each kind of
/// fault has come on each version.
pub(crate) const FIRST: u64 = 998;

/// How many that are.
pub(crate) const DEFAULT: u64 = 60;

/// How late the last of the faults begins.
const LAST: u64 = 1_200;

/// An episode.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// The place of the version of etcd among those that are tested.
    pub(crate) version: usize,
    /// How many members etcd has.
    pub(crate) members: usize,
    pub(crate) group_commit: bool,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// When it begins.
    pub(crate) at: Duration,
    /// What else there is to choose is drawn from this.
    pub(crate) number: u64,
}

impl Plan {
    /// The episode of this seed. Versions and numbers of members take turns.
    pub(crate) fn of(seed: u64) -> Self {
        let chance = Random::seeded(seed);
        let members = if (seed / 2).is_multiple_of(2) { 1 } else { 3 };
        let group_commit = !chance.number().is_multiple_of(4);
        let faults = (0..=chance.number() % 3).map(|_| Fault::any(&chance, members));
        Self {
            seed,
            version: usize::try_from(seed % 2).unwrap(),
            members,
            group_commit,
            faults: faults.collect(),
        }
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }

    /// How many of its faults concern etcd itself.
    pub(crate) fn of_etcd(&self) -> usize {
        let faults = self.faults.iter();
        faults.filter(|fault| fault.kind.is_of_etcd()).count()
    }

    /// Whether all that happens to etcd is that one of several members dies or stands still that leads.
    pub(crate) fn is_of_one_leader(&self) -> bool {
        self.members > 1
            && self.of_etcd() == 1
            && (self.has(Kind::LeaderKilled) || self.has(Kind::LeaderPaused))
    }
}

impl Fault {
    fn any(chance: &Random, members: usize) -> Self {
        let possible = || {
            let kinds = WEIGHTS.iter();
            kinds.filter(move |(kind, _)| members > 1 || !kind.is_of_clusters())
        };
        let mut place = chance.number() % possible().map(|(_, weight)| weight).sum::<u64>();
        let drawn = possible().find(|(_, weight)| {
            let hit = place < *weight;
            place = place.saturating_sub(*weight);
            hit
        });
        Self {
            kind: drawn.unwrap().0,
            at: Duration::from_millis(chance.number() % LAST),
            number: chance.number(),
        }
    }
}

impl Kind {
    /// Whether it needs more than one member.
    const fn is_of_clusters(self) -> bool {
        matches!(self, Self::QuorumLost | Self::LeadMoved)
    }

    /// Whether a leader can die of it, or be thought dead.
    pub(crate) const fn is_of_leaders(self) -> bool {
        matches!(
            self,
            Self::LeaderKilled
                | Self::LeaderPaused
                | Self::AllRestarted
                | Self::QuorumLost
                | Self::LeadMoved
        )
    }

    /// Whether all who use etcd suffer from it, so that sessions can end.
    pub(crate) const fn is_of_etcd(self) -> bool {
        self.is_of_leaders()
            || matches!(self, Self::AuthChanged | Self::NoSpace | Self::Defragmented)
    }
}

#[test]
fn each_fault_comes_in_the_default_episodes_on_each_version() {
    for version in 0..2 {
        for (kind, _) in WEIGHTS {
            let mut plans = (FIRST..FIRST + DEFAULT).map(Plan::of);
            let comes = plans.any(|plan| plan.version == version && plan.has(kind));
            assert!(comes, "{kind:?} on version {version}");
        }
    }
}

#[test]
fn same_seed_is_the_same_episode() {
    for seed in 0..100 {
        let (once, again) = (Plan::of(seed), Plan::of(seed));
        assert_eq!(format!("{once:?}"), format!("{again:?}"));
    }
}
