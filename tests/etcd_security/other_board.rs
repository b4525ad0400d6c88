//! What the role for one board is worth on another: nothing.

use std::time::Duration;

use jobboard::{
    ClaimOptions, Conductor, Context, Entity, ErrorKind, Job, JobBoard, NewJob, Outcome,
    Quarantined, TrashedJob, store::Revision,
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
        let trashed = root.trash_review().list().await.unwrap().jobs;
        // The least with which there is a board to ask at all.
        roles.grant("worker", READ, "jobs", "music").await;
        let board = roles.connect("worker", "music").await.unwrap();
        let [seen, ending] = [&job, &ended].map(|job| board.get(job.id()).unwrap());
        assert_eq!(board.fresh_jobs().await.unwrap().count(), 2);
        let holder = root.claim(&job, "ops").await.unwrap();
        root.claim(&ended, "ops")
            .await
            .unwrap()
            .consume()
            .await
            .unwrap();

        refused_to_work(&board, &seen, holder.token()).await;
        denied("wait for the end", ending.wait(None)).await;
        refused_to_review(&board, &trashed[0]).await;
        refused_books(&board).await;
        // What it holds elsewhere is not touched by that.
        let begun = Instant::now();
        board.close().await;
        assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
        holder.consume().await.unwrap();
        assert_eq!(root.fresh_jobs().await.unwrap().count(), 0);
    })
    .await;
}

/// Proves that who may only see the jobs of `board` can do nothing with them, here with `job`, which
/// is held by another.
async fn refused_to_work(board: &JobBoard, job: &Job, token: Revision) {
    denied("post", board.post(NewJob::new("song"))).await;
    for posted in board.post_many(["a", "b"].map(NewJob::new)).await {
        denied("post many", async { posted }).await;
    }
    denied("claim", board.claim(job, "worker")).await;
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
    denied("entities", board.entities()).await;
    let conductor = Conductor::builder(board, "songs");
    let run = |_: Context, _: serde_json::Value| async { Ok(Outcome::Consume) };
    denied("conduct", conductor.run(run)).await;
}

/// As [`refused_to_work`], with what is in the trash.
async fn refused_to_review(board: &JobBoard, trashed: &TrashedJob) {
    let review = board.trash_review();
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
