//! What operators were told, and is not what happened.

use super::{
    told::{Scene, failed},
    *,
};
use crate::{Cancelled, ErrorKind, TrashedJob};

impl Scene {
    /// A job in the trash.
    async fn trashed(&self) -> TrashedJob {
        self.claim("me").await.trash("no good").await.unwrap();
        let trash = self.board.trash_review().list().await.unwrap();
        trash.jobs.into_iter().next().unwrap()
    }
}

#[tokio::test]
async fn restoring_is_what_was_told_of_it() {
    for (kinds, broken) in [
        (vec![None], None),
        (vec![None, Some(ErrorKind::NotFound)], None),
        (vec![Some(ErrorKind::Unknown)], None),
        (vec![Some(ErrorKind::NotFound)], Some(Promise::Definite)),
        (vec![None, None], Some(Promise::Definite)),
    ] {
        let scene = Scene::new().await;
        let trashed = scene.trashed().await;
        let callings: Vec<_> = kinds
            .iter()
            .map(|_| scene.log.restoring("operator", &trashed))
            .collect();
        scene.board.trash_review().restore(&trashed).await.unwrap();
        for (calling, kind) in callings.into_iter().zip(&kinds) {
            calling.told(kind.map_or(Ok(None), Err));
        }
        assert_eq!(scene.broken().await, broken, "{kinds:?}");
    }
}

#[tokio::test]
async fn restoring_that_succeeded_and_did_not_happen_is_found() {
    let scene = Scene::new().await;
    let trashed = scene.trashed().await;
    scene.log.restoring("operator", &trashed).told(Ok(None));
    assert_eq!(scene.broken().await, Some(Promise::Definite));
}

#[tokio::test]
async fn release_that_succeeded_and_did_not_happen_is_found() {
    for happens in [false, true] {
        let scene = Scene::new().await;
        let claim = scene.claim("me").await;
        let (job, token) = (claim.job().id(), claim.token());
        let calling = scene.log.releasing("operator", &claim);
        if happens {
            calling.settled(&scene.board.release(job, token, None).await);
        } else {
            calling.settled(&Ok(token));
        }
        let broken = (!happens).then_some(Promise::Definite);
        assert_eq!(scene.broken().await, broken);
    }
}

#[tokio::test]
async fn release_that_failed_can_have_come_after_another() {
    let scene = Scene::new().await;
    let claim = scene.claim("me").await;
    let calling = scene.log.releasing("operator", &claim);
    claim.abandon().await.unwrap();
    calling.settled(&failed(ErrorKind::NotFound));
    assert_eq!(scene.broken().await, None);
}

#[tokio::test]
async fn cancelling_is_what_was_told_of_it() {
    for (told, happens, broken) in [
        (Ok(Cancelled::Trashed), true, None),
        (failed(ErrorKind::NotFound), false, None),
        (Ok(Cancelled::Requested), false, None),
        (failed(ErrorKind::Unknown), true, None),
        (Ok(Cancelled::Trashed), false, Some(Promise::Definite)),
        (failed(ErrorKind::NotFound), true, Some(Promise::Definite)),
        (Ok(Cancelled::Requested), true, Some(Promise::Definite)),
    ] {
        let scene = Scene::new().await;
        let job = scene.post("job").await;
        let calling = scene.log.trashing_unclaimed("client", "operator");
        if happens {
            scene.board.cancel(&job, "operator", None).await.unwrap();
        }
        calling.cancelled(&told);
        assert_eq!(scene.broken().await, broken, "{told:?}");
    }
}
