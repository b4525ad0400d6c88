//! `jobboard post`: puts a job on the board.
#![expect(
    clippy::doc_markdown,
    reason = "help on a terminal, where backticks are noise"
)]

use std::{convert::Infallible, fs, io, path::PathBuf, str::FromStr};

use serde_json::Value;

use super::{Failure, connect::Place, output, output::Format};
use crate::{JobPriority, NewJob, protocol::record};

/// Posts a job, and prints its number and its uuid.
#[derive(Debug, clap::Args)]
pub(super) struct Post {
    /// The name of the job, which other jobs can have too.
    name: String,

    /// What the job is about, a JSON object: itself, `@FILE` that has it, or `-` for standard
    /// input.
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    details: Details,

    /// How urgent the job is: VERY_HIGH, HIGH, NORMAL, LOW or VERY_LOW.
    #[arg(long, default_value_t)]
    priority: JobPriority,
}

impl Post {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let details = self.details.read()?;
        let new = NewJob::new(self.name)
            .details(details)
            .priority(self.priority);
        let board = place.connect().await?;
        let posted = board.post(new).await;
        board.close().await;
        let posted = posted?;
        // Who takes it for not posted would post it again.
        output::posted(format, &posted).map_err(|failure| {
            let (number, uuid) = (posted.id(), posted.uuid());
            Failure::new(format!(
                "tell that job {number} {uuid} was posted, which it is: {failure}"
            ))
        })
    }
}

/// Where the details of a job come from. They are read after the command line was understood: what is
/// wrong with that is told with its words, and details can carry secrets.
#[derive(Clone, Debug)]
enum Details {
    Given(String),
    File(PathBuf),
    Input,
}

impl FromStr for Details {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match (text, text.strip_prefix('@')) {
            ("-", _) => Self::Input,
            (_, Some(path)) => Self::File(path.into()),
            (json, None) => Self::Given(json.to_owned()),
        })
    }
}

impl Details {
    fn read(self) -> Result<Value, Failure> {
        let (from, bytes) = match self {
            Self::Given(json) => ("read the details".to_owned(), json.into_bytes()),
            Self::File(path) => {
                let from = format!("read the details from {}", path.display());
                let bytes = fs::read(path).map_err(Failure::system(&from))?;
                (from, bytes)
            }
            Self::Input => {
                let from = "read the details from standard input".to_owned();
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes)
                    .map_err(Failure::system(&from))?;
                (from, bytes)
            }
        };
        object(&bytes).map_err(|why| Failure::new(format!("{from}: {why}")))
    }
}

/// The object that is written there. Why there is none is told without its words.
pub(super) fn object(json: &[u8]) -> Result<Value, String> {
    let value: Value = record::read(json).map_err(|why| why.to_string())?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("this is JSON, but no object".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_an_object_a_file_or_standard_input() {
        assert!(matches!("{}".parse(), Ok(Details::Given(_))));
        assert!(matches!("@a/b".parse(), Ok(Details::File(_))));
        assert!(matches!("-".parse(), Ok(Details::Input)));
        let read = |text: &str| text.parse::<Details>().unwrap().read();
        assert_eq!(read("{}").unwrap(), serde_json::json!({}));
        assert!(read("[1]").is_err() && read("{").is_err());
    }
}
