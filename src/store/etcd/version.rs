//! Versions of etcd, to tell what a server can and what it does wrong.

use std::{fmt, str::FromStr};

/// A version of etcd's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a version has these three numbers"
)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
}

/// The text is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no version of etcd")]
#[non_exhaustive]
pub struct NoVersion;

impl Version {
    /// The version `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

impl Version {
    /// Whether this etcd stays slow after many writes in a short time. One that does not tell its
    /// version (0.0.0) is not thought to.
    pub(super) fn is_slow_after_bursts(self) -> bool {
        self != Self::new(0, 0, 0) && self < Self::new(3, 4, 24)
    }
}

/// Takes `3.6.0-rc.1` for 3.6.0.
impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let release = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = release.split('.').map(|part| part.parse().ok());
        let mut next = || numbers.next().flatten().ok_or(NoVersion);
        let version = Self::new(next()?, next()?, next()?);
        numbers.next().is_none().then_some(version).ok_or(NoVersion)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_before_3_4_24_is_slow_after_bursts() {
        let slow = |text: &str| text.parse::<Version>().unwrap().is_slow_after_bursts();
        assert!(slow("3.4.23"));
        assert!(!slow("3.4.24") && !slow("3.5.1") && !slow("0.0.0"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("3.4.23") < version("3.5.1") && version("3.5.9") < version("3.5.10"));
        assert_eq!(version("3.6.0-rc.1"), Version::new(3, 6, 0));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "3.4", "3.4.x", "3.4.23.1"] {
            assert_eq!(text.parse::<Version>(), Err(NoVersion), "{text}");
        }
    }
}
