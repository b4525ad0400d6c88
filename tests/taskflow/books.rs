//! Jobs that refer to a logbook, with TaskFlow's own persistence.

use jobboard::{Ended, NewJob};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    python::{Shown, TaskFlow},
    scene::{BOARD, PATIENCE, Scene, on_each},
};

/// The name of the book.
const NAME: &str = "images größe";

const FLOW: Uuid = Uuid::from_u128(7);

/// Has TaskFlow's persistence, in a folder of its own, keep a book with a flow.
async fn have_book(scene: &mut Scene, book: Uuid) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    scene.theirs = TaskFlow::with_books(&scene.etcd, BOARD, folder.path()).await;
    let kept = json!({"name": NAME, "uuid": book, "flow": FLOW});
    let () = scene.theirs.ask("save_book", kept).await;
    folder
}

#[tokio::test]
async fn book_of_a_job_of_theirs_is_named_here() {
    on_each(async |scene| {
        let book = Uuid::from_u128(1);
        let _books = have_book(scene, book).await;
        let (job, shown) = scene
            .posted_by_them(json!({"name": "a", "book": book}))
            .await;
        assert_eq!((job.book_name(), job.book_uuid()), (Some(NAME), Some(book)));
        assert_eq!(shown.book_name.as_deref(), Some(NAME));
        assert_eq!(shown.book_uuid, Some(book));
        // The book itself is where they keep it.
        let refused = job.book().await.unwrap_err();
        assert_eq!(refused.kind(), jobboard::ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn book_of_a_job_of_ours_is_found_there() {
    on_each(async |scene| {
        let book = scene.board.books().new_book(NAME);
        let _books = have_book(scene, book.uuid()).await;

        let job = scene.board.post(NewJob::new("a").book(&book)).await;
        let job = job.unwrap();
        let shown: Vec<Shown> = scene.listed_by_them().await;
        assert_eq!(shown[0].book_name.as_deref(), Some(NAME));
        assert_eq!(shown[0].book_uuid, Some(book.uuid()));
        let of = json!({"uuid": job.uuid()});
        let found: Value = scene.theirs.ask("book_of", of).await;
        let expected = json!({"name": NAME, "uuid": book.uuid(), "flows": ["flow"]});
        assert_eq!(found, expected);
    })
    .await;
}

#[tokio::test]
async fn job_of_ours_is_done_by_their_conductor() {
    on_each(async |scene| {
        let book = scene.board.books().new_book(NAME);
        let _books = have_book(scene, book.uuid()).await;
        let job = scene.board.post(NewJob::new("a").book(&book)).await;
        let job = job.unwrap();

        let conducting = json!({"who": "conductor"});
        let (ended, ()) =
            tokio::join!(job.wait(PATIENCE), scene.theirs.ask("conduct", conducting),);
        assert_eq!(ended.unwrap(), Ended::Consumed(None));
        let state: String = {
            let of = json!({"book": book.uuid(), "flow": FLOW});
            scene.theirs.ask("flow_state", of).await
        };
        assert_eq!(state, "SUCCESS");
    })
    .await;
}
