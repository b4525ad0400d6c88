//! What goes on in the background, where no call is there to be refused.

use std::time::Duration;

use jobboard::{Event, EventKind, EventKinds, NewJob};
use tokio::time::interval;

use super::{
    log::Log,
    roles::{READ, Roles, range},
    secure::{Setup, on_each},
};

#[tokio::test]
async fn trash_that_may_not_be_read_is_a_warning_in_the_log_and_is_told_once_it_may() {
    on_each(Setup::default(), |etcd| async move {
        let mut roles = Roles::set_up(etcd).await;
        let (log, _logging) = Log::of_warnings_on_this_thread();
        let operator = roles.board_of("operator").await;
        let reader = roles.board_of("reader").await;
        let mut events = reader.events(EventKinds::ANY).unwrap();
        let trash = range(".trash", "images");
        let refused =
            |line: &str| line.contains("lost sight of the store") && line.contains(&trash);
        let mut looks = interval(Duration::from_millis(50));
        while !log.text().lines().any(refused) {
            looks.tick().await;
        }

        let job = operator.post(NewJob::new("broken")).await.unwrap();
        let claim = operator.claim(&job, "ops").await.unwrap();
        claim.trash("why").await.unwrap();
        operator.post(NewJob::new("next")).await.unwrap();
        for kind in [
            EventKind::Posted,
            EventKind::Claimed,
            EventKind::Removal,
            EventKind::Posted,
        ] {
            assert_eq!(events.next().await.unwrap().kind(), kind);
        }
        roles.grant("reading", READ, ".trash", "images").await;
        let told = events.next().await.unwrap();
        assert!(
            matches!(&told.event, Event::Trashed(trashed) if trashed.id() == job.id()),
            "{told:?}"
        );
        // It goes on trying, and says so once.
        assert_eq!(log.text().lines().filter(|line| refused(line)).count(), 1);
    })
    .await;
}
