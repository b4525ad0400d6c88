//! One board for TaskFlow and us: TaskFlow itself in Python processes, on every version of etcd that is
//! tested.
//!
//! `make test` makes the Python; alone, this wants `make tools` once. What TaskFlow it is stands in
//! `requirements.txt` beside this file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::large_futures,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

mod books;
mod crowd;
mod foreign;
mod malformed;
mod ours;
mod outage;
mod python;
mod races;
mod scene;
mod theirs;
