//! Why a command ends with exit code 1.

use std::{fmt, io};

use crate::{local_etcd::LocalEtcdError, store};

/// What a person is told, in one line on standard error.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    /// A failure told in these words.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the system said while something was being done.
    pub(super) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self(format!("{doing}: {error}"))
    }
}

/// Shows one line, whatever stands in it: the log of an etcd that did not start has several.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::output::plain(&self.0.replace('\n', " | ")))
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(error.to_string())
    }
}

impl From<LocalEtcdError> for Failure {
    fn from(error: LocalEtcdError) -> Self {
        Self(error.to_string())
    }
}
