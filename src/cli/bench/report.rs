//! Figures beside what they are compared with, and what they are to be.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// One line of the table.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Row {
    /// What was measured: "post, 64 in flight".
    pub(in crate::cli) measure: String,
    pub(in crate::cli) unit: Unit,
    /// What it is compared with, and the figure of that.
    pub(in crate::cli) beside: &'static str,
    pub(in crate::cli) raw: Option<f64>,
    pub(in crate::cli) board: f64,
    pub(in crate::cli) target: Target,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Unit {
    Microseconds,
    PerSecond,
    PerMinute,
}

/// What the ratio to the other figure, or the figure itself where there is no other, is to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Target {
    AtMost(f64),
    AtLeast(f64),
    None,
}

impl Unit {
    pub(in crate::cli) const fn as_str(self) -> &'static str {
        match self {
            Self::Microseconds => "us",
            Self::PerSecond => "1/s",
            Self::PerMinute => "1/min",
        }
    }
}

impl Row {
    /// The board's figure by the other.
    pub(in crate::cli) fn ratio(&self) -> Option<f64> {
        self.raw.map(|raw| self.board / raw)
    }

    /// Whether it is what it is to be; `None` if it is only shown.
    pub(in crate::cli) fn met(&self) -> Option<bool> {
        let judged = self.ratio().unwrap_or(self.board);
        match self.target {
            Target::AtMost(most) => Some(judged <= most),
            Target::AtLeast(least) => Some(judged >= least),
            Target::None => None,
        }
    }
}

/// The middle one of some figures; not a number, if there are none.
pub(super) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    quantile(figures, 0.5)
}

/// The figure that so large a part of them is below.
pub(super) fn quantile(figures: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place among some thousand figures"
    )]
    let place = (figures.len() as f64 * part) as usize;
    let last = figures.len().saturating_sub(1);
    figures.get(place.min(last)).copied().unwrap_or(f64::NAN)
}

/// How many microseconds some work takes, and what comes of it.
pub(super) async fn timed<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<(f64, T), E> {
    let start = Instant::now();
    let done = work.await?;
    Ok((micros(start.elapsed()), done))
}

/// A time in microseconds.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(raw: Option<f64>, target: Target) -> Row {
        Row {
            measure: "post".to_owned(),
            unit: Unit::PerSecond,
            beside: "raw",
            raw,
            board: 30.0,
            target,
        }
    }

    #[test]
    fn ratio_is_judged_where_there_is_another_figure_and_the_figure_itself_where_not() {
        let met = |raw, target| row(raw, target).met();
        assert_eq!(met(Some(10.0), Target::AtLeast(3.0)), Some(true));
        assert_eq!(met(Some(10.0), Target::AtLeast(3.1)), Some(false));
        assert_eq!(met(Some(10.0), Target::AtMost(2.9)), Some(false));
        assert_eq!(met(None, Target::AtLeast(30.0)), Some(true));
        assert_eq!(met(Some(10.0), Target::None), None);
    }

    #[test]
    fn median_is_the_middle_and_a_quantile_is_in_its_place() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        let hundred = || (1..=100).map(f64::from);
        assert!((quantile(hundred(), 0.99) - 100.0).abs() < f64::EPSILON);
        assert!(median([]).is_nan());
    }
}
