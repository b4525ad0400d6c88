"""A worker on one of TaskFlow's own job boards, for benches/peers/main.rs.

    worker.py etcd|zookeeper|redis PORT

Takes orders on stdin, a line each, and answers each with a line of JSON:

    post N   posts so many jobs, one after another: how many seconds it took
    drain    claims and consumes what there is until nothing is left: how many jobs were done, and
             how many claims were wasted because another worker had come first
    await    waits for one job, claims and consumes it: when it was claimed, as Unix time

Ends with its input.
"""

import json
import logging
import sys
import time

from taskflow import exceptions
from taskflow.jobs import backends

DETAILS = {"file": "a/picture/of/some/length.png", "size": 128}

# A claim ends that long after its owner died, where the board can have that (ZooKeeper's end with
# the connection). Without it a claim on etcd or Redis never ends.
EXPIRY = 30

# What a conductor of TaskFlow does: it looks at etcd itself, and not at what it was told, every so
# many seconds.
FRESH_EVERY = 30

BOARDS = {
    "etcd": lambda port: {"board": "etcd", "host": "127.0.0.1", "port": port, "ttl": EXPIRY},
    "zookeeper": lambda port: {"board": "zookeeper", "hosts": f"127.0.0.1:{port}"},
    "redis": lambda port: {"board": "redis", "host": "127.0.0.1", "port": port},
}

TAKEN = (exceptions.UnclaimableJob, exceptions.NotFound)


class Worker:
    def __init__(self, kind, port):
        self.board = backends.fetch("bench", BOARDS[kind](port))
        self.board.connect()
        # The boards of etcd and ZooKeeper know how long a claim lasts.
        self.claiming = {"expiry": EXPIRY} if kind == "redis" else {}

    def post(self, count):
        begun = time.monotonic()
        for _ in range(count):
            self.board.post("thumbnail", details=DETAILS)
        return {"seconds": time.monotonic() - begun}

    def drain(self):
        done = wasted = 0
        fresh_at = time.monotonic()
        while True:
            fresh = time.monotonic() >= fresh_at
            if fresh:
                fresh_at = time.monotonic() + FRESH_EVERY
            seen = 0
            for job in self.board.iterjobs(only_unclaimed=True, ensure_fresh=fresh):
                seen += 1
                if self.claim(job):
                    self.consume(job)
                    done += 1
                else:
                    wasted += 1
            if not seen:
                if fresh:
                    return {"done": done, "wasted": wasted}
                fresh_at = 0

    def await_one(self):
        while True:
            for job in self.board.wait(timeout=10):
                if self.claim(job):
                    claimed = time.time()
                    self.consume(job)
                    return {"claimed": claimed}

    def claim(self, job):
        try:
            self.board.claim(job, "bench", **self.claiming)
        except TAKEN:
            return False
        return True

    def consume(self, job):
        self.board.consume(job, "bench")


def main():
    logging.disable(logging.CRITICAL)
    kind, port = sys.argv[1:]
    worker = Worker(kind, int(port))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order, *arguments = line.split()
        answers = {"post": worker.post, "drain": worker.drain, "await": worker.await_one}
        print(json.dumps(answers[order](*map(int, arguments))), flush=True)
    worker.board.close()


if __name__ == "__main__":
    main()
