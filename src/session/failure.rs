//! What the layers below report, in the words of the crate's error.

use std::{borrow::Borrow, error::Error as StdError};

use super::WriteError;
use crate::{
    error::{Error, ErrorKind},
    protocol::{
        holding::{Hold, NotHeld},
        offer::NotOffered,
    },
    store,
};

/// The error of a verb that has no outcome; several can have waited for it.
pub(crate) fn of_write<E>(doing: impl Into<String>, error: E) -> Error
where
    E: Borrow<WriteError> + StdError + Send + Sync + 'static,
{
    let (kind, why) = (kind_of_write(error.borrow()), why(error.borrow()));
    Error::new(kind, doing, why).with_source(error)
}

/// The error of a verb on a hold that has no outcome. A hold of its own went with its session; one
/// of TaskFlow's still stands.
pub(crate) fn of_settle(doing: impl Into<String>, hold: &Hold, error: WriteError) -> Error {
    let kind = match (&error, hold.claim) {
        (WriteError::NotSent, Some(_)) => ErrorKind::Lost,
        (WriteError::NotSent, None) => ErrorKind::Unavailable,
        _ => return of_write(doing, error),
    };
    Error::new(kind, doing, error.to_string()).with_source(error)
}

/// The error of a verb whose hold is over.
pub(crate) fn of_not_held(doing: impl Into<String>, not_held: NotHeld) -> Error {
    match not_held.now {
        Some(owner) => {
            let why = format!("the claim is over; {owner} holds the job now");
            Error::new(ErrorKind::Lost, doing, why).with_owner(owner)
        }
        None => Error::new(ErrorKind::Lost, doing, "the claim is over"),
    }
}

/// The error of a verb whose job is not as it was offered.
pub(crate) fn of_not_offered(doing: impl Into<String>, not_offered: NotOffered) -> Error {
    match not_offered {
        NotOffered::Gone => Error::new(ErrorKind::NotFound, doing, "there is no such job any more"),
        NotOffered::Owned(Some(owner)) => {
            let why = format!("held by {}", owner.owner);
            Error::new(ErrorKind::Claimed, doing, why).with_owner(owner.owner)
        }
        NotOffered::Owned(None) => Error::new(ErrorKind::Claimed, doing, "held by somebody"),
        NotOffered::StateMoved(_) => {
            Error::new(ErrorKind::Claimed, doing, "somebody else was faster")
        }
        NotOffered::Unreadable(why) => {
            let why = format!("its state can not be read: {why}");
            Error::new(ErrorKind::Corrupt, doing, why)
        }
    }
}

/// The error of a request that the store did not serve.
pub(crate) fn of_store(doing: impl Into<String>, error: store::Error) -> Error {
    let (kind, why) = (kind_of_store(&error), error.to_string());
    Error::new(kind, doing, why).with_source(error)
}

/// The error of a read that the store did not serve: a read changes nothing, even as a transaction.
pub(crate) fn of_read(doing: impl Into<String>, error: store::Error) -> Error {
    match error.kind() {
        store::ErrorKind::Ambiguous => {
            let why = error.to_string();
            Error::new(ErrorKind::Unavailable, doing, why).with_source(error)
        }
        _ => of_store(doing, error),
    }
}

/// So that `?` serves where a store is connected.
impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        // What etcd refuses for lack of space it can have done: a board looks, the store does not.
        let kind = match error.kind() {
            store::ErrorKind::NoSpace => ErrorKind::Unknown,
            _ => kind_of_store(&error),
        };
        let why = error.to_string();
        Self::new(kind, "use the store", why).with_source(error)
    }
}

fn why(error: &WriteError) -> String {
    match error {
        WriteError::NotSent => "the board is closed".to_owned(),
        error => error.to_string(),
    }
}

fn kind_of_write(error: &WriteError) -> ErrorKind {
    match error {
        WriteError::Unreached(_) => ErrorKind::Unavailable,
        WriteError::Refused(refused) => kind_of_store(refused),
        WriteError::NotSent => ErrorKind::Closed,
        WriteError::Lost => ErrorKind::Lost,
        WriteError::Unknown(_) => ErrorKind::Unknown,
        WriteError::Malformed(_) => ErrorKind::Corrupt,
    }
}

fn kind_of_store(error: &store::Error) -> ErrorKind {
    match error.kind() {
        store::ErrorKind::Invalid
        | store::ErrorKind::TooManyOps
        | store::ErrorKind::RequestTooLarge => ErrorKind::Invalid,
        store::ErrorKind::Denied => ErrorKind::Denied,
        store::ErrorKind::Ambiguous => ErrorKind::Unknown,
        store::ErrorKind::LeaseNotFound
        | store::ErrorKind::Compacted
        | store::ErrorKind::NoSpace
        | store::ErrorKind::TooLarge
        | store::ErrorKind::Unavailable => ErrorKind::Unavailable,
    }
}
