//! How urgent a job is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::error::{Error, ErrorKind};

/// How urgent a job is. Higher priorities come first on a board, and compare as less:
/// `VeryHigh < VeryLow`, so that sorting puts the most urgent first.
///
/// The order is strict: as long as urgent jobs keep coming, others wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the five priorities of the contract"
)]
pub enum JobPriority {
    /// Extremely urgent.
    VeryHigh,
    /// Urgent.
    High,
    /// The default.
    #[default]
    Normal,
    /// Not needed soon.
    Low,
    /// Not needed soon at all.
    VeryLow,
}

impl JobPriority {
    /// All priorities, the most urgent first.
    pub const ALL: [Self; 5] = [
        Self::VeryHigh,
        Self::High,
        Self::Normal,
        Self::Low,
        Self::VeryLow,
    ];

    /// The name of the priority, as records carry it: `VERY_HIGH`, `HIGH`, `NORMAL`, `LOW` or
    /// `VERY_LOW`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VeryHigh => "VERY_HIGH",
            Self::High => "HIGH",
            Self::Normal => "NORMAL",
            Self::Low => "LOW",
            Self::VeryLow => "VERY_LOW",
        }
    }
}

impl JobPriority {
    /// Puts values in the order of their priorities, the most urgent first; those of one priority
    /// stay in the order in which they came.
    ///
    /// # Examples
    /// ```
    /// use jobboard::JobPriority::{High, Low};
    ///
    /// let values = jobboard::JobPriority::reorder([(Low, "a"), (High, "b"), (High, "c")]);
    /// assert_eq!(values, ["b", "c", "a"]);
    /// ```
    pub fn reorder<T>(values: impl IntoIterator<Item = (Self, T)>) -> Vec<T> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by_key(|(priority, _)| *priority);
        values.into_iter().map(|(_, value)| value).collect()
    }
}

/// Shows the name.
impl fmt::Display for JobPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads a name in upper or lower case or any mix.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid), with the valid names.
impl FromStr for JobPriority {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| {
            let why = format!(
                "{text:?} is none of {}",
                Self::ALL.map(Self::as_str).join(", ")
            );
            Error::new(ErrorKind::Invalid, "read a priority", why)
        })
    }
}

impl Serialize for JobPriority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for JobPriority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_in_any_case() {
        for priority in JobPriority::ALL {
            let name = priority.as_str();
            assert_eq!(name.parse::<JobPriority>().unwrap(), priority);
            assert_eq!(
                name.to_lowercase().parse::<JobPriority>().unwrap(),
                priority
            );
        }
    }

    #[test]
    fn unknown_name_is_refused_with_the_valid_ones() {
        let error = "urgent".parse::<JobPriority>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(
            error.to_string(),
            "read a priority: \"urgent\" is none of VERY_HIGH, HIGH, NORMAL, LOW, VERY_LOW"
        );
    }

    #[test]
    fn more_urgent_comes_first() {
        assert!(JobPriority::ALL.is_sorted());
        assert_eq!(JobPriority::default(), JobPriority::Normal);
    }
}
