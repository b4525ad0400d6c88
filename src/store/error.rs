//! What can go wrong in a store, told by whether anything can have changed.

use std::error::Error as StdError;

/// A `Result` with the store's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request that the store did not answer as asked.
///
/// The message says what was asked and why it failed; it never carries a value, a password or a
/// token.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Why a request failed. All kinds but [`Ambiguous`](Self::Ambiguous) and [`NoSpace`](Self::NoSpace) are
/// definite: the request changed nothing and never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request can not be served as it is: malformed, or a key written twice.
    Invalid,
    /// The transaction has more operations than the store does at once.
    TooManyOps,
    /// The request is larger than what the store takes.
    RequestTooLarge,
    /// The lease that it names does not exist (any more).
    LeaseNotFound,
    /// The revision that it asks for has been compacted away.
    Compacted,
    /// The store refuses this user: no such user, a wrong password, or no permission.
    Denied,
    /// The store's space is used up; it takes no write and grants no lease. A request that was under way when
    /// that came about can have been done, and will not be done any more: etcd checks its space once more as
    /// it applies a transaction, and answers this after it has applied it.
    NoSpace,
    /// The answer to a read is larger than what this client takes; ask for less at once.
    TooLarge,
    /// The store could not be asked, and nothing happened; ask again later.
    Unavailable,
    /// No answer came: the request may have been applied, or may still be.
    Ambiguous,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// An error of kind [`Invalid`](ErrorKind::Invalid).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why the request failed.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the request may have been applied, or may still be.
    pub const fn is_ambiguous(&self) -> bool {
        matches!(self.kind, ErrorKind::Ambiguous)
    }
}
