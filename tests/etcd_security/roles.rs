//! The roles of a board, granted as `docs::security` says, and what they may do and not.

use std::{sync::Arc, time::Duration};

use etcd_client::{Client, Permission, PermissionType};
use futures::StreamExt;
use jobboard::{
    Conductor, ConductorEvent, Context, Ended, Entity, ErrorKind, EventKind, Job, JobBoard, NewJob,
    Outcome, Result, Step,
};
use serde_json::json;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

use super::secure::{PASSWORD, SecureEtcd, Setup, on_each, signed_tokens};

/// How soon a refusal must be told: no call waits out its deadline, of 10 s.
pub(super) const PROMPT: Duration = Duration::from_secs(3);

pub(super) const READ: PermissionType = PermissionType::Read;
pub(super) const READ_AND_WRITE: PermissionType = PermissionType::Readwrite;

/// What a role may do in the areas of its board.
pub(super) type Role = (&'static str, &'static [(PermissionType, &'static str)]);

const VIEWER: Role = (
    "viewer",
    &[
        (READ, "jobs"),
        (READ, ".trash"),
        (READ, ".done"),
        (READ, ".control"),
        (READ, ".entities"),
        (READ, ".books"),
    ],
);

pub(super) const POSTER: Role = (
    "poster",
    &[
        (READ_AND_WRITE, "jobs"),
        (READ_AND_WRITE, ".unique"),
        (READ_AND_WRITE, ".sessions"),
        (READ, ".trash"),
        (READ, ".done"),
    ],
);

const WORKER: Role = (
    "worker",
    &[
        (READ_AND_WRITE, "jobs"),
        (READ_AND_WRITE, ".unique"),
        (READ_AND_WRITE, ".sessions"),
        (READ_AND_WRITE, ".trash"),
        (READ_AND_WRITE, ".done"),
        (READ_AND_WRITE, ".entities"),
        (READ_AND_WRITE, ".books"),
        (READ, ".control"),
    ],
);

const OPERATOR: Role = (
    "operator",
    &[
        (READ_AND_WRITE, "jobs"),
        (READ_AND_WRITE, ".unique"),
        (READ_AND_WRITE, ".sessions"),
        (READ_AND_WRITE, ".trash"),
        (READ_AND_WRITE, ".done"),
        (READ_AND_WRITE, ".entities"),
        (READ_AND_WRITE, ".books"),
        (READ_AND_WRITE, ".control"),
    ],
);

/// An etcd with one user for each role of the board `images`, named as the role is.
pub(super) struct Roles {
    pub(super) etcd: SecureEtcd,
    pub(super) admin: Client,
}

impl Roles {
    pub(super) async fn set_up(etcd: SecureEtcd) -> Self {
        etcd.enable_auth().await;
        let admin = etcd.administrator().await;
        let mut roles = Self { etcd, admin };
        for (name, grants) in [VIEWER, POSTER, WORKER, OPERATOR] {
            roles.admin.role_add(name).await.unwrap();
            for (what, area) in grants {
                roles.grant(name, *what, area, "images").await;
            }
            roles.admin.user_add(name, PASSWORD, None).await.unwrap();
            roles.admin.user_grant_role(name, name).await.unwrap();
        }
        roles
    }

    pub(super) async fn grant(
        &mut self,
        role: &str,
        what: PermissionType,
        area: &str,
        board: &str,
    ) {
        let permission = Permission::new(what, range(area, board)).with_prefix();
        let granted = self.admin.role_grant_permission(role, permission).await;
        granted.unwrap();
    }

    /// Takes the role of that name from its user, and gives it another.
    async fn swap(&mut self, user: &str, from: &str, to: &str) {
        self.admin.user_revoke_role(user, from).await.unwrap();
        self.admin.user_grant_role(user, to).await.unwrap();
    }

    /// Makes a TaskFlow client the owner of a job, of that name: it has no session of ours.
    pub(super) async fn taskflow_claims(&mut self, board: &str, job: &Job) {
        let owner = format!("{}job{}.lock", range("jobs", board), job.id());
        let record = r#"{"owner": "taskflow"}"#;
        self.admin.put(owner, record, None).await.unwrap();
    }

    /// Puts a posting on a board that can not be read.
    pub(super) async fn spoil(&mut self, board: &str) {
        let posting = format!("{}job99.data", range("jobs", board));
        self.admin.put(posting, "{", None).await.unwrap();
    }

    pub(super) async fn connect(&self, user: &str, board: &str) -> Result<JobBoard> {
        let store = self.etcd.connect_as(user, PASSWORD).await?;
        JobBoard::builder(board).store(store).connect().await
    }

    pub(super) async fn board_of(&self, user: &str) -> JobBoard {
        self.connect(user, "images").await.unwrap()
    }
}

pub(super) fn range(area: &str, board: &str) -> String {
    format!("/taskflow/{area}/{board}/")
}

/// Proves that a call is denied, and soon.
pub(super) async fn denied<T>(doing: &str, call: impl Future<Output = Result<T>>) {
    let begun = Instant::now();
    let answer = timeout(PROMPT, call).await;
    let Ok(answer) = answer else {
        panic!("{doing}: no answer after {:?}", begun.elapsed());
    };
    let Err(error) = answer else {
        panic!("{doing}: it is allowed");
    };
    assert_eq!(error.kind(), ErrorKind::Denied, "{doing}: {error}");
}

#[tokio::test]
async fn viewer_sees_all_of_a_board_and_changes_nothing() {
    on_each(Setup::default(), |etcd| async move {
        let roles = Roles::set_up(etcd).await;
        let operator = roles.board_of("operator").await;
        let ended = operator.post(NewJob::new("ended")).await.unwrap();
        let broken = operator.post(NewJob::new("broken")).await.unwrap();
        let claim = operator.claim(&broken, "ops").await.unwrap();
        claim.trash("why").await.unwrap();
        let job = operator.post(NewJob::new("thumbnail")).await.unwrap();
        let mut book = operator.books().new_book("book");
        operator.books().create(&mut book).await.unwrap();
        let conductor = Entity::new("conductor", "one");
        operator.register_entity(&conductor).await.unwrap();
        let viewer = roles.board_of("viewer").await;
        let seen = viewer.get(ended.id()).unwrap();
        let claim = operator.claim(&ended, "ops").await.unwrap();
        claim.consume_with(json!(1)).await.unwrap();
        let told = seen.wait(None).await.unwrap();
        assert_eq!(told, Ended::Consumed(Some(json!(1))));
        let jobs = viewer.fresh_jobs().await.unwrap();
        assert!(jobs.map(|job| job.id()).eq([job.id()]));
        assert!(viewer.wait(None).await.unwrap().is_some());
        assert!(viewer.wait_unclaimed(None).await.unwrap().is_some());
        assert_eq!(viewer.paused().await.unwrap(), None);
        assert_eq!(viewer.entities().await.unwrap().list().len(), 1);
        assert_eq!(viewer.trash_review().list().await.unwrap().jobs.len(), 1);
        assert_eq!(viewer.books().list().await.unwrap().len(), 1);
        let holder = operator.claim(&job, "ops").await.unwrap();

        denied("post", viewer.post(NewJob::new("thumbnail"))).await;
        denied("claim", viewer.claim(&job, "viewer")).await;
        denied("cancel", viewer.cancel(&job, "viewer", None)).await;
        denied("release", viewer.release(job.id(), holder.token(), None)).await;
        denied("pause", viewer.pause("viewer", None)).await;
        denied("register", viewer.register_entity(&conductor)).await;
        let review = viewer.trash_review();
        denied("purge", review.purge_older_than(Duration::ZERO)).await;
        denied("delete a book", viewer.books().delete(book.uuid())).await;
        holder.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn worker_does_all_that_jobs_need_and_does_not_pause_the_board() {
    on_each(Setup::default(), |etcd| async move {
        let roles = Roles::set_up(etcd).await;
        let poster = roles.board_of("poster").await;
        let worker = roles.board_of("worker").await;
        let waiting = worker.wait_unclaimed(None);
        let (posted, waited) = tokio::join!(poster.post(NewJob::new("thumbnail")), waiting);
        let job = waited.unwrap().unwrap().next().unwrap();
        assert_eq!(job.id(), posted.unwrap().id());
        let claim = worker.claim(&job, "worker").await.unwrap();
        claim.progress(0.5, None).await.unwrap();
        claim.abandon().await.unwrap();
        let claim = worker.claim(&job, "worker").await.unwrap();
        claim.trash("why").await.unwrap();
        let trashed = worker.trash_review().list().await.unwrap().jobs;
        let job = worker.trash_review().restore(&trashed[0]).await.unwrap();
        let claim = worker.claim(&job, "worker").await.unwrap();
        claim.consume_with(json!(1)).await.unwrap();
        assert_eq!(
            job.wait(None).await.unwrap(),
            Ended::Consumed(Some(json!(1)))
        );
        let mut book = worker.books().new_book("book");
        worker.books().create(&mut book).await.unwrap();
        let job = worker
            .post(NewJob::new("thumbnail").book(&book))
            .await
            .unwrap();
        let run = |context: Context, _: serde_json::Value| async move {
            let mut book = context.book().await?.unwrap();
            book.add_flow("flow");
            context.save_book(&mut book).await?;
            Ok(Outcome::Consume)
        };
        let conductor = Conductor::builder(&worker, "thumbnails").max_dispatches(1);
        conductor.run(run).await.unwrap();
        assert_eq!(job.wait(None).await.unwrap(), Ended::Consumed(None));

        denied("pause", worker.pause("worker", None)).await;
        denied("resume", worker.resume()).await;
        assert_eq!(worker.paused().await.unwrap(), None);
        assert!(worker.resumed(None).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn operator_pauses_releases_and_empties_the_trash() {
    on_each(Setup::default(), |etcd| async move {
        let roles = Roles::set_up(etcd).await;
        let worker = roles.board_of("worker").await;
        let operator = roles.board_of("operator").await;
        let job = worker.post(NewJob::new("thumbnail")).await.unwrap();
        operator
            .pause("ops", Some("the disk is full"))
            .await
            .unwrap();
        let refused = worker.claim(&job, "worker").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Paused);
        operator.resume().await.unwrap();
        let claim = worker.claim(&job, "worker").await.unwrap();
        // The mark of a release is put on the lease of another user's session.
        operator
            .release(job.id(), claim.token(), None)
            .await
            .unwrap();
        claim.lost().await;
        operator.trash_unclaimed(&job, "ops", "why").await.unwrap();
        let review = operator.trash_review();
        let trashed = review.list().await.unwrap().jobs;
        review.purge(&trashed[0]).await.unwrap();
        assert_eq!(review.list().await.unwrap().jobs.len(), 0);
    })
    .await;
}

/// Holds a worker's board against a role that is taken and given back while it works: its watch, its
/// conductor, and an owner.
async fn role_comes_back(etcd: SecureEtcd) {
    let mut roles = Roles::set_up(etcd).await;
    let operator = roles.board_of("operator").await;
    let worker = roles.board_of("worker").await;
    let mut events = worker.events(EventKind::Removal).unwrap();
    let visitor = Entity::new("visitor", "one");
    worker.register_entity(&visitor).await.unwrap();
    let held = operator.post(NewJob::new("held")).await.unwrap();
    let claim = worker.claim(&held, "owner").await.unwrap();
    let (runs, go_on) = (watch::Sender::new(0), Arc::new(Semaphore::new(0)));
    let (counted, goes_on) = (runs.clone(), Arc::clone(&go_on));
    let run = move |_: Context, _: serde_json::Value| {
        let goes_on = Arc::clone(&goes_on);
        counted.send_modify(|runs| *runs += 1);
        async move {
            goes_on.acquire().await?.forget();
            Ok(Outcome::Consume)
        }
    };
    let conductor = Conductor::builder(&worker, "thumbnails").concurrency(2);
    let conductor = conductor.with(run).unwrap();
    let mut steps = conductor.events();
    let conducting = conductor.clone();
    let conducting = tokio::spawn(async move { conducting.run().await });
    let first = operator.post(NewJob::new("first")).await.unwrap();
    runs.subscribe().wait_for(|runs| *runs == 1).await.unwrap();

    roles.swap("worker", "worker", "poster").await;
    denied("consume", claim.consume_with(json!(1))).await;
    denied("pause", worker.pause("worker", None)).await;
    denied("deregister", worker.deregister_entity("visitor", "one")).await;
    // What it may do as a poster it does.
    let second = worker.post(NewJob::new("second")).await.unwrap();
    let refused = |event: &ConductorEvent| matches!(event.step, Step::Refused(_));
    while !refused(&steps.next().await.unwrap()) {}

    roles.swap("worker", "poster", "viewer").await;
    denied("post", worker.post(NewJob::new("third"))).await;
    denied("abandon", claim.abandon()).await;
    go_on.add_permits(1);
    assert_eq!(worker.fresh_jobs().await.unwrap().count(), 3);
    let revoked = roles.admin.user_revoke_role("worker", "viewer").await;
    revoked.unwrap();
    denied("look", worker.fresh_jobs()).await;
    denied("paused", worker.paused()).await;

    let granted = roles.admin.user_grant_role("worker", "worker").await;
    granted.unwrap();
    claim.consume().await.unwrap();
    go_on.add_permits(1);
    for job in [&first, &second] {
        assert_eq!(job.wait(None).await.unwrap(), Ended::Consumed(None));
    }
    for _ in [&held, &first, &second] {
        assert_eq!(events.next().await.unwrap().kind(), EventKind::Removal);
    }
    conductor.stop();
    conducting.await.unwrap().unwrap();
    assert_eq!(*runs.borrow(), 2);
    assert_eq!(worker.fresh_jobs().await.unwrap().count(), 0);
}

#[tokio::test]
async fn work_goes_on_when_a_role_that_was_taken_is_given_back() {
    on_each(Setup::default(), role_comes_back).await;
}

#[tokio::test]
async fn work_goes_on_when_a_role_that_was_taken_is_given_back_and_tokens_name_the_roles() {
    let (flag, _secret) = signed_tokens();
    let setup = Setup {
        flags: &[&flag],
        ..Setup::default()
    };
    on_each(setup, role_comes_back).await;
}
