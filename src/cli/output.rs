//! What the commands print. The only place that writes to standard output and standard error.

use std::{
    fmt::{Display, Write as _},
    io::{self, Write as _},
};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{
    Failure,
    bench::{Row, Target},
    view::{Content, JobView},
};
use crate::{Job, store::etcd::Version};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs: one JSON object a line.
    Json,
}

/// Prints the number and the uuid of a job that was posted.
pub(super) fn posted(format: Format, job: &Job) -> Result<(), Failure> {
    match format {
        Format::Table => line(format_args!("job {} {}", job.id(), job.uuid())),
        Format::Json => json(&serde_json::json!({
            "number": job.id().get(),
            "uuid": job.uuid(),
        })),
    }
}

/// Prints jobs: a table, or a JSON object a line.
pub(super) fn jobs(format: Format, jobs: &[JobView]) -> Result<(), Failure> {
    if format == Format::Json {
        return jobs.iter().try_for_each(json);
    }
    let mut table = table();
    table.set_header([
        "NUMBER", "STATE", "PRIORITY", "NAME", "OWNER", "CREATED", "NOTES",
    ]);
    for job in jobs {
        table.add_row([
            job.number(),
            job.state.to_owned(),
            job.priority.unwrap_or(NONE).to_owned(),
            or_none(job.name.as_deref()),
            job.owner(),
            or_none(job.created_on.as_deref()),
            job.notes().join("; "),
        ]);
    }
    line(table.trim_fmt())
}

/// Prints all of one job: its fields one below the other, or a JSON object.
pub(super) fn job(format: Format, job: &JobView) -> Result<(), Failure> {
    if format == Format::Json {
        return json(job);
    }
    let mut table = table();
    table.add_rows([
        ["number".to_owned(), job.number()],
        [
            "uuid".to_owned(),
            or_none(job.uuid.map(|uuid| uuid.to_string()).as_deref()),
        ],
        ["name".to_owned(), or_none(job.name.as_deref())],
        [
            "priority".to_owned(),
            job.priority.unwrap_or(NONE).to_owned(),
        ],
        ["state".to_owned(), job.state.to_owned()],
        ["owner".to_owned(), job.owner()],
        ["created".to_owned(), or_none(job.created_on.as_deref())],
        [
            "last modified".to_owned(),
            or_none(job.last_modified.as_deref()),
        ],
    ]);
    for note in job.notes() {
        table.add_row(["note".to_owned(), note]);
    }
    if let Some(Content { book, details }) = &job.content {
        let book = book
            .as_ref()
            .map(|book| format!("{} {}", book.uuid, book.name));
        let details = serde_json::to_string_pretty(details)
            .map_err(|error| Failure::new(format!("print the details: {error}")))?;
        table.add_rows([
            ["book".to_owned(), or_none(book.as_deref())],
            ["details".to_owned(), plain_json(&details)],
        ]);
    }
    line(table.trim_fmt())
}

/// Prints what is measured, on which etcd: to people alone, for each row tells programs.
pub(super) fn bench_begins(format: Format, what: impl Display) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(());
    }
    line(format_args!(
        "{what}\n{:36} {:>12} {:>12} {:20} {:>7} {:>8}",
        "", "board", "other", "which is", "ratio", "target"
    ))
}

/// Prints what was measured: a line of a table each, or a JSON object.
pub(super) fn bench(format: Format, etcd: Version, rows: &[Row]) -> Result<(), Failure> {
    for row in rows {
        if format == Format::Json {
            json(&serde_json::json!({
                "etcd": etcd.to_string(), "measure": row.measure, "unit": row.unit.as_str(),
                "board": row.board, "beside": row.beside, "other": row.raw, "ratio": row.ratio(),
                "target": row.target, "met": row.met(),
            }))?;
            continue;
        }
        let number = |number: f64, digits| format!("{number:.digits$}");
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let target = match row.target {
            Target::AtMost(most) => format!("<= {most}"),
            Target::AtLeast(least) => format!(">= {least}"),
            Target::None => "-".to_owned(),
        };
        let met = match row.met() {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        line(format_args!(
            "{:36} {:>8} {:3} {:>8} {:3} {:20} {:>7} {target:>8} {met}",
            row.measure,
            number(row.board, 0),
            row.unit.as_str(),
            or_none(row.raw.map(|raw| number(raw, 0))),
            row.unit.as_str(),
            row.beside,
            or_none(row.ratio().map(|ratio| number(ratio, 2))),
        ))?;
    }
    Ok(())
}

/// Prints a line on standard output. Whoever reads it may leave: that is no failure.
pub(super) fn line(text: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::system("write to standard output")(error))
        }
        _ => Ok(()),
    }
}

/// Prints a JSON document as a line on standard output.
pub(super) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(document)
        .map_err(|error| Failure::new(format!("print as JSON: {error}")))?;
    line(plain_json(&text))
}

/// Prints a line on standard error. There is nobody left to tell if that fails.
pub(super) fn note(text: impl Display) {
    _ = writeln!(io::stderr().lock(), "{text}");
}

/// What stands where there is nothing to show.
pub(super) const NONE: &str = "-";

fn or_none(text: Option<&str>) -> String {
    plain(text.unwrap_or(NONE))
}

/// Text from outside without what a terminal [obeys](is_obeyed).
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escape = is_obeyed(letter);
            let escaped = escape.then(|| letter.escape_default());
            let itself = (!escape).then_some(letter);
            escaped.into_iter().flatten().chain(itself)
        })
        .collect()
}

/// JSON without what a terminal [obeys](is_obeyed), but for the ends of its lines: it reads as the same.
/// JSON itself escapes only the first 32 characters.
pub(super) fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_obeyed(letter) && letter != '\n' {
            _ = write!(plain, "\\u{:04x}", u32::from(letter));
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// Whether a terminal does something for a character instead of showing it: it could move the cursor, or
/// show text in another order.
pub(super) fn is_obeyed(letter: char) -> bool {
    let turns_text = matches!(
        letter,
        '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    letter.is_control() || turns_text
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jö\n"), "a\\u{1b}[2Jö\\n");
        assert_eq!(plain("\u{9b}2J\u{7f}\u{202e}"), "\\u{9b}2J\\u{7f}\\u{202e}");
    }

    #[test]
    fn json_without_control_characters_reads_as_the_same() {
        let json = serde_json::json!({"a\u{9b}2J": ["\u{1b}[2J", "ö\u{7f}\u{202e}"]});
        let text = serde_json::to_string_pretty(&json).unwrap();
        let plain = plain_json(&text);
        let odd = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(text.contains(odd) && !plain.contains(odd), "{plain:?}");
        let read: serde_json::Value = serde_json::from_str(&plain).unwrap();
        assert_eq!(read, json);
    }
}
