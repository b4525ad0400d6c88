#!/usr/bin/env python3
"""Sets one bug at a time into the code, and sees that the simulation finds it, or else a test of the library.

    deploy/mutants.py [NAME ...]      all, or those whose names contain one of these

Works on a copy, in target/mutants. Prints a table in Markdown; fails if a bug was not found, or could not
be set as the code has changed.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "target" / "mutants"

SEEDS = "2000"

# What is wrong; where; what is there, once; what is put in its place.
MUTANTS = [
    ("the token is not compared", "src/protocol/holding.rs",
     "Compare::create_revision(self.owner(keys), self.token)",
     "Compare::present(self.owner(keys))"),
    ("what lost its answer is sent again", "src/session/sender.rs",
     "                self.doubt(envelope);\n",
     "                self.again(envelope.members, false);\n"),
    ("writes do not compare the guard", "src/protocol/envelope.rs",
     "        let envelope = Txn::new()\n            .when([self.is(known)])\n",
     "        let envelope = Txn::new()\n"),
    ("doubts are settled without a fence", "src/session/doubts.rs",
     "            guard.fence(known, reads)\n",
     "            guard.look(known, reads)\n"),
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


def sync():
    for name in ["src", "tests", "benches", "examples"]:
        shutil.rmtree(COPY / name, ignore_errors=True)
        shutil.copytree(ROOT / name, COPY / name)
    for name in ["Cargo.toml", "Cargo.lock", "README.md"]:
        shutil.copy2(ROOT / name, COPY / name)


def cargo_test(*which):
    """What the tests print when they fail; nothing if they pass."""
    settings = {"RUSTFLAGS": "--cfg tokio_unstable", "CARGO_PROFILE_DEV_OPT_LEVEL": "1",
                "SEEDS": SEEDS, "RUST_BACKTRACE": "0"}
    command = ["cargo", "test", "--locked", "--no-default-features",
               "--target-dir", str(COPY / "target"), *which]
    try:
        done = subprocess.run(command, cwd=COPY, env={**os.environ, **settings}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400)
    except subprocess.TimeoutExpired:
        return "it does not end"
    if "error: could not compile" in done.stdout:
        sys.exit(f"a bug can not be compiled:\n{done.stdout[-3000:]}")
    return done.stdout if done.returncode else None


def run():
    """How the bug is found: by the simulation, or else by the tests of the library."""
    printed = cargo_test("--features", "testing", "--test", "simulation")
    if printed:
        found = re.search(r"seed \d+: (\w+ is broken|[^\n]{1,60})", printed)
        return found.group(1) if found else printed[-60:].strip()
    printed = cargo_test("--lib")
    found = printed and re.search(r"^test (\S+) \.\.\. FAILED", printed, re.MULTILINE)
    return f"`{found.group(1)}`" if found else printed and printed[-60:].strip()


def main():
    wanted = sys.argv[1:]
    print("| the bug | found as |\n|---|---|")
    missed = 0
    for name, file, old, new in MUTANTS:
        if wanted and not any(part in name for part in wanted):
            continue
        sync()
        path = COPY / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            sys.exit(f"{file} has changed: {name!r} can not be set")
        path.write_text(text.replace(old, new), encoding="utf-8")
        found = run()
        missed += found is None
        print(f"| {name} | {found or '**not found**'} |", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
