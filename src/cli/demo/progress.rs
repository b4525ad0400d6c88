//! How far the demo is: a bar on a terminal, a line for each tenth elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::note;

/// What is told of one stretch of work. The bar goes away with it.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: usize,
    /// How many tenths were told.
    tenths: usize,
}

impl Progress {
    /// Nothing of `total` is done yet.
    pub(super) fn new(what: &'static str, total: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64).with_message(what);
            let style = "{msg:9} {wide_bar} {pos}/{len} {per_sec} {elapsed}";
            // A template that can not be read would leave indicatif's own style.
            match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self {
            bar,
            what,
            total,
            tenths: 0,
        }
    }

    /// `done` of the total are done.
    pub(super) fn set(&mut self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            return;
        }
        let tenths = done * 10 / self.total.max(1);
        if tenths > self.tenths {
            self.tenths = tenths;
            note(format_args!("{} {done} of {}", self.what, self.total));
        }
    }

    /// Tells something else meanwhile.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
