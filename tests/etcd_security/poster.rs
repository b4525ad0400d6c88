//! What a poster may do, and what not.

use jobboard::{Cancelled, Ended, Entity, NewJob};
use serde_json::json;

use super::{
    roles::{Roles, denied},
    secure::{Setup, on_each},
};

#[tokio::test]
async fn poster_posts_and_learns_how_it_ended_and_claims_and_trashes_nothing() {
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
        // Where nobody holds a job, it goes into the trash.
        denied("cancel", poster.cancel(&job, "poster", None)).await;
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

#[tokio::test]
async fn poster_can_take_a_job_from_its_holder_and_ask_for_it_to_be_stopped() {
    on_each(Setup::default(), |etcd| async move {
        let roles = Roles::set_up(etcd).await;
        let worker = roles.board_of("worker").await;
        let poster = roles.board_of("poster").await;
        // So that there is a key on the lease of its session that a poster may not write.
        let conductor = Entity::new("conductor", "one");
        worker.register_entity(&conductor).await.unwrap();
        let job = poster.post(NewJob::new("thumbnail")).await.unwrap();
        let claim = worker.claim(&job, "worker").await.unwrap();
        let asked = poster.cancel(&job, "poster", None).await.unwrap();
        assert_eq!(asked, Cancelled::Requested);
        claim.cancellation().cancelled().await;
        assert!(claim.is_held());
        poster.release(job.id(), claim.token(), None).await.unwrap();
        claim.lost().await;
    })
    .await;
}

#[tokio::test]
async fn poster_can_settle_what_a_taskflow_client_holds_but_for_trashing_it() {
    on_each(Setup::default(), |etcd| async move {
        let mut roles = Roles::set_up(etcd).await;
        let poster = roles.board_of("poster").await;
        let job = poster.post(NewJob::new("thumbnail").unique("a")).await;
        let job = job.unwrap();
        roles.taskflow_claims("images", &job).await;
        poster.abandon(&job, "taskflow").await.unwrap();
        roles.taskflow_claims("images", &job).await;
        denied("trash", poster.trash(&job, "taskflow", None)).await;
        let keeping = poster.consume_with(&job, "taskflow", json!(1));
        denied("consume with a result", keeping).await;
        poster.consume(&job, "taskflow").await.unwrap();
        assert_eq!(job.wait(None).await.unwrap(), Ended::Consumed(None));
    })
    .await;
}
