//! Which leases live, and which of them ends when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::store::{Error, Lease, LeaseId, Result};

/// The shortest life of a lease, etcd's with its default election timeout.
pub(super) const MIN_TTL: Duration = Duration::from_secs(2);

/// The longest life of a lease that etcd grants.
const MAX_TTL: Duration = Duration::from_hours(2_500_000);

/// The living leases.
#[derive(Debug)]
pub(super) struct Leases {
    last: i64,
    living: BTreeMap<LeaseId, Life>,
    ends: BTreeSet<(Instant, LeaseId)>,
}

#[derive(Debug)]
struct Life {
    ttl: Duration,
    end: Instant,
}

impl Leases {
    /// No lease yet. The numbers of leases carry that of the cluster in their upper half, so that
    /// a lease of one store is not taken for one of another.
    pub(super) const fn new(cluster_id: u64) -> Self {
        #[expect(
            clippy::cast_possible_wrap,
            reason = "the upper bit is cleared, and the upper half is all that is meant"
        )]
        let cluster = (cluster_id << 32 & i64::MAX as u64) as i64;
        Self {
            last: cluster,
            living: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Grants a lease of `asked`, rounded up to whole seconds and to the shortest life.
    pub(super) fn grant(&mut self, asked: Duration, now: Instant) -> Result<Lease> {
        if asked > MAX_TTL {
            return Err(Error::invalid(format!(
                "no lease is granted for {} seconds",
                asked.as_secs()
            )));
        }
        let seconds = asked.as_secs() + u64::from(asked.subsec_nanos() > 0);
        let ttl = Duration::from_secs(seconds).max(MIN_TTL);
        self.last = self.last.wrapping_add(1);
        let end = now.checked_add(ttl);
        let (Some(id), Some(end)) = (LeaseId::new(self.last), end) else {
            return Err(Error::invalid("no lease lives beyond the end of time"));
        };
        self.living.insert(id, Life { ttl, end });
        self.ends.insert((end, id));
        Ok(Lease {
            id,
            ttl,
            sent_at: now,
        })
    }

    /// How many live.
    pub(super) fn count(&self) -> usize {
        self.living.len()
    }

    /// Starts the life of `lease` anew and tells how long it is; `None` if it has ended.
    pub(super) fn renew(&mut self, lease: LeaseId, now: Instant) -> Option<Duration> {
        let life = self.living.get_mut(&lease)?;
        self.ends.remove(&(life.end, lease));
        life.end = now.checked_add(life.ttl)?;
        self.ends.insert((life.end, lease));
        Some(life.ttl)
    }

    /// Ends `lease`; false if it had ended before.
    pub(super) fn end(&mut self, lease: LeaseId) -> bool {
        self.living
            .remove(&lease)
            .is_some_and(|life| self.ends.remove(&(life.end, lease)))
    }

    /// Ends the first of the leases whose time is over.
    pub(super) fn end_due(&mut self, now: Instant) -> Option<LeaseId> {
        let (end, lease) = *self.ends.first()?;
        (end <= now && self.end(lease)).then_some(lease)
    }

    /// Whether `lease` lives.
    pub(super) fn lives(&self, lease: LeaseId) -> bool {
        self.living.contains_key(&lease)
    }

    /// When the next lease ends, if nobody keeps it alive.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn setup() -> (Leases, Instant) {
        (Leases::new(7), Instant::now())
    }

    #[test]
    fn ttl_is_rounded_up_to_whole_seconds_and_to_the_shortest() {
        let (mut leases, now) = setup();
        let mut ttl = |asked| leases.grant(asked, now).unwrap().ttl;
        assert_eq!(ttl(Duration::from_millis(2001)), 3 * SECOND);
        assert_eq!(ttl(Duration::ZERO), MIN_TTL);
    }

    #[test]
    fn lease_that_outlives_time_is_refused() {
        let (mut leases, now) = setup();
        let error = leases.grant(Duration::MAX, now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn leases_end_in_the_order_of_their_times() {
        let (mut leases, now) = setup();
        let long = leases.grant(5 * SECOND, now).unwrap().id;
        let short = leases.grant(3 * SECOND, now).unwrap().id;
        assert_eq!(leases.next_end(), Some(now + 3 * SECOND));
        assert_eq!(leases.end_due(now + 2 * SECOND), None);
        assert_eq!(leases.end_due(now + 9 * SECOND), Some(short));
        assert_eq!(leases.end_due(now + 9 * SECOND), Some(long));
        assert_eq!(leases.next_end(), None);
    }

    #[test]
    fn renewed_lease_lives_for_its_whole_ttl_again() {
        let (mut leases, now) = setup();
        let lease = leases.grant(3 * SECOND, now).unwrap().id;
        assert_eq!(leases.renew(lease, now + 2 * SECOND), Some(3 * SECOND));
        assert_eq!(leases.end_due(now + 4 * SECOND), None);
        assert_eq!(leases.end_due(now + 5 * SECOND), Some(lease));
        assert_eq!(leases.renew(lease, now + 5 * SECOND), None);
    }

    #[test]
    fn lease_ends_once() {
        let (mut leases, now) = setup();
        let lease = leases.grant(3 * SECOND, now).unwrap().id;
        assert!(leases.lives(lease) && leases.end(lease));
        assert!(!leases.lives(lease) && !leases.end(lease));
        assert_eq!(leases.next_end(), None);
    }

    #[test]
    fn clusters_share_no_lease() {
        let (mut leases, now) = setup();
        let mut other = Leases::new(8);
        assert_ne!(
            leases.grant(SECOND, now).unwrap().id,
            other.grant(SECOND, now).unwrap().id
        );
    }
}
