//! What a person sees of each command, on real etcd.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use jobboard::{
    Backoff, Ended, JobBoard, NewJob,
    store::{Key, KeyRange, RangeRequest, Revision, Store, StoreExt, etcd::Etcd},
    testing::LocalEtcd,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::Instant;

/// A board of its own for each test.
struct Setup {
    etcd: LocalEtcd,
}

async fn setup() -> Setup {
    let etcd = LocalEtcd::start().await.unwrap();
    Setup { etcd }
}

impl Setup {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = jobboard(arguments);
        command.env("JOBBOARD_ENDPOINTS", self.etcd.endpoint());
        command
    }

    /// Runs a command that should do what it was asked for, and gives its standard output.
    fn output(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn list(&self) -> Vec<Value> {
        let lines = self.output(&["--output", "json", "list"]);
        lines
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect()
    }

    /// Starts a command that runs until it is stopped.
    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    async fn revision(&self, store: &Etcd) -> Revision {
        let nothing = RangeRequest::new(Key::new("none").unwrap());
        store.range(nothing).await.unwrap().header.revision
    }
}

/// The command in an environment without settings of the person who tests.
fn jobboard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobboard"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("JOBBOARD_") {
            command.env_remove(name);
        }
    }
    command.env_remove("NO_COLOR").args(arguments);
    command
}

/// Runs a line of shell for each of so many jobs.
const fn shell<'a>(max: &'a str, line: &'a str) -> [&'a str; 7] {
    ["run", "--max", max, "--", "sh", "-c", line]
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

/// Waits for a line of a process that has `text` in it.
fn await_line(lines: &mut impl BufRead, text: &str) -> String {
    lines
        .lines()
        .map(Result::unwrap)
        .find(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no line with {text:?} came"))
}

#[tokio::test]
async fn posted_job_is_listed_and_shown() {
    let board = setup().await;
    let mut post = board.command(&["--output", "json", "post", "thumbnail", "--details", "-"]);
    let mut post = post
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    post.stdin
        .take()
        .unwrap()
        .write_all(br#"{"file":"a.png"}"#)
        .unwrap();
    let posted = post.wait_with_output().unwrap().stdout;
    let posted: Value = serde_json::from_slice(&posted).unwrap();
    board.output(&["post", "urgent", "--priority", "very_high"]);

    let listed = board.list();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["name"], "urgent");
    assert_eq!(listed[1]["uuid"], posted["uuid"]);
    assert_eq!(listed[1].get("details"), None);
    let table = board.output(&["list"]);
    assert!(
        table.lines().nth(1).unwrap().contains("VERY_HIGH"),
        "{table}"
    );

    for which in ["number", "uuid"] {
        let which = posted[which].to_string();
        let shown = board.output(&["show", which.trim_matches('"'), "--output", "json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["details"], json!({"file": "a.png"}));
        assert_eq!(
            (&shown["state"], &shown["owner"]),
            (&json!("UNCLAIMED"), &Value::Null)
        );
    }
    assert!(board.output(&["show", "1"]).contains("a.png"));
}

#[tokio::test]
async fn list_tells_claimed_jobs_and_their_owner_from_others() {
    let board = setup().await;
    board.output(&["post", "one"]);
    let mut run = board.start(&[
        "run",
        "--who",
        "w",
        "--",
        "sh",
        "-c",
        "echo started; exec sleep 60",
    ]);
    await_line(&mut BufReader::new(run.stdout.take().unwrap()), "started");
    board.output(&["post", "two"]);
    let names = |state: &str| {
        let lines = board.output(&["list", "--output", "json", "--state", state]);
        let jobs = lines
            .lines()
            .map(|it| serde_json::from_str::<Value>(it).unwrap());
        jobs.map(|job| (job["name"].clone(), job["owner"].clone()))
            .collect::<Vec<_>>()
    };
    let claimed = names("claimed");
    let owner = claimed[0].1.as_str().unwrap();
    assert_eq!((claimed.len(), &claimed[0].0), (1, &json!("one")));
    let pid = format!(":{}", run.id());
    assert!(owner.starts_with("w@") && owner.ends_with(&pid), "{owner}");
    assert_eq!(names("unclaimed"), [(json!("two"), Value::Null)]);
    run.kill().unwrap();
    run.wait().unwrap();
}

/// What TaskFlow writes of a job.
const OF_TASKFLOW: &str = r#"{"uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11", "name": "theirs", "priority": "HIGH", "created_on": "2026-01-31T12:00:00.123456", "details": {"store": {"n": 1}}, "book": {"name": "images", "uuid": "0b1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11"}, "sequence": 7}"#;

async fn put(board: &Setup, records: &[(&str, &str)]) {
    let store = Etcd::connect([board.etcd.endpoint()]).await.unwrap();
    for (name, record) in records {
        let key = Key::new(format!("/taskflow/jobs/jobboard/{name}")).unwrap();
        store.put(key, record.to_string().into()).await.unwrap();
    }
}

#[tokio::test]
async fn list_and_show_tell_what_taskflow_posted_and_claimed() {
    let board = setup().await;
    board.output(&["post", "ours"]);
    put(
        &board,
        &[
            ("job7.data", OF_TASKFLOW),
            ("job7.lock", r#"{"owner": "conductor-1"}"#),
            (
                "job7.last_modified",
                r#"{"last_modified": "2026-01-31T12:00:01.000000"}"#,
            ),
        ],
    )
    .await;

    let listed = board.list();
    let told = |job: &Value| {
        let of = ["name", "posted_by", "owner", "claimed_by", "leased"];
        json!(of.map(|it| job[it].clone()))
    };
    let theirs = json!(["theirs", "taskflow", "conductor-1", "taskflow", false]);
    assert_eq!(told(&listed[0]), theirs);
    assert_eq!(
        told(&listed[1]),
        json!(["ours", "jobboard", null, null, null])
    );
    assert_eq!(listed[0]["unreadable"], json!([]));
    let table = board.output(&["list"]);
    let row = table.lines().nth(1).unwrap();
    let notes = "posted by TaskFlow; claimed by TaskFlow; stays claimed when its owner dies";
    assert!(row.trim_end().ends_with(notes), "{table}");

    let shown = board.output(&["show", "7", "--output", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let uuid = "0b1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11";
    assert_eq!(shown["book"], json!({"name": "images", "uuid": uuid}));
    assert_eq!(shown["details"], json!({"store": {"n": 1}}));
    assert_eq!(shown["last_modified"], "2026-01-31T12:00:01Z");
    let table = board.output(&["show", "7"]);
    assert!(
        table.contains(uuid) && table.contains("claimed by TaskFlow"),
        "{table}"
    );
}

/// Of each kind of what can not be read one; a job that can be, but for its owner, is job 1.
async fn broken() -> Setup {
    let board = setup().await;
    let newer = OF_TASKFLOW.replace("\"sequence\"", r#""jobboard": {"v": 2}, "sequence""#);
    let records = [
        ("job1.data", OF_TASKFLOW),
        ("job1.lock", "hunter2"),
        ("job2.data", "hunter2"),
        ("job3.lock", r#"{"owner": "conductor-1", "lease_id": 5}"#),
        ("job4.data", &newer),
        ("job5", ""),
    ];
    put(&board, &records).await;
    board
}

#[tokio::test]
async fn list_has_a_row_for_what_can_not_be_read_and_says_why() {
    let board = broken().await;
    let output = board.command(&["list"]).output().unwrap();
    assert_eq!(stderr(&output), "", "the table tells it");
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = table.lines().skip(1).map(str::trim).collect();
    let of_1 = ["1 ", "CLAIMED", "HIGH", "theirs", "?"];
    for (row, fields, why) in [
        (rows[0], &of_1[..], "job1.lock: it is not JSON"),
        (rows[1], &["-"], "job5: it is no key of a board"),
        (rows[2], &["2 "], "job2.data: it is not JSON"),
        (rows[3], &["3 ", "conductor-1"], "job3.data: other keys of"),
        (rows[3], &[], "stays claimed when its owner dies"),
        (rows[4], &["4 "], "job4.data: its layout has version 2"),
    ] {
        assert!(row.contains(why), "{row}");
        assert!(fields.first().is_none_or(|first| row.starts_with(first)));
        assert!(fields.iter().all(|field| row.contains(field)), "{row}");
        assert_eq!(row.contains("UNREADABLE"), !row.contains("CLAIMED"));
    }
    assert_eq!(rows.len(), 5);
    assert!(!table.contains("hunter2"));

    let only = board.output(&["list", "--state", "unreadable", "--output", "json"]);
    let only = only.lines().map(|it| serde_json::from_str(it).unwrap());
    let only: Vec<Value> = only.collect();
    assert_eq!(only.len(), 4);
    // Its record names a lease, and the key is on none.
    assert_eq!(only[2]["leased"], false);
    let newer = &only[3]["unreadable"][0];
    assert_eq!(newer["key"], "/taskflow/jobs/jobboard/job4.data");
    assert_eq!(newer["newer"], true);
}

#[tokio::test]
async fn job_that_can_not_be_read_is_shown_with_the_reason_and_hides_no_other() {
    let board = broken().await;
    for (job, why) in [
        ("1", "job1.lock: it is not JSON"),
        ("2", "job2.data: it is not JSON"),
        ("3", "job3.data: other keys of"),
    ] {
        let shown = board.output(&["show", job]);
        assert!(shown.contains(why) && !shown.contains("hunter2"), "{shown}");
    }
    board.output(&["post", "ours"]);
    assert_eq!(board.list()[1]["name"], "ours");
}

#[tokio::test]
async fn control_characters_of_a_record_do_not_reach_the_terminal() {
    let board = setup().await;
    let hostile = "\u{1b}[2J\u{7f}\u{9b}2J\n";
    let mut job: Value = serde_json::from_str(OF_TASKFLOW).unwrap();
    job["name"] = json!(hostile);
    job["book"]["name"] = json!(hostile);
    job["details"] = json!({hostile: hostile});
    let owner = json!({"owner": hostile}).to_string();
    put(
        &board,
        &[
            ("job1.data", &job.to_string()),
            ("job1.lock", &owner),
            (&format!("job2.{hostile}"), ""),
            ("job3.lock", &owner),
        ],
    )
    .await;
    for arguments in [&["list"][..], &["show", "1"], &["show", "3"]] {
        for format in ["table", "json"] {
            let arguments = [arguments, &["--output", format]].concat();
            let mut command = board.command(&arguments);
            command.env("JOBBOARD_LOG", "warn");
            let output = command.output().unwrap();
            assert!(output.status.success());
            for told in [output.stdout, output.stderr] {
                let told = String::from_utf8(told).unwrap();
                let hostile = |letter: char| letter.is_control() && letter != '\n';
                assert!(!told.contains(hostile), "{arguments:?}: {told:?}");
            }
        }
    }
    let shown = board.output(&["show", "1", "--output", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["details"], json!({hostile: hostile}));
}

/// What a terminal would obey.
const ODD: &str = "a\u{1b}[2J\u{9b}2J\u{7f}\r\u{202e}b";

/// Proves that [`ODD`] was told, and nothing in it would be obeyed.
fn harmless(text: &str) {
    let obeyed = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(text.contains("[2J") && !text.contains(obeyed), "{text:?}");
}

/// A posting of that name.
fn named(name: &str) -> String {
    let mut posting: Value = serde_json::from_str(OF_TASKFLOW).unwrap();
    posting["name"] = json!(name);
    posting.to_string()
}

#[tokio::test]
async fn list_and_show_send_no_control_characters_to_the_terminal() {
    let setup = setup().await;
    let mut posting: Value = serde_json::from_str(&named(ODD)).unwrap();
    posting["details"] = json!({ODD: [ODD]});
    let (posting, owner) = (posting.to_string(), json!({"owner": ODD}).to_string());
    put(&setup, &[("job7.data", &posting), ("job7.lock", &owner)]).await;
    for output in ["table", "json"] {
        harmless(&setup.output(&["--output", output, "list"]));
        harmless(&setup.output(&["--output", output, "show", "7"]));
    }
    assert_eq!(setup.list()[0]["name"], ODD);
}

#[tokio::test]
async fn run_sends_no_control_characters_to_the_terminal() {
    let setup = setup().await;
    for format in ["table", "json"] {
        put(&setup, &[("job7.data", &named(ODD))]).await;
        let mut run = setup.command(&["--output", format, "run", "--max", "1", "--", "true"]);
        let told = stderr(&run.output().unwrap());
        harmless(&told);
        if format == "json" {
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["name"], ODD);
        }
    }
}

#[tokio::test]
async fn run_does_a_job_however_long_its_name_is() {
    let setup = setup().await;
    put(&setup, &[("job7.data", &named(&"ä".repeat(100_000)))]).await;
    let told = setup.output(&shell("1", "echo $JOBBOARD_JOB_NAME"));
    assert_eq!(told.trim_end(), "ä".repeat(127));
    assert_eq!(setup.list(), Vec::<Value>::new());
}

#[tokio::test]
async fn list_and_show_write_nothing() {
    let board = setup().await;
    board.output(&["post", "one"]);
    let store = Etcd::connect([board.etcd.endpoint()]).await.unwrap();
    let before = board.revision(&store).await;
    board.output(&["list"]);
    board.output(&["show", "1"]);
    assert_eq!(board.revision(&store).await, before);
}

#[test]
fn wrong_command_line_exits_with_2() {
    for wrong in [
        &["post", "one", "--priority", "urgent"][..],
        &["--board", "a/b", "list"],
        &["--namespace", "none", "list"],
        &["show", "0"],
        &["run"],
        &["run", "--concurrency", "0", "--", "true"],
        &["demo", "--files", "1"],
        &["bench", "--rounds", "0"],
        &["bench", "--only", "everything"],
    ] {
        let output = jobboard(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn job_that_was_posted_but_could_not_be_told_of_is_said_to_be_posted() {
    let board = setup().await;
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let mut post = board.command(&["post", "one"]);
    let output = post.stdout(full.unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let posted = board.list();
    let uuid = posted[0]["uuid"].as_str().unwrap();
    let why = format!("job 1 {uuid} was posted");
    assert!(stderr(&output).contains(&why), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1);
}

#[tokio::test]
async fn log_goes_into_a_pipe_without_colours() {
    let board = setup().await;
    let mut list = board.command(&["list"]);
    let told = list.env("JOBBOARD_LOG", "h2=debug").output().unwrap();
    let told = stderr(&told);
    assert!(told.contains("DEBUG") && !told.contains('\u{1b}'));
}

#[tokio::test]
async fn log_level_that_is_wrong_exits_with_2_before_anything_is_done() {
    let board = setup().await;
    for wrong in ["verbose", "jobboard=loud"] {
        let mut post = board.command(&["post", "one"]);
        let output = post.env("JOBBOARD_LOG", wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let why = format!("error: JOBBOARD_LOG={wrong}: ");
        assert!(stderr(&output).starts_with(&why), "{}", stderr(&output));
    }
    assert_eq!(board.list(), Vec::<Value>::new());
    let mut list = board.command(&["list"]);
    let unset = list.env("JOBBOARD_LOG", "").output().unwrap();
    assert!(unset.status.success());
}

#[test]
fn option_that_would_do_nothing_is_refused_and_not_in_the_help() {
    for (command, option, value) in [
        ("demo", "--endpoints", "http://127.0.0.1:1"),
        ("demo", "--namespace", "/taskflow"),
        ("demo", "--board", "images"),
        ("demo", "--user", "u"),
        ("demo", "--output", "json"),
        ("bench", "--endpoints", "http://127.0.0.1:1"),
        ("bench", "--namespace", "/taskflow"),
        ("bench", "--board", "images"),
        ("bench", "--user", "u"),
    ] {
        for arguments in [[command, option, value], [option, value, command]] {
            let output = jobboard(&arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            let why = format!("'jobboard {command}' takes no '{option}'");
            assert!(stderr(&output).contains(&why), "{}", stderr(&output));
        }
        let help = help(&[command]);
        assert!(!help.contains(option), "{help}");
    }
    // In the environment it is there for the other commands.
    let mut demo = jobboard(&["demo", "--etcd", "/none", "--dir", "src"]);
    let output = demo.env("JOBBOARD_BOARD", "images").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

fn help(command: &[&str]) -> String {
    let mut arguments = command.to_vec();
    arguments.push("--help");
    let output = jobboard(&arguments).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_has_the_options_of_the_place_alone_under_its_heading_and_ends_with_the_exit_codes() {
    for command in [&[][..], &["list"], &["run"]] {
        let help = help(command);
        let (before, place) = help.split_once("Where the board is:").unwrap();
        assert!(before.contains("--output"), "{help}");
        assert!(place.contains("--board") && !place.contains("--output"));
    }
    let help = help(&[]);
    let (_, end) = help.split_once("Exit codes:").unwrap();
    assert!(end.contains("JOBBOARD_PASSWORD") && end.contains("JOBBOARD_LOG"));
}

#[tokio::test]
async fn what_can_not_be_done_exits_with_1_and_one_line() {
    let board = setup().await;
    board.output(&["post", "one"]);
    for (arguments, why) in [
        (&["show", "7"][..], "show job 7"),
        (&["post", ""], "the name is empty"),
        (
            &["post", "one", "--details", "@/none"],
            "read the details from /none",
        ),
        (
            &["post", "one", "--details", "[1]"],
            "read the details: this is JSON, but no object",
        ),
        (&["run", "--", "/none"], "run /none"),
        (&["--user", "u", "list"], "JOBBOARD_PASSWORD"),
        (&["demo", "--etcd", "/none"], "/none"),
        (
            &["list", "--endpoints", "https://127.0.0.1:2379"],
            "the command line has no options for TLS",
        ),
    ] {
        let output = board.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = stderr(&output);
        assert!(told.starts_with("error: ") && told.contains(why), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    assert_eq!(board.list()[0]["state"], "UNCLAIMED");
}

#[test]
fn details_that_are_refused_are_not_repeated() {
    let details = r#"{"password": hunter2}"#;
    let output = jobboard(&["post", "one", "--details", details]).output();
    let told = stderr(&output.unwrap());
    let why = "error: read the details: it is not JSON (line 1, column 14)\n";
    assert_eq!(told, why);
}

#[tokio::test]
async fn etcd_that_is_down_or_silent_is_told_within_the_connect_timeout() {
    let mut board = setup().await;
    let told_in_time = |board: &Setup| {
        let begun = Instant::now();
        let output = board.command(&["list"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&board.etcd.endpoint()));
        assert_eq!(stderr(&output).lines().count(), 1);
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
    };
    board.etcd.pause().unwrap();
    told_in_time(&board);
    board.etcd.kill();
    told_in_time(&board);
}

#[tokio::test]
async fn run_hands_the_job_to_the_command_and_consumes_it() {
    let board = setup().await;
    // Posted once the command waits: it comes by push.
    let run = board.start(&shell(
        "2",
        "cat; echo; echo $JOBBOARD_JOB $JOBBOARD_JOB_NAME $JOBBOARD_TOKEN",
    ));
    board.output(&["post", "first", "--details", r#"{"n":1}"#]);
    board.output(&["post", "second", "--details", r#"{"n":2}"#]);
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines[0], lines[2]), (r#"{"n":1}"#, r#"{"n":2}"#));
    assert!(lines[1].starts_with("1 first "), "{told}");
    let token = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(token(lines[3]) > token(lines[1]), "{told}");
    assert_eq!(board.list(), Vec::<Value>::new());
}

#[tokio::test]
async fn run_gives_a_failed_job_back_to_be_tried_again_later_and_at_last_trashes_it() {
    let setup = setup().await;
    let store = Etcd::connect([setup.etcd.endpoint()]).await.unwrap();
    let board = JobBoard::builder("jobboard").store(store);
    let board = board.connect().await.unwrap();
    let soon = Backoff::new(Duration::from_millis(10), Duration::from_millis(10));
    let job = NewJob::new("one").backoff(soon).max_attempts(3);
    let job = board.post(job).await.unwrap();
    let mut run = setup.command(&["--output", "json", "run", "--max", "3", "--", "false"]);
    let told = stderr(&run.output().unwrap());
    let reports = told.lines().map(|it| serde_json::from_str(it).unwrap());
    let reports: Vec<Value> = reports.collect();
    assert_eq!(reports.len(), 3);
    for report in reports {
        assert_eq!(report["outcome"], "abandoned", "{told}");
        assert_eq!(report["why"], "exit status: 1", "{told}");
    }
    board.fresh_jobs().await.unwrap();
    let reason = job.last_reason();
    assert_eq!(
        (job.attempts(), reason.as_deref()),
        (3, Some("exit status: 1"))
    );
    assert!(job.not_before().is_some());

    let mut run = setup.start(&["--output", "json", "run", "--", "false"]);
    let ended = job.wait(Some(Duration::from_mins(1))).await.unwrap();
    assert!(matches!(ended, Ended::Trashed(Some(_))), "{ended:?}");
    run.kill().unwrap();
    run.wait().unwrap();
    board.close().await;
}

#[tokio::test]
async fn run_waits_out_a_pause_and_tells_of_it_once() {
    let setup = setup().await;
    let store = Etcd::connect([setup.etcd.endpoint()]).await.unwrap();
    let board = JobBoard::builder("jobboard").store(store);
    let board = board.connect().await.unwrap();
    board.pause("ops", Some("full\u{9b}2J")).await.unwrap();
    let mut run = setup.start(&["--output", "json", "run", "--max", "1", "--", "true"]);
    let mut told = BufReader::new(run.stderr.take().unwrap());
    let paused: Value = serde_json::from_str(&await_line(&mut told, "paused")).unwrap();
    let why = "nothing is claimed until the board is resumed (ops: full\u{9b}2J)";
    assert_eq!(paused, json!({"outcome": "paused", "why": why}));
    let job = board.post(NewJob::new("one")).await.unwrap();
    let waits = job.wait(Some(Duration::from_millis(500))).await.unwrap();
    assert_eq!(waits, Ended::TimedOut);
    board.resume().await.unwrap();
    let ended = job.wait(Some(Duration::from_mins(1))).await.unwrap();
    assert_eq!(ended, Ended::Consumed(None));
    assert!(run.wait().unwrap().success());
    let rest: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let outcomes: Vec<_> = rest.iter().map(|told| &told["outcome"]).collect();
    assert_eq!(outcomes, ["resumed", "consumed"]);
    board.close().await;
}

#[tokio::test]
async fn run_does_several_jobs_at_a_time() {
    let board = setup().await;
    let folder = tempfile::tempdir().unwrap();
    board.output(&["post", "one"]);
    board.output(&["post", "two"]);
    // Each waits for the other's file.
    let both = "touch $JOBBOARD_JOB; until [ -e 1 ] && [ -e 2 ]; do sleep 0.01; done";
    let mut run = board.command(&[
        "run",
        "--concurrency",
        "2",
        "--max",
        "2",
        "--",
        "sh",
        "-c",
        both,
    ]);
    assert!(
        run.current_dir(folder.path())
            .output()
            .unwrap()
            .status
            .success()
    );
    assert_eq!(board.list(), Vec::<Value>::new());
}

#[tokio::test]
async fn first_signal_waits_for_the_command_and_the_second_kills_it() {
    let board = setup().await;
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    for again in [false, true] {
        board.output(&["post", "one"]);
        let wait = format!(
            "echo started; until [ -e {} ]; do sleep 0.01; done",
            go.display()
        );
        let mut run = board.start(&["run", "--", "sh", "-c", &wait]);
        await_line(&mut BufReader::new(run.stdout.take().unwrap()), "started");
        let mut told = BufReader::new(run.stderr.take().unwrap());
        signal(&run, Signal::TERM);
        await_line(&mut told, "stopping");
        if again {
            signal(&run, Signal::INT);
            await_line(&mut told, "killed");
        } else {
            fs::write(&go, "").unwrap();
            await_line(&mut told, "consumed");
            fs::remove_file(&go).unwrap();
        }
        assert!(run.wait().unwrap().success());
    }
    // The job of the killed command is back at once.
    let left = board.list();
    assert_eq!((left.len(), &left[0]["state"]), (1, &json!("UNCLAIMED")));
}

#[tokio::test]
async fn cancelled_job_goes_into_the_trash_however_long_the_reason_is() {
    let setup = setup().await;
    let store = Etcd::connect([setup.etcd.endpoint()]).await.unwrap();
    let board = JobBoard::builder("jobboard").store(store);
    let board = board.connect().await.unwrap();
    let job = board.post(NewJob::new("one")).await.unwrap();
    let command = "echo started; exec sleep 1000";
    let mut run = setup.start(&shell("1", command));
    await_line(&mut BufReader::new(run.stdout.take().unwrap()), "started");
    let longest = "x".repeat(4_096);
    board.cancel(&job, "ops", Some(&longest)).await.unwrap();
    let ended = job.wait(Some(Duration::from_mins(1))).await.unwrap();
    let told = format!("cancelled, and its command was killed: {longest}");
    assert_eq!(ended, Ended::Trashed(Some(told[..4_096].to_owned())));
    assert!(run.wait().unwrap().success());
    board.close().await;
}

#[tokio::test]
async fn lost_claim_kills_the_command() {
    let board = setup().await;
    board.output(&["post", "one"]);
    let mut run = board.start(&shell("1", "echo started; sleep 1000; echo alive"));
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    await_line(&mut stdout, "started");
    let store = Etcd::connect([board.etcd.endpoint()]).await.unwrap();
    let owner = Key::new("/taskflow/jobs/jobboard/job1.lock").unwrap();
    store.delete(KeyRange::from(owner)).await.unwrap();
    await_line(&mut BufReader::new(run.stderr.take().unwrap()), "lost");
    // The output ends once all that was started has ended.
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(run.wait().unwrap().success());
}

#[test]
fn demo_does_each_job_once_and_leaves_nothing_behind() {
    let folder = small_folder();
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), temporary.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert!(stderr(&output).contains("killed conductor-2 with SIGKILL"));
    assert!(
        told.contains("each job was consumed exactly once"),
        "{told}"
    );
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn interrupted_demo_leaves_nothing_behind() {
    let folder = small_folder();
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = demo(folder.path(), temporary.path());
    let mut demo = demo
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(demo.stderr.take().unwrap());
    await_line(&mut told, "consumed");
    signal(&demo, Signal::INT);
    await_line(&mut told, "interrupted");
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    // Each conductor has the other end: it closes when the last of them has ended.
    told.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn interrupted_bench_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let is_empty = || fs::read_dir(temporary.path()).unwrap().next().is_none();
    for asked in [Signal::INT, Signal::TERM] {
        let mut bench = jobboard(&["bench", "--quick", "--only", "idle"]);
        bench.env("TMPDIR", temporary.path());
        bench.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut bench = bench.spawn().unwrap();
        await_line(&mut BufReader::new(bench.stdout.take().unwrap()), "etcd");
        while is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        signal(&bench, asked);
        let ended = bench.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        assert!(stderr(&ended).contains("interrupted"), "{}", stderr(&ended));
        assert!(is_empty());
    }
}

#[test]
fn bench_tells_each_figure_beside_another_for_people_and_for_programs() {
    let bench = |format| {
        let arguments = ["--output", format, "bench", "--quick", "--only", "idle"];
        let output = jobboard(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let rows = bench("json");
    let rows: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let of = |row: &Value, field: &str| row[field].as_f64().unwrap();
    let measures: Vec<_> = rows
        .iter()
        .map(|row| row["measure"].as_str().unwrap())
        .collect();
    assert_eq!(measures.len(), 9, "{measures:?}");
    for row in &rows {
        let ratio = of(row, "board") / of(row, "other");
        assert!((ratio - of(row, "ratio")).abs() < 1e-9, "{row}");
        assert!(of(row, "other") > 0.0, "{row}");
        let judged = row["target"] != json!("none");
        assert_eq!(row["met"].is_boolean(), judged, "{row}");
    }
    let table = bench("table");
    for measure in measures {
        assert!(table.contains(measure), "{measure} in {table}");
    }
}

fn small_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..300 {
        fs::write(folder.path().join(number.to_string()), number.to_string()).unwrap();
    }
    folder
}

fn demo(folder: &Path, temporary: &Path) -> Command {
    let mut demo = jobboard(&["demo", "--dir", folder.to_str().unwrap()]);
    demo.env("TMPDIR", temporary);
    demo
}
