//! How long a session lives without word, and how long a call may take.

use std::time::Duration;

use crate::{
    error::{Error, ErrorKind, Result},
    protocol::backoff::Backoff,
};

/// The smallest time to live that etcd gives with its default election timeout.
const MIN_TTL: Duration = Duration::from_secs(2);

/// The longest time to live that makes sense: a day without word of an owner.
const MAX_TTL: Duration = Duration::from_hours(24);

/// The longest deadline that makes sense: a day.
const MAX_DEADLINE: Duration = Duration::from_hours(24);

/// The shortest time that results are kept.
const MIN_RETENTION: Duration = Duration::from_secs(1);

/// The longest: a leap year. The store counts it in a lease.
const MAX_RETENTION: Duration = Duration::from_hours(366 * 24);

/// The longest time between two writes of a progress that makes sense: a day.
const MAX_PROGRESS_EVERY: Duration = Duration::from_hours(24);

/// Settings of the sessions in which a board writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How long a lease lives without word of its owner. Defaults to 10 s.
    pub(crate) ttl: Duration,
    /// How long before that trust ends. Defaults to the larger of 0.5 s and a tenth.
    pub(crate) margin: Option<Duration>,
    /// How long a call may take. Defaults to 10 s.
    pub(crate) deadline: Duration,
    /// How long the result of a job is kept. Defaults to 24 h.
    pub(crate) retention: Duration,
    /// How often a job is tried that does not say itself. Defaults to 20.
    pub(crate) max_attempts: u32,
    /// How long a job waits between its tries that does not say itself.
    pub(crate) backoff: Backoff,
    /// How much time is between two writes of the progress of a claim. Defaults to 1 s.
    pub(crate) progress_every: Duration,
    /// Whether verbs that wait together are sent together. Defaults to true.
    pub(crate) group_commit: bool,
}

/// What the lease of a session is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseTerms {
    /// How long it lives without word of its owner.
    pub(crate) ttl: Duration,
    pub(crate) renewal: Renewal,
}

/// Who keeps a lease alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Its session, all the time.
    BySession,
    /// Nobody but who asks for it.
    ByHand,
}

impl Default for Settings {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self {
            ttl: ten,
            margin: None,
            deadline: ten,
            retention: Duration::from_hours(24),
            max_attempts: 20,
            backoff: Backoff::default(),
            progress_every: Duration::from_secs(1),
            group_commit: true,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<()> {
        const DOING: &str = "set up a board";
        let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, DOING, why));
        self.check_ttl(DOING, self.ttl)?;
        if self.deadline.is_zero() || self.deadline > MAX_DEADLINE {
            let deadline = self.deadline;
            return invalid(format!(
                "a deadline of {deadline:?} is not within 0 and {MAX_DEADLINE:?}"
            ));
        }
        if self.retention < MIN_RETENTION || self.retention > MAX_RETENTION {
            let retention = self.retention;
            return invalid(format!(
                "a retention of {retention:?} is not within {MIN_RETENTION:?} and {MAX_RETENTION:?}"
            ));
        }
        if self.progress_every > MAX_PROGRESS_EVERY {
            let every = self.progress_every;
            return invalid(format!(
                "progress every {every:?} is less often than every {MAX_PROGRESS_EVERY:?}"
            ));
        }
        if self.max_attempts == 0 {
            return invalid("jobs that are never to be tried".to_owned());
        }
        Ok(())
    }

    /// Checks the time to live of a session of this board.
    pub(crate) fn check_ttl(&self, doing: &str, ttl: Duration) -> Result<()> {
        let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, doing, why));
        if ttl < MIN_TTL || ttl > MAX_TTL {
            return invalid(format!(
                "a ttl of {ttl:?} is not within {MIN_TTL:?} and {MAX_TTL:?}"
            ));
        }
        let margin = self.margin_of(ttl);
        if margin >= ttl {
            return invalid(format!("a margin of {margin:?} leaves nothing of the ttl"));
        }
        Ok(())
    }

    /// The terms of the sessions that all share.
    pub(crate) const fn terms(&self) -> LeaseTerms {
        LeaseTerms {
            ttl: self.ttl,
            renewal: Renewal::BySession,
        }
    }

    /// How long before the end of a lease of `ttl` trust in it ends.
    pub(crate) fn margin_of(&self, ttl: Duration) -> Duration {
        self.margin
            .unwrap_or_else(|| (ttl / 10).max(Duration::from_millis(500)))
    }

    /// How often a lease of `ttl` is kept alive.
    pub(crate) fn keep_alive_every(ttl: Duration) -> Duration {
        ttl / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margin_is_the_larger_of_half_a_second_and_a_tenth() {
        let margin_of = |ttl| Settings::default().margin_of(Duration::from_secs(ttl));
        assert_eq!(margin_of(2), Duration::from_millis(500));
        assert_eq!(margin_of(60), Duration::from_secs(6));
    }

    #[test]
    fn settings_under_which_nothing_could_work_are_refused() {
        let default = Settings::default();
        assert!(default.check().is_ok());
        for wrong in [
            Settings {
                ttl: Duration::from_secs(1),
                ..default
            },
            Settings {
                ttl: Duration::MAX,
                ..default
            },
            Settings {
                margin: Some(Duration::from_secs(10)),
                ..default
            },
            Settings {
                deadline: Duration::ZERO,
                ..default
            },
            Settings {
                retention: Duration::from_millis(999),
                ..default
            },
            Settings {
                retention: Duration::MAX,
                ..default
            },
            Settings {
                progress_every: Duration::MAX,
                ..default
            },
        ] {
            assert_eq!(
                wrong.check().unwrap_err().kind(),
                ErrorKind::Invalid,
                "{wrong:?}"
            );
        }
    }
}
