//! What is true of a board when processes stop and die, answers are lost, and etcd is killed: on
//! every version of etcd that is tested.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/cluster.rs"]
mod cluster;
mod support;

use std::collections::BTreeSet;

use futures::{StreamExt, future};
use jobboard::{
    Claim, ErrorKind, EventKind, Job, JobBoard, JobId, Jobs, LogBook, NewJob,
    store::{
        Event, Key, KeyRange, RangeRequest, Revision, Store, WatchRequest, WatchStream, etcd::Etcd,
    },
    testing::LocalEtcd,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::watch,
    time::Instant,
};
use uuid::Uuid;

use self::{
    cluster::is_fragile,
    support::{
        LATE, TTL, board, brief_board, on_each,
        process::{ENDPOINT, Process, SAYS},
        way::Way,
    },
};

async fn post(board: &JobBoard, count: usize) -> Vec<Job> {
    let posts = (0..count).map(|_| board.post(NewJob::new("job")));
    future::try_join_all(posts).await.unwrap()
}

async fn claim_all(board: &JobBoard, jobs: impl IntoIterator<Item = Job>, who: &str) -> Vec<Claim> {
    let jobs: Vec<_> = jobs.into_iter().collect();
    let claims = jobs.iter().map(|job| board.claim(job, who));
    future::try_join_all(claims).await.unwrap()
}

/// Waits until nobody holds any of `count` jobs, and claims them all.
async fn claim_when_free(board: &JobBoard, count: usize) -> Vec<Claim> {
    let mut claims = Vec::new();
    while claims.len() < count {
        let free = board.wait_unclaimed(None).await.unwrap().unwrap();
        let claimed = claim_all(board, free, "another").await;
        assert!(!claimed.is_empty(), "nothing was free");
        claims.extend(claimed);
        // So that the view shows these claims.
        board.fresh_jobs().await.unwrap();
    }
    claims
}

/// Claims all jobs in a process of its own. Gives the process once it holds them.
async fn owner_of(count: usize, etcd: &LocalEtcd) -> Process {
    let mut owner = Process::start("owner_that_is_stopped_and_killed", &etcd.endpoint());
    assert_eq!(owner.says().await, format!("holds {count}"));
    owner
}

#[tokio::test]
#[ignore = "the process that other tests stop and kill"]
async fn owner_that_is_stopped_and_killed() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else {
        return;
    };
    let board = brief_board(&endpoint).await;
    let jobs = board.fresh_jobs().await.unwrap();
    let claims = claim_all(&board, jobs, "owner").await;
    println!("{SAYS}holds {}", claims.len());

    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    assert_eq!(orders.next_line().await.unwrap().unwrap(), "settle");
    let (consumed, abandoned, trashed) = tokio::join!(
        claims[0].consume(),
        claims[1].abandon(),
        claims[2].trash("late")
    );
    println!("{SAYS}consume {:?}", consumed.map_err(|error| error.kind()));
    println!(
        "{SAYS}abandon {:?}",
        abandoned.map_err(|error| error.kind())
    );
    println!("{SAYS}trash {:?}", trashed.map_err(|error| error.kind()));
    future::join_all(claims.iter().map(Claim::lost)).await;
    println!("{SAYS}learned");
}

#[tokio::test]
async fn jobs_of_a_killed_process_come_to_another_by_push() {
    on_each(|etcd| async move {
        let board = board(&etcd.endpoint()).await;
        post(&board, 3).await;
        let owner = owner_of(3, &etcd).await;
        board.fresh_jobs().await.unwrap();
        assert_eq!(board.jobs().only_unclaimed().count(), 0);

        let killed = Instant::now();
        owner.kill().await;
        let claims = claim_when_free(&board, 3).await;
        assert!(killed.elapsed() <= TTL + LATE, "{:?}", killed.elapsed());
        for claim in claims {
            claim.consume().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn process_that_stood_still_past_its_ttl_changes_nothing_and_learns_it() {
    on_each(|etcd| async move {
        let board = board(&etcd.endpoint()).await;
        post(&board, 3).await;
        let mut owner = owner_of(3, &etcd).await;
        board.fresh_jobs().await.unwrap();

        owner.pause();
        let claims = claim_when_free(&board, 3).await;
        // It finds the order before it can find out what happened.
        owner.order("settle").await;
        owner.resume();
        assert_eq!(owner.says().await, "consume Err(Lost)");
        assert_eq!(owner.says().await, "abandon Err(Lost)");
        assert_eq!(owner.says().await, "trash Err(Lost)");
        assert_eq!(owner.says().await, "learned");

        board.fresh_jobs().await.unwrap();
        for claim in claims {
            assert!(claim.is_held());
            assert_eq!(board.find_owner(claim.job()).as_deref(), Some("another"));
            claim.consume().await.unwrap();
        }
    })
    .await;
}

/// A job with a book of ten steps, of which none is done.
async fn post_ten_steps(board: &JobBoard) -> Job {
    let mut book = board.books().new_book("ten steps");
    for step in 0..10 {
        book.add_flow("flow").add_atom(&format!("step {step}"));
    }
    board.books().create(&mut book).await.unwrap();
    board.post(NewJob::new("job").book(&book)).await.unwrap()
}

/// The steps of a book that are not done.
fn left_in(book: &LogBook) -> Vec<String> {
    let atoms = book.flow("flow").unwrap().atoms().iter();
    let left = atoms.filter(|atom| atom.state() != Some("SUCCESS"));
    left.map(|atom| atom.name().to_owned()).collect()
}

/// Does a step, and notes who did it.
async fn do_step(claim: &Claim, book: &mut LogBook, step: &str) -> jobboard::Result<()> {
    let atom = book.add_flow("flow").add_atom(step);
    assert_ne!(atom.state(), Some("SUCCESS"), "{step} is done twice");
    atom.set_results(claim.owner()).set_state("SUCCESS");
    claim.save_book(book).await
}

#[tokio::test]
#[ignore = "the process that other tests stop and kill"]
async fn owner_that_notes_ten_steps() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else {
        return;
    };
    let board = brief_board(&endpoint).await;
    let claim = board.claim(&job_of(&board).await, "owner").await.unwrap();
    let mut book = claim.job().book().await.unwrap().unwrap();
    let mut steps = left_in(&book);
    let last = steps.pop().unwrap();
    for step in steps {
        do_step(&claim, &mut book, &step).await.unwrap();
        println!("{SAYS}saved {step}");
    }
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    assert_eq!(orders.next_line().await.unwrap().unwrap(), "go on");
    let saved = do_step(&claim, &mut book, &last).await;
    println!("{SAYS}{:?}", saved.map_err(|error| error.kind()));
}

#[tokio::test]
async fn owner_after_a_killed_one_resumes_at_the_first_step_that_was_not_saved() {
    on_each(|etcd| async move {
        let board = board(&etcd.endpoint()).await;
        let job = post_ten_steps(&board).await;
        let mut owner = Process::start("owner_that_notes_ten_steps", &etcd.endpoint());
        while owner.says().await != "saved step 4" {}
        // It is somewhere on its way to the last step, and does not do that one.
        owner.kill().await;

        let claim = claim_when_free(&board, 1).await.remove(0);
        let mut book = claim.job().book().await.unwrap().unwrap();
        let left = left_in(&book);
        let first = 10 - left.len();
        assert!((5..10).contains(&first), "{first}");
        let expected: Vec<_> = (first..10).map(|step| format!("step {step}")).collect();
        assert_eq!(left, expected);
        for step in left {
            do_step(&claim, &mut book, &step).await.unwrap();
        }
        let book = job.book().await.unwrap().unwrap();
        assert!(left_in(&book).is_empty());
        for (step, atom) in book.flow("flow").unwrap().atoms().iter().enumerate() {
            let by = if step < first { "owner" } else { "another" };
            assert_eq!(atom.results(), by, "{}", atom.name());
        }
        claim.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn process_that_stood_still_past_its_ttl_overwrites_no_step() {
    on_each(|etcd| async move {
        let board = board(&etcd.endpoint()).await;
        let job = post_ten_steps(&board).await;
        let mut owner = Process::start("owner_that_notes_ten_steps", &etcd.endpoint());
        while owner.says().await != "saved step 8" {}
        owner.pause();
        let claim = claim_when_free(&board, 1).await.remove(0);
        let mut book = claim.job().book().await.unwrap().unwrap();
        assert_eq!(left_in(&book), ["step 9"]);
        do_step(&claim, &mut book, "step 9").await.unwrap();

        owner.order("go on").await;
        owner.resume();
        assert_eq!(owner.says().await, "Err(Lost)");
        let book = job.book().await.unwrap().unwrap();
        let last = book.flow("flow").unwrap().atom("step 9").unwrap();
        assert_eq!(last.results(), "another");
        claim.consume().await.unwrap();
    })
    .await;
}

/// A board whose answers can be lost, one that sees what is true, and what happens in etcd.
struct Lossy {
    way: Way,
    board: JobBoard,
    witness: JobBoard,
    changes: WatchStream,
}

impl Lossy {
    /// With a session, and with a number for the next job: what is written next is the verb alone.
    async fn to(etcd: &LocalEtcd) -> Self {
        let way = Way::to(&etcd.endpoint()).await;
        let board = board(way.endpoint()).await;
        // Numbers are taken one, then two at a time.
        post(&board, 1).await;
        post(&board, 1).await;
        let direct = Etcd::connect([etcd.endpoint()]).await.unwrap();
        Self {
            way,
            board,
            witness: support::board(&etcd.endpoint()).await,
            changes: changes(&direct).await,
        }
    }

    /// Makes a call whose answer is lost once etcd shows its effect.
    async fn without_answer<T: Send>(
        &mut self,
        call: impl Future<Output = T> + Send,
        is_effect: fn(&Event) -> bool,
    ) -> T {
        let changes = &mut self.changes;
        let effect = async {
            while !changes
                .next()
                .await
                .unwrap()
                .unwrap()
                .events
                .iter()
                .any(is_effect)
            {}
        };
        self.way.without_answer(call, effect).await
    }
}

/// One of a board's jobs.
async fn job_of(board: &JobBoard) -> Job {
    board.fresh_jobs().await.unwrap().next().unwrap()
}

/// The keys of the jobs.
fn keys() -> KeyRange {
    KeyRange::prefix(Key::new("/taskflow/jobs/faults/job").unwrap())
}

/// The revision of etcd now.
async fn revision(etcd: &Etcd) -> Revision {
    let answer = etcd.range(RangeRequest::new(keys())).await.unwrap();
    answer.header.revision
}

/// What happens to the keys of the jobs from now on.
async fn changes(etcd: &Etcd) -> WatchStream {
    let from = revision(etcd).await.next();
    etcd.watch(WatchRequest::new(keys(), from)).await.unwrap()
}

fn is_put(event: &Event, part: &str) -> bool {
    matches!(event, Event::Put(_)) && event.key().as_bytes().ends_with(part.as_bytes())
}

fn is_deleted(event: &Event, part: &str) -> bool {
    matches!(event, Event::Delete { .. }) && event.key().as_bytes().ends_with(part.as_bytes())
}

#[tokio::test]
async fn post_whose_answer_is_lost_posts_once_and_says_so() {
    on_each(|etcd| async move {
        let mut lossy = Lossy::to(&etcd).await;
        let board = lossy.board.clone();
        let call = board.post(NewJob::new("mine"));
        let job = lossy
            .without_answer(call, |event| is_put(event, ".data"))
            .await
            .unwrap();
        let jobs = lossy.witness.fresh_jobs().await.unwrap();
        let mine: Vec<_> = jobs.filter(|job| job.name() == "mine").collect();
        assert_eq!(mine.len(), 1);
        assert_eq!((mine[0].id(), mine[0].uuid()), (job.id(), job.uuid()));
    })
    .await;
}

#[tokio::test]
async fn claim_whose_answer_is_lost_holds_and_says_so() {
    on_each(|etcd| async move {
        let mut lossy = Lossy::to(&etcd).await;
        let job = job_of(&lossy.board).await;
        let board = lossy.board.clone();
        let call = board.claim(&job, "owner");
        let claim = lossy
            .without_answer(call, |event| is_put(event, ".lock"))
            .await
            .unwrap();
        let theirs = lossy.witness.fresh_jobs().await.unwrap().next().unwrap();
        let error = lossy.witness.claim(&theirs, "another").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Claimed);
        assert_eq!(error.owner(), Some("owner"));
        assert!(claim.is_held());
        claim.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn consume_whose_answer_is_lost_consumes_and_says_so() {
    on_each(|etcd| async move {
        let mut lossy = Lossy::to(&etcd).await;
        let job = job_of(&lossy.board).await;
        let claim = lossy.board.claim(&job, "owner").await.unwrap();
        lossy
            .without_answer(claim.consume(), |event| is_deleted(event, ".data"))
            .await
            .unwrap();
        let mut left = lossy.witness.fresh_jobs().await.unwrap();
        assert!(left.all(|left| left.id() != job.id()));
        let again = claim.consume().await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Lost);
    })
    .await;
}

#[tokio::test]
async fn abandon_whose_answer_is_lost_gives_back_and_says_so() {
    on_each(|etcd| async move {
        let mut lossy = Lossy::to(&etcd).await;
        let job = job_of(&lossy.board).await;
        let claim = lossy.board.claim(&job, "owner").await.unwrap();
        lossy
            .without_answer(claim.abandon(), |event| is_deleted(event, ".lock"))
            .await
            .unwrap();
        let theirs = lossy.witness.fresh_jobs().await.unwrap().next().unwrap();
        assert_eq!(theirs.id(), job.id());
        let taken = lossy.witness.claim(&theirs, "another").await.unwrap();
        let again = claim.consume().await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Lost);
        taken.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn save_whose_answer_is_lost_saves_once_and_says_so() {
    on_each(|etcd| async move {
        let mut lossy = Lossy::to(&etcd).await;
        let job = post_ten_steps(&lossy.witness).await;
        lossy.board.fresh_jobs().await.unwrap();
        let job = lossy.board.get(job.id()).unwrap();
        let claim = lossy.board.claim(&job, "owner").await.unwrap();
        let mut book = job.book().await.unwrap().unwrap();
        lossy.changes = {
            let direct = Etcd::connect([etcd.endpoint()]).await.unwrap();
            let from = revision(&direct).await.next();
            let books = Key::new("/taskflow/.books/faults/").unwrap();
            let request = WatchRequest::new(KeyRange::prefix(books), from);
            direct.watch(request).await.unwrap()
        };
        let saving = do_step(&claim, &mut book, "step 0");
        lossy
            .without_answer(saving, |event| matches!(event, Event::Put(_)))
            .await
            .unwrap();
        assert!(book.is_saved() && claim.is_held());
        let books = lossy.witness.books();
        let seen = books.load(book.uuid()).await.unwrap();
        assert_eq!(left_in(&seen).len(), 9);
        do_step(&claim, &mut book, "step 1").await.unwrap();
        claim.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn trash_whose_answer_is_lost_trashes_once_and_says_so() {
    on_each(|etcd| async move {
        let mut lossy = Lossy::to(&etcd).await;
        let job = job_of(&lossy.board).await;
        let claim = lossy.board.claim(&job, "owner").await.unwrap();
        lossy
            .without_answer(claim.trash("broken"), |event| is_deleted(event, ".data"))
            .await
            .unwrap();
        let mut left = lossy.witness.fresh_jobs().await.unwrap();
        assert!(left.all(|left| left.id() != job.id()));
        let direct = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let trash = KeyRange::prefix(Key::new("/taskflow/.trash/faults/").unwrap());
        assert_eq!(
            direct.range(RangeRequest::new(trash)).await.unwrap().count,
            1
        );
    })
    .await;
}

/// How many jobs go over the board while etcd is killed.
const LOAD: usize = 400;

/// How many boards post them.
const POSTERS: usize = 4;

/// Which jobs were posted and which were consumed, by the answers that said so.
#[derive(Debug, Default)]
struct Tally {
    posted: Vec<Uuid>,
    consumed: Vec<Uuid>,
}

/// What is in `these` more often than in `those`.
fn surplus(these: &[Uuid], those: &[Uuid]) -> Vec<Uuid> {
    let mut surplus = these.to_vec();
    for one in those {
        if let Some(place) = surplus.iter().position(|other| other == one) {
            surplus.swap_remove(place);
        }
    }
    surplus
}

async fn keep_posting(board: &JobBoard, tally: &watch::Sender<Tally>) {
    for _ in 0..LOAD / POSTERS {
        let job = board.post(NewJob::new("job")).await.unwrap();
        tally.send_modify(|tally| tally.posted.push(job.uuid()));
    }
}

async fn keep_consuming(board: &JobBoard, tally: &watch::Sender<Tally>) {
    let mut end = tally.subscribe();
    loop {
        let free = tokio::select! {
            biased;
            _ = end.wait_for(|tally| tally.consumed.len() >= LOAD) => return,
            free = board.wait_unclaimed(None) => free.unwrap().unwrap(),
        };
        let jobs: Vec<_> = free.take(8).collect();
        future::join_all(jobs.iter().map(|job| consume(board, job, tally))).await;
    }
}

async fn consume(board: &JobBoard, job: &Job, tally: &watch::Sender<Tally>) {
    match board.claim(job, "worker").await {
        Ok(claim) => {
            claim.consume().await.unwrap();
            tally.send_modify(|tally| tally.consumed.push(job.uuid()));
        }
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::Claimed | ErrorKind::NotFound),
            "{error}"
        ),
    }
}

#[tokio::test]
async fn etcd_killed_under_load_loses_and_doubles_nothing() {
    on_each(|mut etcd| async move {
        let endpoint = etcd.endpoint();
        let posters = future::join_all((0..POSTERS).map(|_| board(&endpoint))).await;
        let workers = future::join_all((0..3).map(|_| board(&endpoint))).await;
        let (tally, mut progress) = watch::channel(Tally::default());
        // Before the first quarter some posts are still to come, after the last some are consumed.
        let kills = async {
            for quarter in 1..=3 {
                let reached = |tally: &Tally| {
                    tally.posted.len() + tally.consumed.len() >= quarter * 2 * LOAD / 4
                };
                progress.wait_for(reached).await.unwrap();
                restart(&mut etcd).await;
            }
        };
        tokio::join!(
            future::join_all(posters.iter().map(|board| keep_posting(board, &tally))),
            future::join_all(workers.iter().map(|board| keep_consuming(board, &tally))),
            kills,
        );

        let Tally { posted, consumed } = tally.send_replace(Tally::default());
        let lost = surplus(&posted, &consumed);
        assert!(lost.is_empty(), "lost: {lost:?}");
        let doubled = surplus(&consumed, &posted);
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
        let witness = board(&endpoint).await;
        assert_eq!(witness.job_count(), 0);
    })
    .await;
}

/// Kills etcd and starts it again. One that would not come back with all that it answered is stopped in good
/// order, which cuts connections and answers just as well.
async fn restart(etcd: &mut LocalEtcd) {
    if is_fragile(&etcd.version().await.unwrap()) {
        etcd.stop().await.unwrap();
    }
    etcd.restart().await.unwrap();
}

fn numbers(jobs: Jobs) -> BTreeSet<JobId> {
    jobs.map(|job| job.id()).collect()
}

/// In order, with what is there twice twice.
fn sorted(numbers: impl Iterator<Item = JobId>) -> Vec<JobId> {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort();
    numbers
}

#[tokio::test]
async fn restart_of_etcd_hides_no_job_from_a_connected_board() {
    on_each(|mut etcd| async move {
        let (viewer, poster) = (board(&etcd.endpoint()).await, board(&etcd.endpoint()).await);
        let mut posted = post(&poster, 10).await;
        let (during, ()) = tokio::join!(post(&poster, 10), restart(&mut etcd));
        posted.extend(during);
        posted.extend(post(&poster, 10).await);
        let seen = numbers(viewer.fresh_jobs().await.unwrap());
        assert_eq!(seen, posted.iter().map(Job::id).collect());
    })
    .await;
}

#[tokio::test]
async fn board_that_was_cut_off_sees_what_happened_meanwhile() {
    on_each(|etcd| see_after_cut(etcd, false)).await;
}

#[tokio::test]
async fn board_that_was_cut_off_sees_what_is_left_after_a_compaction() {
    on_each(|etcd| see_after_cut(etcd, true)).await;
}

/// Cuts a board off while jobs are posted, claimed and consumed and etcd is killed; then it must
/// see what the others see, and tell each change once, whether or not etcd still knows them.
async fn see_after_cut(mut etcd: LocalEtcd, compacted: bool) {
    let way = Way::to(&etcd.endpoint()).await;
    let (viewer, other) = (board(way.endpoint()).await, board(&etcd.endpoint()).await);
    let events = viewer.events([EventKind::Posted, EventKind::Removal]);
    let early = post(&other, 10).await;
    assert_eq!(viewer.fresh_jobs().await.unwrap().count(), 10);

    way.close();
    for claim in claim_all(&other, early[..5].to_vec(), "other").await {
        claim.consume().await.unwrap();
    }
    let held = claim_all(&other, early[5..8].to_vec(), "other").await;
    restart(&mut etcd).await;
    let late = post(&other, 10).await;
    let all = numbers(other.fresh_jobs().await.unwrap());
    let free = numbers(other.jobs().only_unclaimed());
    if compacted {
        let direct = Etcd::connect([etcd.endpoint()]).await.unwrap();
        direct.compact(revision(&direct).await).await.unwrap();
    }
    assert_eq!(viewer.job_count(), 10);
    way.open();

    assert_eq!(numbers(viewer.fresh_jobs().await.unwrap()), all);
    assert_eq!(numbers(viewer.jobs().only_unclaimed()), free);
    assert_eq!((all.len(), free.len()), (15, 12));
    drop(held);

    viewer.close().await;
    let told: Vec<_> = events.unwrap().collect().await;
    let of = |kind| {
        let told = told.iter().filter(|told| told.kind() == kind);
        sorted(told.map(|told| told.job().unwrap().id()))
    };
    let posted = early.iter().chain(&late).map(Job::id);
    assert_eq!(of(EventKind::Posted), sorted(posted));
    assert_eq!(
        of(EventKind::Removal),
        sorted(early[..5].iter().map(Job::id))
    );
}
