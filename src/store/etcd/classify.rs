//! What an error of etcd's client says about the request: whether it can have changed anything.
//!
//! The answer of a server that refused says so; everything that is not known to be a refusal is
//! ambiguous. Whether *no answer* is ambiguous depends on what was asked: a read changes nothing.

use std::{error::Error as StdError, fmt, sync::Arc};

use etcd_client::Error as ClientError;
use tonic::{Code, ConnectError, Status};

use crate::store::{Error, ErrorKind};

/// What a request that gets no answer can have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: it only reads, or it was never sent.
    Nothing,
    /// It may have been applied, or may still be.
    Change,
}

/// An error of the store for `error`, met while `doing`.
pub(super) fn to_error(error: impl Into<Arc<ClientError>>, effect: Effect, doing: &str) -> Error {
    let error = error.into();
    let message = format!("{doing}: {}", describe(&error));
    Error::new(kind(&error, effect), message).with_source(error)
}

/// The error of a call whose answer is not waited for any longer.
pub(super) fn late(effect: Effect, doing: &str, why: impl fmt::Display) -> Error {
    Error::new(unanswered(effect), format!("{doing}: {why}"))
}

/// The error of an answer that can not be read.
pub(super) fn malformed(effect: Effect, doing: &str) -> Error {
    let message = format!("{doing}: etcd's answer can not be read");
    Error::new(unanswered(effect), message)
}

/// The kind of an error of the store for an error of the client.
pub(super) fn kind(error: &ClientError, effect: Effect) -> ErrorKind {
    if was_never_sent(error) {
        return ErrorKind::Unavailable;
    }
    match error {
        // Before anything is sent it is about certificates that can not be used.
        ClientError::TransportError(_) if effect == Effect::Nothing => ErrorKind::Invalid,
        ClientError::InvalidArgs(_)
        | ClientError::InvalidUri(_)
        | ClientError::InvalidMetadataValue(_) => ErrorKind::Invalid,
        ClientError::GRpcStatus(status) => {
            refusal(status, effect).unwrap_or_else(|| unanswered(effect))
        }
        _ => unanswered(effect),
    }
}

/// The kind for which a watch was cancelled by etcd; `compacted` is the revision up to which
/// everything is gone, zero if that is not why.
pub(super) fn cancelled_watch(compacted: i64, reason: &str) -> ErrorKind {
    if compacted > 0 || reason.contains("required revision has been compacted") {
        ErrorKind::Compacted
    } else if reason.contains("permission denied") || is_about_auth(reason) {
        ErrorKind::Denied
    } else {
        ErrorKind::Unavailable
    }
}

/// Whether the connection could not even be made, so that the request never left.
pub(super) fn was_never_sent(error: &ClientError) -> bool {
    let ClientError::GRpcStatus(status) = error else {
        return false;
    };
    sources(status).any(<dyn StdError>::is::<ConnectError>)
}

/// Whether it can be for the client's certificate that there is no connection: etcd said so in the
/// words of TLS, or closed a connection that was made, as it does when those words are lost.
pub(super) fn may_be_about_our_certificate(error: &ClientError) -> bool {
    let ClientError::GRpcStatus(status) = error else {
        return false;
    };
    // What a server answers has no source.
    let is_answer = status.source().is_none();
    let is_alert = || sources(status).any(|it| it.to_string().contains("received fatal alert"));
    !is_answer && (!was_never_sent(error) || is_alert())
}

/// Whether etcd refused the request because the token is older than a change of users or roles.
pub(super) fn is_about_old_token(error: &ClientError) -> bool {
    matches!(error, ClientError::GRpcStatus(status) if is_old_token(status))
}

/// Whether etcd knows the user and does not let it do this.
pub(super) fn is_missing_permission(error: &ClientError) -> bool {
    matches!(error, ClientError::GRpcStatus(status) if status.code() == Code::PermissionDenied)
}

/// Whether another endpoint, or another connection, could do better: not where the answer is too large.
pub(super) fn is_trouble_of_the_connection(error: &ClientError) -> bool {
    matches!(
        kind(error, Effect::Change),
        ErrorKind::Unavailable | ErrorKind::Ambiguous
    ) && kind(error, Effect::Nothing) != ErrorKind::TooLarge
}

/// Whether etcd says that a lease that was to be kept alive does not exist.
pub(super) fn is_gone_lease(error: &ClientError) -> bool {
    match error {
        ClientError::LeaseKeepAliveError(message) => message == "lease not found",
        error => kind(error, Effect::Change) == ErrorKind::LeaseNotFound,
    }
}

const fn unanswered(effect: Effect) -> ErrorKind {
    match effect {
        Effect::Nothing => ErrorKind::Unavailable,
        Effect::Change => ErrorKind::Ambiguous,
    }
}

/// The kind of a refusal; `None` for what is not known to be one.
fn refusal(status: &Status, effect: Effect) -> Option<ErrorKind> {
    let says = |text: &str| status.message().contains(text);
    let kind = match status.code() {
        // Refused before it was applied, and again with a fresh token.
        _ if is_old_token(status) => ErrorKind::Unavailable,
        Code::InvalidArgument if is_about_auth(status.message()) => ErrorKind::Denied,
        Code::InvalidArgument if says("too many operations in txn request") => {
            ErrorKind::TooManyOps
        }
        Code::InvalidArgument if says("request is too large") => ErrorKind::RequestTooLarge,
        Code::InvalidArgument => ErrorKind::Invalid,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Denied,
        Code::NotFound if says("requested lease not found") => ErrorKind::LeaseNotFound,
        Code::FailedPrecondition if says("authentication is not enabled") => ErrorKind::Invalid,
        Code::OutOfRange if says("required revision has been compacted") => ErrorKind::Compacted,
        Code::OutOfRange if says("required revision is a future revision") => ErrorKind::Invalid,
        Code::OutOfRange if says("too large lease TTL") => ErrorKind::Invalid,
        // The answer is too large, so that the request was done.
        Code::OutOfRange if says("decoded message length too large") => too_large(effect)?,
        Code::ResourceExhausted if says("trying to send message larger") => too_large(effect)?,
        Code::ResourceExhausted if says("received message larger than max") => {
            ErrorKind::RequestTooLarge
        }
        Code::ResourceExhausted if says("database space exceeded") => ErrorKind::NoSpace,
        Code::ResourceExhausted | Code::Unavailable if says("too many requests") => {
            ErrorKind::Unavailable
        }
        Code::Unavailable if says("etcdserver: no leader") => ErrorKind::Unavailable,
        _ => return None,
    };
    Some(kind)
}

/// etcd says so in two ways: where it receives the request, and (without a code) where it is about
/// to apply it.
fn is_old_token(status: &Status) -> bool {
    let says = |text: &str| status.message().contains(text);
    match status.code() {
        Code::InvalidArgument => says("revision of auth store is old"),
        Code::Unknown => says("auth: revision in header is old"),
        _ => false,
    }
}

fn too_large(effect: Effect) -> Option<ErrorKind> {
    (effect == Effect::Nothing).then_some(ErrorKind::TooLarge)
}

/// etcd tells of a wrong password, and of a request without a user, by invalid arguments.
fn is_about_auth(message: &str) -> bool {
    [
        "authentication failed",
        "user name is empty",
        "user name not found",
        "invalid auth token",
        "invalid auth management",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// What a person is told: the words of the server, or how the connection failed.
fn describe(error: &ClientError) -> String {
    let (message, cause) = match error {
        ClientError::GRpcStatus(status) => (status.message(), sources(status).last()),
        ClientError::TransportError(error) => ("certificates", sources(error).last()),
        _ => return error.to_string(),
    };
    match (message, cause.map(ToString::to_string)) {
        ("", Some(cause)) => cause,
        (message, Some(cause)) if cause != message => format!("{message}: {cause}"),
        ("", None) => error.to_string(),
        (message, _) => message.to_owned(),
    }
}

fn sources(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error: &&(dyn StdError + 'static)| {
        (*error).source()
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn status(code: Code, message: &str) -> ClientError {
        Status::new(code, message).into()
    }

    fn refused_connection() -> ClientError {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused");
        Status::from_error(Box::new(ConnectError(refused.into()))).into()
    }

    const REFUSALS: &[(Code, &str, ErrorKind)] = &[
        (
            Code::InvalidArgument,
            "etcdserver: duplicate key given in txn request",
            ErrorKind::Invalid,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: too many operations in txn request",
            ErrorKind::TooManyOps,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: request is too large",
            ErrorKind::RequestTooLarge,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: user name is empty",
            ErrorKind::Denied,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: authentication failed, invalid user ID or password",
            ErrorKind::Denied,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: revision of auth store is old",
            ErrorKind::Unavailable,
        ),
        (
            Code::Unknown,
            "auth: revision in header is old",
            ErrorKind::Unavailable,
        ),
        (
            Code::PermissionDenied,
            "etcdserver: permission denied",
            ErrorKind::Denied,
        ),
        (
            Code::Unauthenticated,
            "etcdserver: invalid auth token",
            ErrorKind::Denied,
        ),
        (
            Code::NotFound,
            "etcdserver: requested lease not found",
            ErrorKind::LeaseNotFound,
        ),
        (
            Code::FailedPrecondition,
            "etcdserver: authentication is not enabled",
            ErrorKind::Invalid,
        ),
        (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
            ErrorKind::Compacted,
        ),
        (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
            ErrorKind::Invalid,
        ),
        (
            Code::OutOfRange,
            "etcdserver: too large lease TTL",
            ErrorKind::Invalid,
        ),
        (
            Code::ResourceExhausted,
            "grpc: received message larger than max (3000000 vs. 2097152)",
            ErrorKind::RequestTooLarge,
        ),
        (
            Code::ResourceExhausted,
            "etcdserver: mvcc: database space exceeded",
            ErrorKind::NoSpace,
        ),
        (
            Code::ResourceExhausted,
            "etcdserver: too many requests",
            ErrorKind::Unavailable,
        ),
        (
            Code::Unavailable,
            "etcdserver: too many requests",
            ErrorKind::Unavailable,
        ),
        (
            Code::Unavailable,
            "etcdserver: no leader",
            ErrorKind::Unavailable,
        ),
    ];

    #[test]
    fn refusals_are_definite_whatever_was_asked() {
        for (code, message, expected) in REFUSALS {
            let error = status(*code, message);
            assert_eq!(kind(&error, Effect::Change), *expected, "{message}");
            assert_eq!(kind(&error, Effect::Nothing), *expected, "{message}");
        }
    }

    #[test]
    fn everything_else_is_ambiguous_for_a_change_and_unavailable_for_a_read() {
        for (code, message) in [
            (Code::Cancelled, "Timeout expired"),
            (
                Code::Unknown,
                "h2 protocol error: error reading a body from connection",
            ),
            (Code::Unknown, "context deadline exceeded"),
            (Code::Unknown, "transport error"),
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: server stopped"),
            (Code::DeadlineExceeded, ""),
            (Code::Internal, "stream terminated"),
            (Code::Aborted, ""),
            (Code::NotFound, "something else"),
            (Code::ResourceExhausted, "something else"),
            (Code::OutOfRange, "something else"),
            (Code::FailedPrecondition, "something else"),
        ] {
            let error = status(code, message);
            assert_eq!(
                kind(&error, Effect::Change),
                ErrorKind::Ambiguous,
                "{message}"
            );
            assert_eq!(
                kind(&error, Effect::Nothing),
                ErrorKind::Unavailable,
                "{message}"
            );
        }
    }

    #[test]
    fn answer_that_is_too_large_proves_that_a_change_may_be_done() {
        for error in [
            status(
                Code::OutOfRange,
                "Error, decoded message length too large: found 9 bytes, the limit is: 1 bytes",
            ),
            status(
                Code::ResourceExhausted,
                "grpc: trying to send message larger than max (9 vs. 1)",
            ),
        ] {
            assert_eq!(kind(&error, Effect::Nothing), ErrorKind::TooLarge);
            assert_eq!(kind(&error, Effect::Change), ErrorKind::Ambiguous);
        }
    }

    #[test]
    fn connection_that_was_never_made_sent_nothing() {
        let error = refused_connection();
        assert!(was_never_sent(&error));
        assert_eq!(kind(&error, Effect::Change), ErrorKind::Unavailable);
        assert!(
            to_error(error, Effect::Change, "read a")
                .to_string()
                .contains("refused")
        );
        assert!(!was_never_sent(&status(
            Code::Unavailable,
            "tcp connect error"
        )));
    }

    #[test]
    fn only_what_etcd_leaves_unsaid_may_be_about_our_certificate() {
        let broken = io::Error::new(io::ErrorKind::ConnectionReset, "Connection reset");
        let broken = Status::from_error(broken.into()).into();
        let alert = ConnectError("received fatal alert: BadCertificate".into());
        let alert = Status::from_error(alert.into()).into();
        assert!(may_be_about_our_certificate(&broken) && may_be_about_our_certificate(&alert));
        assert!(!may_be_about_our_certificate(&refused_connection()));
        let answer = status(Code::Unavailable, "etcdserver: no leader");
        assert!(!may_be_about_our_certificate(&answer));
    }

    #[test]
    fn answer_that_is_too_large_is_no_trouble_of_the_connection() {
        let large = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        let large = status(Code::OutOfRange, large);
        assert_eq!(kind(&large, Effect::Nothing), ErrorKind::TooLarge);
        assert!(!is_trouble_of_the_connection(&large));
        assert!(is_trouble_of_the_connection(&refused_connection()));
    }

    #[test]
    fn cancelled_watch_tells_why() {
        assert_eq!(cancelled_watch(7, ""), ErrorKind::Compacted);
        assert_eq!(
            cancelled_watch(
                0,
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
            ),
            ErrorKind::Denied
        );
        assert_eq!(
            cancelled_watch(0, "etcdserver: no leader"),
            ErrorKind::Unavailable
        );
    }

    #[test]
    fn only_a_lease_that_is_not_found_is_gone() {
        assert!(is_gone_lease(&ClientError::LeaseKeepAliveError(
            "lease not found".into()
        )));
        assert!(is_gone_lease(&status(
            Code::NotFound,
            "etcdserver: requested lease not found"
        )));
        assert!(!is_gone_lease(&ClientError::LeaseKeepAliveError(
            "channel closed".into()
        )));
        assert!(!is_gone_lease(&refused_connection()));
    }
}
