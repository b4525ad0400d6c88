mod suspects;

use std::collections::BTreeSet;

use super::*;
use crate::{
    JobBoard, JobPriority, NewJob,
    store::{Key, Memory, Store, StoreExt},
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A board, and as many conductors as there are pickers.
struct Crowd<const N: usize> {
    store: Memory,
    board: JobBoard,
    ids: Vec<Uuid>,
    pickers: [Picker; N],
}

async fn crowd<const N: usize>() -> Crowd<N> {
    let store = Memory::new();
    let board = JobBoard::builder("images").store(store.clone());
    let ids: Vec<_> = (1..).map(Uuid::from_u128).take(N).collect();
    Crowd {
        store,
        board: board.connect().await.unwrap(),
        pickers: std::array::from_fn(|me| Picker::new(ids[me])),
        ids,
    }
}

impl<const N: usize> Crowd<N> {
    /// Posts that many jobs.
    async fn post(&self, number: usize) -> Vec<Job> {
        let new = (0..number).map(|number| NewJob::new(number.to_string()));
        self.post_all(new).await
    }

    /// Posts these jobs, one after the other.
    async fn post_all(&self, new: impl Iterator<Item = NewJob> + Send) -> Vec<Job> {
        let posted = self.board.post_many(new).await;
        let posted = posted.into_iter().map(Result::unwrap).collect();
        self.board.fresh_jobs().await.unwrap();
        posted
    }

    /// Posts jobs until there is one of this rank for the first of the conductors.
    async fn post_ranked(&self, rank: usize) -> Job {
        loop {
            let job = self.post(1).await.remove(0);
            if self.rank(&job) == rank {
                return job;
            }
            self.consume(&job).await;
        }
    }

    /// Posts a job whose owners died twice, and whose rest is over.
    async fn post_suspect(&self) -> Job {
        let suspect = self.post(1).await.remove(0);
        for _ in 0..2 {
            let claim = self.board.claim(&suspect, "dead").await.unwrap();
            let lock = format!("/taskflow/jobs/images/job{}.lock", suspect.id());
            let lock = self.store.get(Key::new(lock).unwrap()).await.unwrap();
            self.store
                .revoke(lock.unwrap().lease.unwrap())
                .await
                .unwrap();
            claim.lost().await;
        }
        self.board.fresh_jobs().await.unwrap();
        advance(SECOND).await;
        assert!(suspect.is_suspect());
        suspect
    }

    async fn consume(&self, job: &Job) {
        let claim = self.board.claim(job, "somebody").await.unwrap();
        claim.consume().await.unwrap();
        self.board.fresh_jobs().await.unwrap();
    }

    /// The first conductor has done a job.
    async fn ran(&mut self, job: &Job) {
        self.consume(job).await;
        let view = self.board.revision();
        self.me().tried(job.id(), view);
    }

    /// How many conductors come before the first one for a job.
    fn rank(&self, job: &Job) -> usize {
        rank(job.uuid(), self.ids[0], &self.ids)
    }

    fn pick_as(&mut self, me: usize) -> Pick {
        let jobs = self.board.jobs().only_unclaimed();
        let view = self.board.revision();
        self.pickers[me].pick(jobs, view, &self.ids, Instant::now())
    }

    /// What the first conductor picks.
    fn pick(&mut self) -> Pick {
        self.pick_as(0)
    }

    /// The jobs that the first conductor picks now, one after the other, while all that it picked runs.
    fn pick_all(&mut self) -> Vec<Job> {
        std::iter::from_fn(|| self.pick().job()).collect()
    }

    fn me(&mut self) -> &mut Picker {
        &mut self.pickers[0]
    }
}

impl Pick {
    fn job(self) -> Option<Job> {
        match self {
            Self::Job(job) => Some(job),
            Self::MakeRoom | Self::Nothing(_) => None,
        }
    }

    fn nothing(self) -> Option<Instant> {
        match self {
            Self::Nothing(later) => later,
            other => panic!("{other:?}"),
        }
    }
}

/// Lets paused time pass, with all that happens meanwhile: leases are kept alive.
async fn advance(time: Duration) {
    tokio::time::sleep(time).await;
}

fn almost(time: Duration) -> Duration {
    time.saturating_sub(MILLI)
}

fn uuids<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Vec<Uuid> {
    jobs.into_iter().map(Job::uuid).collect()
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_takes_the_jobs_in_their_order() {
    let mut crowd = crowd::<1>().await;
    let jobs = crowd.post(20).await;
    assert_eq!(uuids(&crowd.pick_all()), uuids(&jobs));
    assert_eq!(crowd.pick().nothing(), None);
}

#[tokio::test(start_paused = true)]
async fn front_of_what_runs_is_passed_over_and_no_job_behind_it() {
    let mut crowd = crowd::<1>().await;
    let jobs = crowd.post(5).await;
    for job in [&jobs[0], &jobs[1], &jobs[3]] {
        crowd.me().busy.insert(job.id());
    }
    let mut left = crowd.board.jobs();
    for _ in 0..2 {
        crowd.me().pass_over_busy(&mut left);
        assert_eq!(left.clone().count(), 3);
        assert_eq!(left.clone().next().unwrap().uuid(), jobs[2].uuid());
    }
    let mut all_run = crowd.board.jobs().skip(3).take(1);
    crowd.me().pass_over_busy(&mut all_run);
    assert_eq!(all_run.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_lower_priority_wait_until_no_higher_one_is_left() {
    let mut crowd = crowd::<3>().await;
    let new = (0..30).map(|number| {
        let urgent = number % 3 == 2;
        let priority = [JobPriority::Low, JobPriority::High][usize::from(urgent)];
        NewJob::new(number.to_string()).priority(priority)
    });
    crowd.post_all(new).await;
    let mut picked = Vec::new();
    while picked.len() < 30 {
        match crowd.pick() {
            Pick::Job(job) => picked.push(job.priority()),
            other => tokio::time::sleep_until(other.nothing().unwrap()).await,
        }
    }
    assert_eq!(picked[..10], [JobPriority::High; 10]);
    assert_eq!(picked[10..], [JobPriority::Low; 20]);
}

#[tokio::test(start_paused = true)]
async fn each_takes_at_once_what_it_comes_first_for_and_nothing_else() {
    let mut crowd = crowd::<4>().await;
    // As many as each looks at.
    let jobs = crowd.post(WINDOW * 4).await;
    let mut picked = Vec::new();
    for me in 0..4 {
        let own = std::iter::from_fn(|| crowd.pick_as(me).job());
        picked.extend(own.map(|job| job.uuid()));
    }
    // Nobody ran into anybody, and nothing is left.
    assert_eq!(picked.len(), jobs.len());
    let picked: BTreeSet<_> = picked.into_iter().collect();
    assert_eq!(picked, uuids(&jobs).into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn job_of_others_is_taken_a_step_later_for_each_who_comes_before() {
    let mut crowd = crowd::<4>().await;
    let (step, _) = STEPS;
    for place in 1..4 {
        let job = crowd.post_ranked(place).await;
        let from = Instant::now() + step * u32::try_from(place).unwrap();
        assert_eq!(crowd.pick().nothing(), Some(from));
        advance(almost(step * u32::try_from(place).unwrap())).await;
        assert_eq!(crowd.pick().nothing(), Some(from));
        advance(MILLI).await;
        assert_eq!(crowd.pick().job().unwrap().uuid(), job.uuid());
        crowd.consume(&job).await;
    }
}

#[tokio::test(start_paused = true)]
async fn steps_are_as_long_as_claims_take_within_bounds() {
    let mut crowd = crowd::<2>().await;
    let (least, most) = STEPS;
    for (took, step) in [
        (Duration::ZERO, least),
        (20 * MILLI, 30 * MILLI),
        (SECOND, most),
        (Duration::ZERO, least),
    ] {
        for _ in 0..200 {
            crowd.me().claimed(took);
        }
        let job = crowd.post_ranked(1).await;
        let wait = crowd.pick().nothing().unwrap() - Instant::now();
        assert!(wait.abs_diff(step) < MILLI, "{wait:?}, not {step:?}");
        crowd.consume(&job).await;
    }
}

#[tokio::test(start_paused = true)]
async fn job_that_somebody_took_or_that_was_refused_rests() {
    type Told = fn(&mut Picker, JobId, Instant);
    let mut crowd = crowd::<1>().await;
    let job = crowd.post(1).await.remove(0);
    let rests: [(Told, Duration); 2] = [(Picker::taken, TAKEN), (Picker::refused, REFUSED)];
    for (told, rest) in rests {
        crowd.pick().job().unwrap();
        let until = Instant::now() + rest;
        told(crowd.me(), job.id(), Instant::now());
        assert_eq!(crowd.pick().nothing(), Some(until));
        advance(rest).await;
        assert_eq!(crowd.pick().job().unwrap().uuid(), job.uuid());
        crowd.me().untried(job.id());
    }
}

#[tokio::test(start_paused = true)]
async fn job_that_can_not_be_claimed_as_it_is_rests_longer_each_time() {
    let mut crowd = crowd::<1>().await;
    let job = crowd.post(1).await.remove(0);
    let rests = |crowd: &mut Crowd<1>| {
        crowd.pick().job().unwrap();
        crowd.me().unfit(job.id(), Instant::now());
        crowd.pick().nothing().unwrap() - Instant::now()
    };
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let rest = rests(&mut crowd);
        assert_eq!(rest, SECOND * seconds);
        advance(rest).await;
    }
    // Somebody mended it.
    crowd.pick().job().unwrap();
    let view = crowd.board.revision();
    crowd.me().tried(job.id(), view);
    assert_eq!(rests(&mut crowd), SECOND);
    // It was left alone for long.
    advance(SECOND + MINUTE).await;
    assert_eq!(rests(&mut crowd), SECOND);
    assert_eq!(crowd.me().unfit.len(), 1);
    advance(SECOND + MINUTE).await;
    crowd.consume(&job).await;
    crowd.pick().nothing();
    assert!(crowd.me().unfit.is_empty());
}

#[tokio::test(start_paused = true)]
async fn job_is_picked_while_one_of_the_same_uuid_runs_or_rests() {
    let mut crowd = crowd::<1>().await;
    let job = crowd.post(1).await.remove(0);
    let key = |number| Key::new(format!("/taskflow/jobs/images/job{number}.data")).unwrap();
    let posting = crowd.store.get(key(job.id().get())).await.unwrap().unwrap();
    crowd.store.put(key(900), posting.value).await.unwrap();
    crowd.board.fresh_jobs().await.unwrap();
    let picked = crowd.pick_all();
    assert_eq!(uuids(&picked), [job.uuid(); 2]);
    let tellings: [fn(&mut Picker, JobId); 3] = [
        |picker, job| picker.taken(job, Instant::now()),
        |picker, job| picker.refused(job, Instant::now()),
        |picker, job| picker.tried(job, Revision::new(1_000)),
    ];
    for told in tellings {
        told(crowd.me(), job.id());
        crowd.me().untried(picked[1].id());
        assert_eq!(crowd.pick().job().unwrap().id(), picked[1].id());
    }
}

#[tokio::test(start_paused = true)]
async fn job_that_was_tried_is_left_alone_until_its_claim_is_to_be_seen() {
    let mut crowd = crowd::<1>().await;
    let job = crowd.post(1).await.remove(0);
    crowd.pick().job().unwrap();
    // It was given back at once: the view shows it as free, as it was before.
    let claimed = crowd.board.revision().next();
    crowd.me().tried(job.id(), claimed);
    assert_eq!(crowd.pick().nothing(), None);
    crowd.post(1).await;
    assert_eq!(crowd.pick().job().unwrap().uuid(), job.uuid());
}

#[tokio::test(start_paused = true)]
async fn revisions_that_go_back_keep_no_job_from_being_picked() {
    let mut crowd = crowd::<1>().await;
    let job = crowd.post(1).await.remove(0);
    crowd.pick().job().unwrap();
    let claimed = crowd.board.revision().next();
    crowd.me().tried(job.id(), claimed);
    assert_eq!(crowd.pick().nothing(), None);
    let jobs = crowd.board.jobs();
    let restored = Revision::ZERO;
    let ids = crowd.ids.clone();
    let picked = crowd.me().pick(jobs, restored, &ids, Instant::now());
    assert_eq!(picked.job().unwrap().uuid(), job.uuid());
}

#[tokio::test(start_paused = true)]
async fn job_that_came_back_is_taken_in_its_place() {
    let mut crowd = crowd::<1>().await;
    let jobs = crowd.post(4).await;
    let first = crowd.pick().job().unwrap();
    crowd.me().untried(first.id());
    advance(AGEING).await;
    assert_eq!(uuids(&crowd.pick_all()), uuids(&jobs));
}

#[tokio::test(start_paused = true)]
async fn job_of_others_is_taken_before_own_ones_once_it_was_passed_over_for_long() {
    let mut crowd = crowd::<3>().await;
    let left = crowd.post_ranked(2).await;
    assert!(crowd.pick().job().is_none());
    // Who comes before is busy, and there is always one to take at once.
    for wait in [AGEING, almost(AGEING)] {
        advance(wait).await;
        let own = crowd.post_ranked(0).await;
        assert_eq!(crowd.pick().job().unwrap().uuid(), own.uuid());
    }
    advance(MILLI).await;
    crowd.post_ranked(0).await;
    assert_eq!(crowd.pick().job().unwrap().uuid(), left.uuid());
}

#[tokio::test(start_paused = true)]
async fn window_has_some_jobs_for_each_conductor_within_bounds() {
    let mut alone = crowd::<1>().await;
    alone.post(300).await;
    alone.pick();
    assert_eq!(alone.me().seen.len(), WINDOW);

    let mut few = crowd::<3>().await;
    few.post(300).await;
    few.pick();
    assert_eq!(few.me().seen.len(), 3 * WINDOW);

    let mut many = crowd::<80>().await;
    many.post(300).await;
    many.pick();
    assert_eq!(many.me().seen.len(), LARGEST_WINDOW);

    // Who knows of nobody yet, itself included, picks too.
    let (view, jobs) = (alone.board.revision(), alone.board.jobs());
    let pick = Picker::new(Uuid::from_u128(9)).pick(jobs, view, &[], Instant::now());
    assert!(pick.job().is_some());
}
