//! One of the demo's conductor processes: claims jobs, hashes their files and consumes them.
//!
//! It is told what to do in lines on its standard input: `keep` makes it keep every claim that it
//! has and makes, and consume no more. When no consume is on its way any more, it answers `keeping`.
//! The end of its input makes it end, so that it never outlives the demo.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::RwLock,
};
use tokio_util::sync::CancellationToken;

use super::{AT_A_TIME, TTL};
use crate::{
    Claim, Job,
    cli::{
        Failure,
        connect::Place,
        crew::{Limits, Verdict, work},
        output,
    },
};

/// A conductor of the demo.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Conductor {
    /// The name under which it claims.
    #[arg(long)]
    who: String,
    /// The folder for its records.
    #[arg(long)]
    records: PathBuf,
}

/// The file with a line `digest  number  path` for each file that was hashed.
pub(super) fn digests(records: &Path, who: &str) -> PathBuf {
    records.join(format!("{who}.digests"))
}

/// The file with the number of each job that was consumed.
pub(super) fn consumed(records: &Path, who: &str) -> PathBuf {
    records.join(format!("{who}.consumed"))
}

impl Conductor {
    pub(in crate::cli) async fn run(self, place: &Place) -> Result<(), Failure> {
        let worker = Arc::new(Worker {
            digests: append(&digests(&self.records, &self.who))?,
            consumed: append(&consumed(&self.records, &self.who))?,
            who: self.who,
            keeping: RwLock::new(false),
            over: CancellationToken::new(),
        });
        let board = place.connect_with(|board| board.ttl(TTL)).await?;
        let limits = Limits {
            concurrency: AT_A_TIME,
            max: None,
            stop: worker.over.clone(),
        };
        let mut jobs = pin!(work(&board, limits, |job| {
            let worker = Arc::clone(&worker);
            async move { worker.attempt(job).await }
        }));
        let done = tokio::select! {
            biased;
            done = &mut jobs => done,
            told = listen(&worker) => {
                // What is on its way is still waited for, and recorded.
                worker.over.cancel();
                let done = jobs.await;
                told.and(done)
            }
        };
        board.close().await;
        done
    }
}

/// Does what the lines on standard input say, until they end.
async fn listen(worker: &Worker) -> Result<(), Failure> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        let line = lines.next_line().await;
        match line
            .map_err(Failure::system("listen to the demo"))?
            .as_deref()
        {
            Some("keep") => {
                *worker.keeping.write().await = true;
                output::line("keeping")?;
            }
            Some(other) => return Err(Failure::new(format!("{other:?} is no order"))),
            None => return Ok(()),
        }
    }
}

struct Worker {
    who: String,
    digests: File,
    consumed: File,
    /// Whether claims are kept. Each consume holds this for reading, so that who got it for writing
    /// knows that none is on its way.
    keeping: RwLock<bool>,
    /// Fires when the demo wants no more of this process.
    over: CancellationToken,
}

impl Worker {
    async fn attempt(&self, job: Job) -> Verdict {
        let claim = match job.board().claim(&job, &self.who).await {
            Ok(claim) => claim,
            Err(error) => return Verdict::of_claim(&error),
        };
        match self.settle(&claim).await {
            Ok(()) => Verdict::Tried,
            Err(failure) => Verdict::Failed(failure),
        }
    }

    async fn settle(&self, claim: &Claim) -> Result<(), Failure> {
        let number = claim.job().id();
        let details = claim.job().details();
        let path = details.get("path").and_then(serde_json::Value::as_str);
        let path = path
            .ok_or_else(|| Failure::new(format!("hash the file of job {number}: it has no path")))?
            .to_owned();
        let file = path.clone();
        let digest = tokio::task::spawn_blocking(move || digest(&file))
            .await
            .map_err(|error| Failure::new(format!("hash {path}: {error}")))?
            .map_err(Failure::system(format!("hash {path}")))?;
        record(&self.digests, &format!("{digest}  {number}  {path}\n"))?;

        let keeping = self.keeping.read().await;
        if *keeping {
            drop(keeping);
            tokio::select! {
                biased;
                () = self.over.cancelled() => return Ok(()),
                () = claim.lost() => {}
            }
            return Err(Failure::new(format!("lost job {number} while keeping it")));
        }
        claim.consume().await?;
        record(&self.consumed, &format!("{number}\n"))
    }
}

/// One write for each line: whoever is killed leaves whole lines.
fn record(mut file: &File, line: &str) -> Result<(), Failure> {
    file.write_all(line.as_bytes())
        .map_err(Failure::system("write a record"))
}

fn append(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(Failure::system(format!("open {}", path.display())))
}

/// The SHA-256 of a file, in lower-case hexadecimal digits.
fn digest(path: &str) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let mut digits = String::with_capacity(64);
    for byte in hash.finalize() {
        write!(digits, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_the_standard() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(
            digest(path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
