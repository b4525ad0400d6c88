//! The view is what a list would give.

use super::*;

#[tokio::test(start_paused = true)]
async fn view_equals_a_list_at_every_revision() {
    let setup = Setup::watching().await;
    let random = Random::seeded(23);
    for _ in 0..1_000 {
        let revision = random_write(&setup, &random).await;
        setup.shows(revision).await;
        setup.assert_equals_list().await;
    }
    let told = setup.told();
    assert!(told.iter().all(|told| told.readable == told.revision));
    assert!(told.is_sorted_by(|a, b| a.revision < b.revision));
    let counts = setup.reader().counts();
    assert_eq!((counts.relists, counts.reopened), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn view_equals_a_list_through_broken_watches_and_compactions() {
    let setup = Setup::watching().await;
    let random = Random::seeded(42);
    for _ in 0..300 {
        let mut revision = random_write(&setup, &random).await;
        match random.number() % 4 {
            0 => setup.store.break_watches(),
            1 => {
                setup.store.break_watches();
                setup.store.fail(ErrorKind::Unavailable);
                for _ in 0..5 {
                    revision = random_write(&setup, &random).await;
                }
                setup.store.memory().compact(revision).await.unwrap();
                setup.store.fail(None);
            }
            _ => {}
        }
        setup.shows(revision).await;
        setup.assert_equals_list().await;
    }
    let counts = setup.reader().counts();
    assert!(counts.relists > 10 && counts.reopened > 50, "{counts:?}");
}

/// Changes something of one of eight jobs; now and then what it writes is unreadable.
async fn random_write(setup: &Setup, random: &Random) -> Revision {
    let job = 1 + random.number() % 8;
    let good = !random.number().is_multiple_of(5);
    let owner = if good { r#"{"owner":"w"}"# } else { "?" };
    let state = if good { "{}" } else { "?" };
    match random.number() % 8 {
        0 | 1 if good => setup.post(job).await,
        0 | 1 => setup.put(job, JobPart::Data, "{").await,
        2 => setup.delete(job, JobPart::Data).await,
        3 => setup.put(job, JobPart::Owner, owner).await,
        4 => setup.delete(job, JobPart::Owner).await,
        5 => setup.put(job, JobPart::State, state).await,
        6 => setup.put(job, JobPart::Cancel, "{}").await,
        _ => {
            let all = keys().all_of_job(JobId::new(job).unwrap());
            setup.store.memory().delete(all).await.unwrap();
            setup.post(job).await
        }
    }
}
