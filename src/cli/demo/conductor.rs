//! One of the demo's conductor processes: claims jobs, hashes their files and consumes them.
//!
//! It is told what to do in lines on its standard input: `keep` makes it keep every claim that it
//! has and makes, and consume no more. When no consume is on its way any more, it answers `keeping`.
//! The end of its input makes it end, so that it never outlives the demo.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::{OwnedRwLockReadGuard, RwLock},
};

use super::{AT_A_TIME, TTL};
use crate::{
    Conductor, ConductorEvent, Context, Handler, HandlerError, JobId, Outcome, Step, StopReason,
    cli::{Failure, connect::Place, output},
};

/// A conductor of the demo.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DemoConductor {
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

impl DemoConductor {
    pub(in crate::cli) async fn run(self, place: &Place) -> Result<(), Failure> {
        let worker = Arc::new(Worker {
            digests: append(&digests(&self.records, &self.who))?,
            keeping: Arc::default(),
            consuming: Mutex::default(),
            failure: Mutex::default(),
        });
        let consumed = append(&consumed(&self.records, &self.who))?;
        let board = place.connect_with(|board| board.ttl(TTL)).await?;
        let conductor = Conductor::builder(&board, &self.who).concurrency(AT_A_TIME);
        // What is on its way is still waited for, and recorded.
        let conductor = conductor
            .drain(Duration::ZERO)
            .handler(Arc::clone(&worker))?;
        let events = conductor.events();
        let recording = tokio::spawn(record_consumed(events, Arc::clone(&worker), consumed));
        let done = {
            let mut running = pin!(conductor.run());
            tokio::select! {
                biased;
                done = &mut running => done.map_err(Failure::from),
                told = listen(&worker) => {
                    conductor.stop();
                    let done = running.await.map_err(Failure::from);
                    told.and(done)
                }
            }
        };
        // Without its conductor there are no events any more.
        drop(conductor);
        let recorded = recording.await;
        board.close().await;
        let recorded = recorded.map_err(|error| Failure::new(format!("record: {error}")))?;
        let failed = lock(&worker.failure).take();
        failed.map_or(done.and(recorded), Err)
    }
}

/// Does what the lines on standard input say, until they end, or a job can not be done.
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
    digests: File,
    /// Whether claims are kept. Each consume holds this for reading, so that who got it for writing
    /// knows that none is on its way.
    keeping: Arc<RwLock<bool>>,
    /// What each job that is to be consumed holds until that is done.
    consuming: Mutex<BTreeMap<JobId, OwnedRwLockReadGuard<bool>>>,
    failure: Mutex<Option<Failure>>,
}

impl Handler for Worker {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        match self.hash(&context).await {
            Ok(outcome) => Ok(outcome),
            Err(failure) => {
                let why = failure.to_string();
                lock(&self.failure).get_or_insert(failure);
                Err(why.into())
            }
        }
    }
}

impl Worker {
    async fn hash(&self, context: &Context) -> Result<Outcome, Failure> {
        let number = context.job().id();
        let details = context.job().details();
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

        let keeping = Arc::clone(&self.keeping).read_owned().await;
        if *keeping {
            drop(keeping);
            context.cancellation().cancelled().await;
            return match context.stop_reason() {
                Some(StopReason::Lost) => {
                    let why = format!("lost job {number} while keeping it");
                    Err(Failure::new(why))
                }
                _ => Ok(Outcome::Snooze(Duration::ZERO)),
            };
        }
        lock(&self.consuming).insert(number, keeping);
        Ok(Outcome::Consume)
    }
}

/// Records what is consumed, until the conductor has ended.
async fn record_consumed(
    mut events: impl Stream<Item = ConductorEvent> + Unpin,
    worker: Arc<Worker>,
    consumed: File,
) -> Result<(), Failure> {
    while let Some(event) = events.next().await {
        let Some(job) = event.job.filter(|_| event.step != Step::Started) else {
            continue;
        };
        if event.step == Step::Consumed {
            record(&consumed, &format!("{}\n", job.id()))?;
        }
        lock(&worker.consuming).remove(&job.id());
    }
    Ok(())
}

/// Held for a few instructions only, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
