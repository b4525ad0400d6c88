//! Jobs that refer to a logbook, with TaskFlow's own persistence and its conductor.

use std::fs;

use jobboard::{Ended, Job, NewJob};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    python::{Shown, TaskFlow},
    scene::{BOARD, PATIENCE, Scene, of, on_each},
};

/// The name of the book.
const NAME: &str = "images größe";

const BOOK: Uuid = Uuid::from_u128(1);

/// The flow in the book.
const FLOW: Uuid = Uuid::from_u128(7);

/// What is in none.
const OTHER: Uuid = Uuid::from_u128(8);

/// Has TaskFlow's persistence, in a folder of its own, keep a book with these flows.
async fn have_book(scene: &mut Scene, flows: &[Uuid]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    scene.theirs = TaskFlow::with_books(&scene.etcd, BOARD, folder.path()).await;
    let kept = json!({"name": NAME, "uuid": BOOK, "flows": flows});
    let () = scene.theirs.ask("save_book", kept).await;
    folder
}

/// TaskFlow's own conductor does one job of the board.
async fn conduct(scene: &mut Scene) {
    let conducting = json!({"who": "conductor"});
    let () = scene.theirs.ask("conduct", conducting).await;
}

/// TaskFlow's own conductor takes a job that it can not run; it comes back from the trash.
async fn assert_trashed_by_their_conductor(scene: &mut Scene, job: &Job) {
    let (ended, ()) = tokio::join!(job.wait(PATIENCE), conduct(scene));
    assert_eq!(ended.unwrap(), Ended::Trashed(None));
    let review = scene.board.trash_review();
    let found = review.list().await.unwrap();
    let restored = review.restore(&found.jobs[0]).await.unwrap();
    assert_eq!(restored.uuid(), job.uuid());
    let claim = scene.board.claim(&restored, "rust").await.unwrap();
    claim.consume().await.unwrap();
}

#[tokio::test]
async fn book_of_a_job_of_theirs_is_named_here() {
    on_each(async |scene| {
        let _books = have_book(scene, &[FLOW]).await;
        let (job, shown) = scene
            .posted_by_them(json!({"name": "a", "book": BOOK}))
            .await;
        assert_eq!((job.book_name(), job.book_uuid()), (Some(NAME), Some(BOOK)));
        assert_eq!(shown.book_name.as_deref(), Some(NAME));
        assert_eq!(shown.book_uuid, Some(BOOK));
        // The book itself is where they keep it.
        let refused = job.book().await.unwrap_err();
        assert_eq!(refused.kind(), jobboard::ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn book_of_a_job_of_ours_is_found_there() {
    on_each(async |scene| {
        let _books = have_book(scene, &[FLOW]).await;
        let new = NewJob::new("a").foreign_book(NAME, BOOK);
        let job = scene.board.post(new).await.unwrap();
        assert_eq!((job.book_name(), job.book_uuid()), (Some(NAME), Some(BOOK)));

        let shown: Vec<Shown> = scene.listed_by_them().await;
        assert_eq!(shown[0].book_name.as_deref(), Some(NAME));
        assert_eq!(shown[0].book_uuid, Some(BOOK));
        let found: Value = scene.theirs.ask("book_of", of(&job)).await;
        let expected = json!({"name": NAME, "uuid": BOOK, "flows": ["flow"]});
        assert_eq!(found, expected);
    })
    .await;
}

#[tokio::test]
async fn job_of_ours_is_done_by_their_conductor() {
    on_each(async |scene| {
        let _books = have_book(scene, &[FLOW]).await;
        let new = NewJob::new("a").foreign_book(NAME, BOOK);
        let job = scene.board.post(new).await.unwrap();

        let (ended, ()) = tokio::join!(job.wait(PATIENCE), conduct(scene));
        assert_eq!(ended.unwrap(), Ended::Consumed(None));
        let kept = json!({"book": BOOK, "flow": FLOW});
        let state: String = scene.theirs.ask("flow_state", kept).await;
        assert_eq!(state, "SUCCESS");
    })
    .await;
}

#[tokio::test]
async fn job_without_a_flow_that_they_find_is_trashed_by_their_conductor_and_comes_back() {
    on_each(async |scene| {
        let named = |flow: Uuid| json!({"flow_uuid": flow});
        let new = || NewJob::new("a").foreign_book(NAME, BOOK);
        let _books = have_book(scene, &[FLOW, Uuid::from_u128(9)]).await;
        for lost in [
            NewJob::new("no book"),
            NewJob::new("no such book").foreign_book(NAME, OTHER),
            new(),
            new().details(named(OTHER)),
        ] {
            let job = scene.board.post(lost).await.unwrap();
            assert_trashed_by_their_conductor(scene, &job).await;
        }
        let found = new().details(named(FLOW));
        let job = scene.board.post(found).await.unwrap();
        let (ended, ()) = tokio::join!(job.wait(PATIENCE), conduct(scene));
        assert_eq!(ended.unwrap(), Ended::Consumed(None));
    })
    .await;
}

#[tokio::test]
async fn job_whose_book_is_out_of_reach_is_trashed_by_their_conductor_and_comes_back() {
    on_each(async |scene| {
        let books = have_book(scene, &[FLOW]).await;
        let new = NewJob::new("a").foreign_book(NAME, BOOK);
        let job = scene.board.post(new).await.unwrap();
        // Something that is no file and is there.
        let kept = books.path().join(format!("books/{BOOK}/metadata"));
        fs::remove_file(&kept).unwrap();
        fs::create_dir(&kept).unwrap();
        assert_trashed_by_their_conductor(scene, &job).await;
    })
    .await;
}
