//! What is too long, checked before anything is sent.

use std::time::Duration;

use super::backoff::MAX_DELAY;
use crate::error::{Error, ErrorKind, Result};

/// The largest posting, in bytes of its JSON: 1 MiB.
pub(crate) const MAX_POSTING: usize = 1 << 20;

/// The largest record of a logbook, of a flow or of an atom, in bytes of its JSON: 512 KiB.
pub(crate) const MAX_BOOK_RECORD: usize = 512 << 10;

/// The largest record that keeps what can not be read, in bytes of its JSON: 1.4 MiB, where etcd takes
/// a request of 1.5 MiB.
pub(crate) const MAX_QUARANTINED: usize = (14 << 20) / 10;

/// The longest name, owner, unique key or message of a progress, in bytes: 255.
pub(crate) const MAX_NAME: usize = 255;

/// The longest reason (of a trash, an abandon, a pause), in bytes: 4 KiB.
pub(crate) const MAX_REASON: usize = 4 << 10;

/// The largest result of a job, in bytes of its JSON: 64 KiB.
pub(crate) const MAX_RESULT: usize = 64 << 10;

/// The largest metadata of an entity, in bytes of their JSON: 16 KiB.
pub(crate) const MAX_METADATA: usize = 16 << 10;

/// Checks a text that names something: not empty, at most [`MAX_NAME`] bytes.
pub(crate) fn check_name(doing: &str, what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(
            ErrorKind::Invalid,
            doing,
            format!("{what} is empty"),
        ));
    }
    check_length(doing, what, name.len(), MAX_NAME)
}

/// Checks a reason, if there is one: at most [`MAX_REASON`] bytes.
pub(crate) fn check_reason(doing: &str, reason: Option<&str>) -> Result<()> {
    let length = reason.map_or(0, str::len);
    check_length(doing, "the reason", length, MAX_REASON)
}

/// Checks the length of something: at most `limit` bytes.
pub(crate) fn check_length(doing: &str, what: &str, length: usize, limit: usize) -> Result<()> {
    if length > limit {
        let why = format!("{what} has {length} bytes, the limit is {limit}");
        return Err(Error::new(ErrorKind::Invalid, doing, why));
    }
    Ok(())
}

/// Checks how long a job is to wait: at most [`MAX_DELAY`].
pub(crate) fn check_delay(doing: &str, delay: Duration) -> Result<()> {
    if delay > MAX_DELAY {
        let why = format!("a delay of {delay:?} is longer than ten years");
        return Err(Error::new(ErrorKind::Invalid, doing, why));
    }
    Ok(())
}

/// As much of a reason as passes [`check_reason`].
pub(crate) fn within_reason(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_refused_if_empty_or_longer_than_the_limit() {
        assert!(check_name("post a job", "the name", &"n".repeat(MAX_NAME)).is_ok());
        let long = check_name("post a job", "the name", &"n".repeat(MAX_NAME + 1)).unwrap_err();
        assert_eq!(long.kind(), ErrorKind::Invalid);
        assert_eq!(
            long.to_string(),
            "post a job: the name has 256 bytes, the limit is 255"
        );
        let empty = check_name("post a job", "the name", "").unwrap_err();
        assert_eq!(empty.to_string(), "post a job: the name is empty");
    }
}
