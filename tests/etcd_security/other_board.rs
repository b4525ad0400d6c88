//! What the role for one board is worth on another: nothing.

use std::time::Duration;

use jobboard::{
    ClaimOptions, Conductor, Context, Entity, ErrorKind, Job, JobBoard, NewJob, Outcome, TrashList,
    store::Revision,
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    roles::{PROMPT, READ, Roles, denied},
    secure::{Setup, on_each},
};

#[tokio::test]
async fn worker_of_a_board_is_refused_by_another_at_once_whatever_it_asks() {
    on_each(Setup::default(), |etcd| async move {
        let mut roles = Roles::set_up(etcd).await;
        let begun = Instant::now();
        let refused = roles.connect("worker", "music").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
        assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
        // A board whose name only begins alike is another one.
        let refused = roles.connect("worker", "images2").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");

        let root = roles.connect("root", "music").await.unwrap();
        let job = root.post(NewJob::new("song")).await.unwrap();
        let ended = root.post(NewJob::new("song")).await.unwrap();
        let trashed = root.post(NewJob::new("song")).await.unwrap();
        root.claim(&trashed, "ops")
            .await
            .unwrap()
            .trash("why")
            .await
            .unwrap();
        let theirs = root.post(NewJob::new("song")).await.unwrap();
        roles.taskflow_claims("music", &theirs).await;
        roles.spoil("music").await;
        let trashed = trash_of(&root).await;
        roles.spoil("music").await;
        // The least with which there is a board to ask at all.
        roles.grant("worker", READ, "jobs", "music").await;
        let board = roles.connect("worker", "music").await.unwrap();
        let [seen, ending, theirs_seen] =
            [&job, &ended, &theirs].map(|job| board.get(job.id()).unwrap());
        assert_eq!(board.fresh_jobs().await.unwrap().count(), 3);
        let holder = root.claim(&job, "ops").await.unwrap();
        root.claim(&ended, "ops")
            .await
            .unwrap()
            .consume()
            .await
            .unwrap();

        refused_to_work(&board, &seen, holder.token()).await;
        denied("wait for the end", ending.wait(None)).await;
        refused_by_name(&board, &theirs_seen).await;
        refused_to_review(&board, &trashed).await;
        refused_books(&board).await;
        // What it holds elsewhere is not touched by that.
        let begun = Instant::now();
        board.close().await;
        assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
        holder.consume().await.unwrap();
        root.consume(&theirs, "taskflow").await.unwrap();
        assert_eq!(root.fresh_jobs().await.unwrap().count(), 0);
    })
    .await;
}

/// What is in the trash of a board: a job, and the key that can not be read.
async fn trash_of(root: &JobBoard) -> TrashList {
    root.fresh_jobs().await.unwrap();
    let review = root.trash_review();
    for unreadable in root.unreadable() {
        review.quarantine(&unreadable, "ops", None).await.unwrap();
    }
    let trash = review.list().await.unwrap();
    assert_eq!((trash.jobs.len(), trash.quarantined.len()), (1, 1));
    trash
}

/// Proves that who may only see the jobs of `board` can do nothing with them, here with `job`, which
/// is held by another.
async fn refused_to_work(board: &JobBoard, job: &Job, token: Revision) {
    denied("post", board.post(NewJob::new("song"))).await;
    for posted in board.post_many(["a", "b"].map(NewJob::new)).await {
        denied("post many", async { posted }).await;
    }
    denied("claim", board.claim(job, "worker")).await;
    let own = ClaimOptions::new().ttl(Duration::from_secs(5));
    denied("claim", board.claim_with(job, "worker", own)).await;
    denied("trash", board.trash_unclaimed(job, "worker", "why")).await;
    denied("cancel", board.cancel(job, "worker", None)).await;
    denied("release", board.release(job.id(), token, None)).await;
    denied("wait to claim", board.wait_unclaimed(None)).await;
    denied("pause", board.pause("worker", None)).await;
    denied("resume", board.resume()).await;
    denied("paused", board.paused()).await;
    denied("resumed", board.resumed(None)).await;
    let entity = Entity::new("conductor", "one");
    denied("register", board.register_entity(&entity)).await;
    // It was not registered.
    let deregistered = board.deregister_entity("conductor", "one").await;
    assert!(!deregistered.unwrap());
    denied("entities", board.entities()).await;
    let conductor = Conductor::builder(board, "songs");
    let run = |_: Context, _: serde_json::Value| async { Ok(Outcome::Consume) };
    denied("conduct", conductor.run(run)).await;
}

/// As [`refused_to_work`], with `job`, whose owner a TaskFlow client is.
async fn refused_by_name(board: &JobBoard, job: &Job) {
    denied("consume", board.consume(job, "taskflow")).await;
    let keeping = board.consume_with(job, "taskflow", json!(1));
    denied("consume with a result", keeping).await;
    denied("abandon", board.abandon(job, "taskflow")).await;
    denied("trash", board.trash(job, "taskflow", None)).await;
}

/// As [`refused_to_work`], with what is in the trash, and what is to go there.
async fn refused_to_review(board: &JobBoard, trash: &TrashList) {
    let review = board.trash_review();
    let (trashed, quarantined) = (&trash.jobs[0], &trash.quarantined[0]);
    let unreadable = board.unreadable();
    assert_eq!(unreadable.len(), 1);
    let quarantining = review.quarantine(&unreadable[0], "worker", None);
    denied("quarantine", quarantining).await;
    denied("purge", review.purge_quarantined(quarantined)).await;
    denied("list the trash", review.list()).await;
    denied("look into the trash", review.get(trashed.id())).await;
    denied("restore", review.restore(trashed)).await;
    denied("purge", review.purge(trashed)).await;
    denied("purge", review.purge_older_than(Duration::ZERO)).await;
}

/// As [`refused_to_work`], with logbooks.
async fn refused_books(board: &JobBoard) {
    let books = board.books();
    let mut book = books.new_book("book");
    denied("create a book", books.create(&mut book)).await;
    denied("load a book", books.load(book.uuid())).await;
    denied("list the books", books.list()).await;
    denied("delete a book", books.delete(book.uuid())).await;
}
