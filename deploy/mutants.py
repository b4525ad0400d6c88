#!/usr/bin/env python3
"""Sets one bug at a time into the code, and sees that the simulation finds it, or else a test of the library,
or else one of the store on etcd.

    deploy/mutants.py [NAME ...]      all, or those whose names contain one of these
    deploy/mutants.py --check         only sees that each can be set

Works on a copy, in target/mutants. Prints a table in Markdown; fails if a bug was not found, or could not
be set as the code has changed, or if anything fails without a bug. What does not end is not found.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "target" / "mutants"

SEEDS = "2000"

# For how long the tests of one step may run, in seconds.
PATIENCE = 300

# What is wrong; where; what is there, once; what is put in its place.
MUTANTS = [
    ("the token is not compared", "src/protocol/holding.rs",
     "Compare::create_revision(self.owner(keys), self.token)",
     "Compare::present(self.owner(keys))"),
    ("a consume is fenced by its owner and not by its token", "src/protocol/consume.rs",
     "            held: hold.is_held(keys),\n",
     "            held: Compare {\n                range: hold.owner(keys).into(),\n"
     "                relation: crate::store::Relation::Equal,\n"
     "                target: crate::store::Target::Lease(Some(guard.lease())),\n            },\n"),
    ("what lost its answer is sent again", "src/session/sender.rs",
     "                self.doubt(envelope, None);\n",
     "                self.again(envelope.members, false);\n"),
    ("writes do not compare the guard", "src/protocol/envelope.rs",
     "        let envelope = Txn::new()\n            .when([self.is(known)])\n",
     "        let envelope = Txn::new()\n"),
    ("a book is deleted where the guard is gone", "src/protocol/book.rs",
     "            .then([Op::delete(self.all.clone())])\n",
     "            .then([Op::delete(self.all.clone())])\n            .otherwise([Op::delete(self.all.clone())])\n"),
    ("doubts are settled without a fence", "src/session/doubts.rs",
     "            guard.fence(known, reads)\n",
     "            guard.look(known, reads)\n"),
    ("reads after the fence do not compare the guard", "src/protocol/envelope.rs",
     "        self.read_under(known, reads, [])\n",
     "        let _ = known;\n        Txn::new()\n            .then(reads.into_iter().map(Op::Range))\n"
     "            .otherwise([self.read()])\n"),
    ("what was refused for lack of space counts as not done", "src/session/sender.rs",
     "            ErrorKind::NoSpace => self.doubt(envelope, Some(error)),\n",
     ""),
    ("posts leave no receipt", "src/protocol/post.rs",
     "const NEEDS_RECEIPT: bool = true;",
     "const NEEDS_RECEIPT: bool = false;"),
    ("refused members leave no note", "src/protocol/envelope.rs",
     "let note = slot.map(|slot| slot.put(slot.note(index), self.lease));",
     "let note: Option<Op> = slot.and_then(|_| (index > usize::MAX - 1).then(|| self.put()));"),
    ("a watch goes on after the revision of a header", "src/cache/feed.rs",
     "        watching.silence = Silence::new(place.applied, &self.random);\n",
     "        place.applied = batch.header.revision.next().next();\n        self.place = Some(place);\n"
     "        watching.silence = Silence::new(place.applied, &self.random);\n"),
    ("what a watch told before is applied again", "src/cache/feed.rs",
     "            if revision <= place.applied {",
     "            if revision <= place.applied && revision == Revision::ZERO {"),
    ("a watch that broke is not opened again", "src/cache/feed.rs",
     "                Some(Err(error)) => Err(self.lose(watching.since, error)),\n",
     "                Some(Err(_)) => std::future::pending().await,\n"),
    ("a watch that was cancelled by a compaction is opened again where it was", "src/cache/feed.rs",
     "        ErrorKind::Compacted | ErrorKind::TooLarge\n",
     "        ErrorKind::TooLarge\n"),
    ("etcd's word that a watch is cancelled is not heard", "src/store/etcd/watch.rs",
     "            if response.canceled() {\n                return Err(self.cancelled(&response));\n            }\n",
     "            if response.canceled() {\n                continue;\n            }\n"),
    ("trust counts from when a word is heard", "src/session/keeper.rs",
     "Beat::Alive { sent_at, ttl } => Some(sent_at + ttl.saturating_sub(margin)),",
     "Beat::Alive { ttl, .. } => Some(Instant::now() + ttl.saturating_sub(margin)),"),
    ("a list tells no differences", "src/cache/jobs.rs",
     "        self.tell(at, origin, &changes, unreadable);\n        drop(old);",
     "        let _ = changes;\n        self.tell(at, origin, &Changes::default(), unreadable);\n        drop(old);"),
    ("members of an envelope clash", "src/session/plan.rs",
     "            && !inside.clashes_with(candidate.txn)\n            && !outside.clashes_with(candidate.txn);",
     "            && !(candidate.passed_over > 9 && outside.clashes_with(candidate.txn));"),
    ("pending claims are given back", "src/session/claims.rs",
     "                .is_some_and(|it| it.claim == key.claim)\n    }\n\n    /// Takes in what the view",
     "                .is_some_and(|it| it.claim == key.claim && it.claim.is_nil())\n    }\n\n    /// Takes in what the view"),
    ("a lost claim is made again", "src/board/claiming.rs",
     "                Err(WriteError::NotSent) => {}\n",
     "                Err(WriteError::NotSent | WriteError::Lost) => {}\n"),
    ("a session that is lost does not say so to its claims", "src/session/keeper.rs",
     "        self.lost.cancel();\n",
     "        if why == Loss::Closed {\n            self.lost.cancel();\n        }\n"),
    ("a restored job takes no heed of its unique key", "src/protocol/restore.rs",
     "            unique: unique.map(|unique| Unique::new(keys, unique, job)),\n",
     "            unique: unique.filter(|_| false).map(|unique| Unique::new(keys, unique, job)),\n"),
    ("a unique key is left behind", "src/protocol/consume.rs",
     "            .then(self.unique.clone().map(Op::delete))\n",
     ""),
]


def with_bug(name, file, old, new):
    """The text of a file with a bug in it."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if text.count(old) != 1:
        sys.exit(f"{file} has changed: {name!r} can not be set")
    return text.replace(old, new)


def sync():
    for name in ["src", "tests", "benches", "examples"]:
        shutil.rmtree(COPY / name, ignore_errors=True)
        # With new times: cargo builds nothing anew for a file that is older than what was built.
        shutil.copytree(ROOT / name, COPY / name, copy_function=shutil.copy)
    for name in ["Cargo.toml", "Cargo.lock", "README.md"]:
        shutil.copy(ROOT / name, COPY / name)


# Where bugs are looked for, one after the other.
STEPS = [
    ["--features", "testing", "--test", "simulation"],
    ["--lib"],
    ["--features", "testing,etcd", "--test", "etcd_store"],
]


class DoesNotEnd(Exception):
    """Tests took too long."""


def cargo_test(step, etcds):
    """What the tests of a step print when they fail; nothing if they pass."""
    settings = {"RUSTFLAGS": "--cfg tokio_unstable", "CARGO_PROFILE_DEV_OPT_LEVEL": "1",
                "SEEDS": SEEDS, "RUST_BACKTRACE": "0", "JOBBOARD_TEST_ETCDS": etcds,
                "ETCD": etcds.split(":")[0]}
    command = ["cargo", "test", "--locked", "--no-default-features",
               "--target-dir", str(COPY / "target"), *step]
    ready = {"cwd": COPY, "env": {**os.environ, **settings}, "text": True,
             "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
    built = subprocess.run([*command, "--no-run"], check=False, **ready)
    if built.returncode:
        sys.exit(f"this can not be compiled:\n{built.stdout[-3000:]}")
    with subprocess.Popen(command, **ready) as tests:
        try:
            printed, _ = tests.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as late:
            # The tests are in a session of their own, with what they started.
            os.killpg(tests.pid, signal.SIGKILL)
            raise DoesNotEnd(" ".join(step)) from late
        return printed if tests.returncode else None


def run(etcds):
    """How the bug is found."""
    for step in STEPS:
        try:
            printed = cargo_test(step, etcds)
        except DoesNotEnd:
            continue
        if printed:
            found = re.search(r"seed \d+: (\w+ is broken|[^\n]{1,60})", printed)
            if found:
                return re.sub(r"^(\w+) is", r"`\1` is", found.group(1))
            found = re.search(r"^test (\S+) \.\.\. FAILED", printed, re.MULTILINE)
            return f"`{found.group(1)}`" if found else printed[-300:].strip()
    return None


def main():
    wanted = sys.argv[1:]
    texts = {mutant[0]: with_bug(*mutant) for mutant in MUTANTS}
    if wanted == ["--check"]:
        return
    tools = [ROOT / "deploy" / "tools.sh", "both"]
    etcds = subprocess.run(tools, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    sync()
    for step in STEPS:
        try:
            printed = cargo_test(step, etcds)
        except DoesNotEnd as endless:
            sys.exit(f"this does not end without a bug: {endless}")
        if printed:
            sys.exit(f"this fails without a bug:\n{printed[-3000:]}")
    print("| the bug | found as |\n|---|---|")
    missed = 0
    for name, file, _old, _new in MUTANTS:
        if wanted and not any(part in name for part in wanted):
            continue
        sync()
        (COPY / file).write_text(texts[name], encoding="utf-8")
        found = run(etcds)
        missed += found is None
        print(f"| {name} | {found or '**not found**'} |", flush=True)
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
