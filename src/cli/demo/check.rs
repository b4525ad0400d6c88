//! What the conductors wrote down, and whether it is what should have happened.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
    time::Duration,
};

use tokio::process::Command;

use super::conductor;
use crate::{
    JobId,
    cli::{Failure, output::line},
};

/// How many files are given to one `sha256sum`.
const PATHS: usize = 200;

/// How long the stretches of the demo took.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) posting: Duration,
    /// From the start of the conductors to the last consume.
    pub(super) working: Duration,
}

/// What became of the jobs that the dead conductor held.
#[derive(Debug)]
pub(super) struct Death {
    /// How long after the kill another had it; `None` if nobody was seen to.
    pub(super) held: BTreeMap<JobId, Option<Duration>>,
}

impl Death {
    /// The times until the jobs were claimed again, the shortest first.
    fn times(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.held.values().copied().flatten().collect();
        times.sort_unstable();
        times
    }
}

/// What was posted, and what the conductors wrote down.
#[derive(Debug)]
pub(super) struct Evidence {
    posted: BTreeMap<JobId, String>,
    digests: Vec<Hashed>,
    consumed: Vec<(JobId, String)>,
}

#[derive(Debug)]
struct Hashed {
    who: String,
    digest: String,
    job: JobId,
    path: String,
}

/// What was found wrong.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    files: usize,
    wrong: Vec<String>,
}

impl Evidence {
    /// Reads the records of all conductors.
    pub(super) fn read(
        names: &[&str],
        records: &Path,
        posted: BTreeMap<JobId, String>,
    ) -> Result<Self, Failure> {
        let (mut digests, mut consumed) = (Vec::new(), Vec::new());
        for who in names {
            for line in read(&conductor::digests(records, who))?.lines() {
                digests.push(Hashed::parse(who, line).ok_or_else(|| unreadable(who, line))?);
            }
            for line in read(&conductor::consumed(records, who))?.lines() {
                let job = line.parse().map_err(|_| unreadable(who, line))?;
                consumed.push((job, (*who).to_owned()));
            }
        }
        Ok(Self {
            posted,
            digests,
            consumed,
        })
    }

    /// Checks everything that should hold, the digests with `sha256sum`.
    pub(super) async fn judge(&self, victim: &str, death: &Death) -> Result<Judgement, Failure> {
        let sums = sha256sums(self.posted.values()).await?;
        Ok(self.compare(victim, death, &sums))
    }

    fn compare(&self, victim: &str, death: &Death, sums: &HashMap<String, String>) -> Judgement {
        let mut wrong = Vec::new();
        let mut by: BTreeMap<JobId, Vec<&str>> = BTreeMap::new();
        for (job, who) in &self.consumed {
            by.entry(*job).or_default().push(who);
        }
        for (job, owners) in by.iter().filter(|(_, owners)| owners.len() > 1) {
            wrong.push(format!(
                "job {job} was consumed by {}",
                owners.join(" and ")
            ));
        }
        for job in by.keys().filter(|job| !self.posted.contains_key(job)) {
            wrong.push(format!("job {job} was consumed but never posted"));
        }
        for job in self.posted.keys().filter(|job| !by.contains_key(job)) {
            wrong.push(format!("job {job} was consumed by nobody"));
        }
        for hashed in &self.digests {
            let Hashed { who, job, path, .. } = hashed;
            if self.posted.get(job) != Some(path) {
                wrong.push(format!(
                    "{who} hashed {path} for job {job}, which is about another"
                ));
            } else if sums.get(path) != Some(&hashed.digest) {
                wrong.push(format!("{who} has another digest of {path} than sha256sum"));
            }
        }
        let hashed = self.digests.iter().map(|it| (it.job, &it.who));
        let hashed: HashSet<(JobId, &String)> = hashed.collect();
        for (job, who) in &self.consumed {
            if !hashed.contains(&(*job, who)) {
                wrong.push(format!("{who} consumed job {job} without a digest"));
            }
        }
        for (job, again) in &death.held {
            if again.is_none() {
                wrong.push(format!(
                    "job {job} of the dead was not seen to be claimed again"
                ));
            }
            if by.get(job).is_some_and(|owners| owners.contains(&victim)) {
                wrong.push(format!("job {job} was consumed by the dead"));
            }
        }
        Judgement {
            files: self.posted.len(),
            wrong,
        }
    }
}

impl Hashed {
    fn parse(who: &str, line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, "  ");
        let (digest, job, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            who: who.to_owned(),
            digest: digest.to_owned(),
            job: job.parse().ok()?,
            path: path.to_owned(),
        })
    }
}

impl Judgement {
    /// Prints the summary.
    ///
    /// # Errors
    /// If anything was wrong, after the summary and what it was.
    pub(super) fn tell(self, pace: &Pace, death: &Death) -> Result<(), Failure> {
        const SHOWN: usize = 10;
        let Self { files, wrong } = self;
        line(format_args!(
            "posted    {files} jobs, {}",
            rate(files, pace.posting)
        ))?;
        line(format_args!(
            "consumed  {files} jobs by three conductors, {}, the death of one included",
            rate(files, pace.working)
        ))?;
        let times = death.times();
        if let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) {
            line(format_args!(
                "killed    one conductor with {} claims; each was claimed again {:.2} s (median) to \
                 {:.2} s (worst) after the kill",
                death.held.len(),
                median.as_secs_f64(),
                worst.as_secs_f64()
            ))?;
        }
        if wrong.is_empty() {
            line("checked   each job was consumed exactly once, each digest is that of sha256sum")?;
            return Ok(());
        }
        for what in wrong.iter().take(SHOWN) {
            line(format_args!("wrong     {what}"))?;
        }
        Err(Failure::new(format!(
            "the demo failed: {} things are wrong",
            wrong.len()
        )))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number for people")]
fn rate(jobs: usize, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    format!("{:.0} jobs/s ({seconds:.1} s)", jobs as f64 / seconds)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(Failure::system(format!("read {}", path.display())))
}

fn unreadable(who: &str, line: &str) -> Failure {
    Failure::new(format!("read the records of {who}: {line:?} is no record"))
}

/// What `sha256sum` says of the files.
async fn sha256sums(
    paths: impl Iterator<Item = &String>,
) -> Result<HashMap<String, String>, Failure> {
    let paths: Vec<&String> = paths.collect();
    let mut sums = HashMap::with_capacity(paths.len());
    for paths in paths.chunks(PATHS) {
        // `--zero`: names come as they are, whatever is in them.
        let mut command = Command::new("sha256sum");
        command
            .args(["--zero", "--"])
            .args(paths)
            .kill_on_drop(true);
        let output = command.output().await;
        let output = output.map_err(Failure::system("run sha256sum"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("run sha256sum: {}", why.trim())));
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        let pairs = lines.split('\0').filter_map(|line| line.split_once("  "));
        sums.extend(pairs.map(|(digest, path)| (path.to_owned(), digest.to_owned())));
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    /// Two jobs; `b` consumed the first, and the second that `a` held when it died.
    fn setup() -> (Evidence, Death, HashMap<String, String>) {
        let hashed = |who, digest, number, path| {
            Hashed::parse(who, &format!("{digest}  {number}  {path}")).unwrap()
        };
        let evidence = Evidence {
            posted: [(job(1), "/x".to_owned()), (job(2), "/a  b".to_owned())].into(),
            digests: vec![
                hashed("a", "d2", 2, "/a  b"),
                hashed("b", "d1", 1, "/x"),
                hashed("b", "d2", 2, "/a  b"),
            ],
            consumed: vec![(job(1), "b".to_owned()), (job(2), "b".to_owned())],
        };
        let death = Death {
            held: [(job(2), Some(Duration::from_secs(3)))].into(),
        };
        let sums = [("/x", "d1"), ("/a  b", "d2")];
        let sums = sums.map(|(path, digest)| (path.to_owned(), digest.to_owned()));
        (evidence, death, sums.into())
    }

    fn wrong((evidence, death, sums): &(Evidence, Death, HashMap<String, String>)) -> Vec<String> {
        evidence.compare("a", death, sums).wrong
    }

    #[test]
    fn nothing_is_wrong_when_each_job_was_done_once_by_the_living() {
        assert_eq!(wrong(&setup()), [""; 0]);
    }

    #[test]
    fn job_that_was_consumed_twice_or_never_is_wrong() {
        let mut twice = setup();
        twice.0.consumed.push((job(1), "a".to_owned()));
        assert_eq!(wrong(&twice)[0], "job 1 was consumed by b and a");
        let mut never = setup();
        never.0.consumed.pop();
        assert_eq!(wrong(&never), ["job 2 was consumed by nobody"]);
    }

    #[test]
    fn digest_that_is_not_that_of_sha256sum_is_wrong() {
        let mut other = setup();
        other.2.insert("/x".to_owned(), "d9".to_owned());
        assert_eq!(wrong(&other), ["b has another digest of /x than sha256sum"]);
    }

    #[test]
    fn job_of_the_dead_that_it_consumed_or_nobody_claimed_again_is_wrong() {
        let mut dead = setup();
        dead.0.consumed[1].1 = "a".to_owned();
        dead.1.held.insert(job(2), None);
        let wrong = wrong(&dead);
        assert_eq!(
            wrong[0],
            "job 2 of the dead was not seen to be claimed again"
        );
        assert_eq!(wrong[1], "job 2 was consumed by the dead");
    }
}
