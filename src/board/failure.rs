//! What the layers below report, in the words of the crate's error.

use crate::{
    error::{Error, ErrorKind},
    session::WriteError,
    store,
};

/// The error of a verb that has no outcome.
pub(super) fn of_write(doing: impl Into<String>, error: WriteError) -> Error {
    let (kind, why) = match error {
        WriteError::Refused(refused) => return of_store(doing, refused),
        WriteError::Unreached(_) => (ErrorKind::Unavailable, error.to_string()),
        WriteError::NotSent => (ErrorKind::Closed, "the board is closed".to_owned()),
        WriteError::Lost => (ErrorKind::Lost, error.to_string()),
        WriteError::Unknown(_) => (ErrorKind::Unknown, error.to_string()),
        WriteError::Malformed(_) => (ErrorKind::Corrupt, error.to_string()),
    };
    Error::new(kind, doing, why).with_source(error)
}

/// The error of a settling verb that has no outcome: without its session there is no hold.
pub(super) fn of_settle(doing: impl Into<String>, error: WriteError) -> Error {
    match error {
        WriteError::NotSent => {
            Error::new(ErrorKind::Lost, doing, error.to_string()).with_source(error)
        }
        error => of_write(doing, error),
    }
}

/// The error of a request that the store did not serve.
pub(super) fn of_store(doing: impl Into<String>, error: store::Error) -> Error {
    let kind = match error.kind() {
        store::ErrorKind::Invalid => ErrorKind::Invalid,
        store::ErrorKind::Denied => ErrorKind::Denied,
        store::ErrorKind::Ambiguous => ErrorKind::Unknown,
        _ => ErrorKind::Unavailable,
    };
    let why = error.to_string();
    Error::new(kind, doing, why).with_source(error)
}
