//! Asking the store for what nothing can be written without, until it is there.

use tokio::time::{Instant, timeout_at};

use super::{Backoff, WriteError};
use crate::{
    random::Random,
    store::{self, ErrorKind},
};

/// Asks the store for something, and again until `deadline` when what goes wrong can pass. `missing`
/// says what there is not while it is not there: "no session was opened".
pub(crate) async fn insist<T, F>(
    missing: &str,
    random: &Random,
    deadline: Instant,
    ask: impl Fn() -> F + Send,
) -> Result<T, WriteError>
where
    F: Future<Output = store::Result<T>> + Send,
{
    let mut backoff = Backoff::new(random.clone());
    let mut trouble = None;
    let late = |trouble: Option<store::Error>| {
        let why = trouble.map_or_else(|| format!("{missing} in time"), |error| error.to_string());
        WriteError::Unreached(why)
    };
    loop {
        match timeout_at(deadline, ask()).await {
            Ok(Ok(got)) => return Ok(got),
            Ok(Err(error)) if may_pass(error.kind()) => {
                tracing::debug!(%error, "{missing} yet");
                trouble = Some(error);
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_late) => return Err(late(trouble)),
        }
        backoff.fail();
        if timeout_at(deadline, backoff.wait()).await.is_err() {
            return Err(late(trouble));
        }
    }
}

/// A lease that was just granted can be gone when it is used.
const fn may_pass(trouble: ErrorKind) -> bool {
    matches!(
        trouble,
        ErrorKind::Ambiguous | ErrorKind::Unavailable | ErrorKind::LeaseNotFound
    )
}
