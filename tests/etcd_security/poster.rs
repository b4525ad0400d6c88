//! What a poster may do, and what not.

use jobboard::{Cancelled, Ended, Entity, Job, NewJob};
use serde_json::json;

use super::{
    roles::{Roles, denied},
    secure::{Setup, on_each},
};

#[tokio::test]
async fn poster_posts_and_learns_how_it_ended_and_does_nothing_else() {
    on_each(Setup::default(), |etcd| async move {
        let roles = Roles::set_up(etcd).await;
        let operator = roles.board_of("operator").await;
        let poster = roles.board_of("poster").await;
        let job = poster
            .post(NewJob::new("thumbnail").unique("a"))
            .await
            .unwrap();
        assert!(
            poster
                .post(NewJob::new("thumbnail").unique("a"))
                .await
                .unwrap()
                .existed()
        );
        assert_eq!(poster.fresh_jobs().await.unwrap().count(), 1);

        denied("claim", poster.claim(&job, "poster")).await;
        denied("trash", poster.trash_unclaimed(&job, "poster", "why")).await;
        denied("pause", poster.pause("poster", None)).await;
        denied("paused", poster.paused()).await;
        denied("wait to claim", poster.wait_unclaimed(None)).await;
        denied(
            "register",
            poster.register_entity(&Entity::new("conductor", "one")),
        )
        .await;
        denied("entities", poster.entities()).await;
        denied("books", poster.books().list()).await;
        let mut book = poster.books().new_book("book");
        denied("create a book", poster.books().create(&mut book)).await;

        operator
            .claim(&job, "ops")
            .await
            .unwrap()
            .trash("why")
            .await
            .unwrap();
        let told = job.wait(None).await.unwrap();
        assert_eq!(told, Ended::Trashed(Some("why".to_owned())));
        let trashed = poster.trash_review().list().await.unwrap().jobs;
        denied("restore", poster.trash_review().restore(&trashed[0])).await;
        denied("purge", poster.trash_review().purge(&trashed[0])).await;
    })
    .await;
}
