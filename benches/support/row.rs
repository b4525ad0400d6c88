//! Rows of the table with which `make bench` ends: as `jobboard --output json bench` prints them.

use serde_json::json;

/// What a figure is to be, or its ratio to another.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "not each benchmark has figures of each kind")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// One line of the table.
pub(crate) struct Row<'a> {
    pub(crate) etcd: &'a str,
    pub(crate) measure: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) board: f64,
    /// What it is compared with, and the figure of that.
    pub(crate) beside: Option<(&'a str, f64)>,
    pub(crate) target: Target,
}

impl Row<'_> {
    /// Prints it, as a line of JSON.
    pub(crate) fn print(&self) {
        let (beside, other) = self.beside.unzip();
        let ratio = other.map(|other| self.board / other);
        let judged = ratio.unwrap_or(self.board);
        let (target, met) = match self.target {
            Target::AtMost(most) => (json!({"at_most": most}), Some(judged <= most)),
            Target::AtLeast(least) => (json!({"at_least": least}), Some(judged >= least)),
            Target::None => (json!("none"), None),
        };
        let row = json!({
            "etcd": self.etcd, "measure": self.measure, "unit": self.unit, "board": self.board,
            "beside": beside.unwrap_or_default(), "other": other, "ratio": ratio, "target": target,
            "met": met,
        });
        println!("{row}");
    }
}
