//! How long what is promised took in episodes.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::world::{DEADLINE, SLACK, TTL};

/// How much later than a lease's time to live its jobs can be claimed again.
const LATE: Duration = Duration::from_millis(1_500);

/// The same, in how much more than two times to live, when a leader died.
const LATE_WITHOUT_LEADER: Duration = Duration::from_secs(4);

/// How long writes may stop when a leader dies.
const WRITES_ARE_BACK: Duration = Duration::from_secs(3);

/// In how much time a member that stands still is noticed.
const NOTICED: Duration = Duration::from_secs(8);

/// How long after its deadline it is told to who waits that a call is over.
const TOLD: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// From the death of a process until nobody holds its jobs, while etcd was well and heard of what it was
    /// asked at once.
    Freed,
    /// The same, when more went wrong.
    FreedInTrouble,
    /// From the end of all faults until each job could be claimed or was held by somebody who lives.
    Recovered,
    /// The same, when a leader died or was thought dead.
    RecoveredFromLeader,
    /// The longest time without a write, after one of three members died that led.
    WithoutLeader,
    /// The longest time without a write, while one of three members stood still that led.
    LeaderStill,
    /// The longest call of an episode.
    LongestCall,
}

impl Measure {
    const ALL: [Self; 7] = [
        Self::Freed,
        Self::FreedInTrouble,
        Self::Recovered,
        Self::RecoveredFromLeader,
        Self::WithoutLeader,
        Self::LeaderStill,
        Self::LongestCall,
    ];

    /// How long it may take; none where nothing is promised.
    fn bound(self) -> Option<Duration> {
        match self {
            Self::Freed | Self::Recovered => Some(TTL + LATE),
            Self::FreedInTrouble => None,
            Self::RecoveredFromLeader => Some(2 * TTL + LATE_WITHOUT_LEADER),
            Self::WithoutLeader => Some(WRITES_ARE_BACK),
            Self::LeaderStill => Some(NOTICED),
            Self::LongestCall => Some(DEADLINE + TOLD),
        }
    }

    /// How long it may take on a machine that has other things to do: an episode fails only then, and what
    /// takes longer than promised is counted.
    pub(crate) fn latest(self) -> Duration {
        self.bound().map_or(Duration::MAX, |bound| bound + SLACK)
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Freed => "jobs of the dead are free",
            Self::FreedInTrouble => "the same, amid other trouble",
            Self::Recovered => "all is well after all faults",
            Self::RecoveredFromLeader => "the same, after those of a leader",
            Self::WithoutLeader => "no write after a leader's death",
            Self::LeaderStill => "no write while a leader stands still",
            Self::LongestCall => "longest call of an episode",
        }
    }
}

/// What was measured in an episode, or in many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(BTreeMap<Measure, Vec<Duration>>);

impl Times {
    pub(crate) fn note(&mut self, measure: Measure, time: Duration) {
        self.0.entry(measure).or_default().push(time);
    }

    /// Notes how long a call of the episode took.
    pub(crate) fn note_call(&mut self, time: Duration) {
        let longest = self.0.entry(Measure::LongestCall).or_default();
        let time = longest.pop().unwrap_or_default().max(time);
        longest.push(time);
    }

    /// What took longer than it may on any machine.
    pub(crate) fn too_long(&self) -> Option<String> {
        let mut all = self.0.iter();
        all.find_map(|(measure, times)| {
            let late = times.iter().find(|time| **time > measure.latest())?;
            Some(format!("{}: {late:?}", measure.what()))
        })
    }

    pub(crate) fn add(&mut self, more: Self) {
        for (measure, times) in more.0 {
            self.0.entry(measure).or_default().extend(times);
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for measure in Measure::ALL {
            let mut times = self.0.get(&measure).cloned().unwrap_or_default();
            times.sort();
            let (median, worst) = (times.get(times.len() / 2), times.last());
            let seconds = |time: Option<&Duration>| time.copied().unwrap_or_default().as_secs_f64();
            let (median, worst) = (seconds(median), seconds(worst));
            let (what, count) = (measure.what(), times.len());
            write!(
                f,
                "{what}: {count} times, median {median:.2} s, worst {worst:.2} s"
            )?;
            if let Some(bound) = measure.bound() {
                let late = times.iter().filter(|time| **time > bound).count();
                let bound = bound.as_secs_f64();
                write!(f, ", {late} over the bound of {bound:.1} s")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[test]
fn time_over_its_bound_is_counted_and_breaks_no_promise_but_beyond_the_slack() {
    let latest = WRITES_ARE_BACK + SLACK;
    let mut times = Times::default();
    times.note(Measure::WithoutLeader, WRITES_ARE_BACK);
    times.note(Measure::WithoutLeader, latest);
    let told = times.to_string();
    assert!(
        told.contains("2 times, median 5.00 s, worst 5.00 s, 1 over the bound of 3.0 s"),
        "{told}"
    );
    assert_eq!(times.too_long(), None);
    times.note(Measure::WithoutLeader, latest + Duration::from_millis(1));
    assert!(times.too_long().is_some());
}
