//! What a signal ends, with nothing left behind.

use super::Failure;
use crate::signals::Signals;

/// Does `work`, unless SIGINT or SIGTERM comes before it is done: then it is dropped, and stops as that
/// what it had started.
pub(super) async fn unless_interrupted(
    doing: &str,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::system("listen for signals"))?;
    tokio::select! {
        biased;
        () = signals.next() => Err(Failure::new(format!("{doing}: interrupted"))),
        done = work => done,
    }
}
