//! Who of many conductors is to take a job: rendezvous hashing. Pure.

use uuid::Uuid;

/// How many of the `others` come before `me` for a job. Everybody who knows the same conductors comes to
/// the same ranks, and each job has another order.
pub(super) fn rank(job: Uuid, me: Uuid, others: &[Uuid]) -> usize {
    let mine = (score(job, me), me);
    let before = |other: &&Uuid| (score(job, **other), **other) > mine;
    others
        .iter()
        .filter(|other| **other != me)
        .filter(before)
        .count()
}

/// A number that is as good as drawn by chance for each pair.
fn score(job: Uuid, conductor: Uuid) -> u64 {
    let ((a, b), (c, d)) = (job.as_u64_pair(), conductor.as_u64_pair());
    mix(mix(mix(a) ^ b ^ c) ^ d)
}

/// The finalizer of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014): each bit of its input changes about half of the bits of its output.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(from: u128, number: u128) -> Vec<Uuid> {
        (from..from + number).map(Uuid::from_u128).collect()
    }

    #[test]
    fn each_job_ranks_all_conductors_from_first_to_last() {
        let conductors = ids(100, 8);
        for job in ids(1, 50) {
            let mut ranks: Vec<_> = conductors
                .iter()
                .map(|me| rank(job, *me, &conductors))
                .collect();
            ranks.sort_unstable();
            assert_eq!(ranks, (0..8).collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_conductor_comes_first_for_its_share_of_the_jobs() {
        let conductors = ids(100, 8);
        for me in &conductors {
            let first = ids(1, 800)
                .iter()
                .filter(|job| rank(**job, *me, &conductors) == 0)
                .count();
            assert!((60..=140).contains(&first), "{first}");
        }
    }

    #[test]
    fn one_that_goes_changes_the_order_of_no_others() {
        let all = ids(100, 5);
        for job in ids(1, 20) {
            let (without, me) = (&all[1..], all[4]);
            let gone_before = usize::from(rank(job, all[0], &all) < rank(job, me, &all));
            assert_eq!(rank(job, me, without) + gone_before, rank(job, me, &all));
        }
    }

    #[test]
    fn who_is_alone_or_not_listed_yet_ranks_as_if_it_were() {
        let (job, me) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(rank(job, me, &[]), 0);
        let others = ids(100, 3);
        let mut with_me = others.clone();
        with_me.push(me);
        assert_eq!(rank(job, me, &others), rank(job, me, &with_me));
    }
}
