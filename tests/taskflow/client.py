"""A client of TaskFlow's own job board on etcd, for tests/taskflow/main.rs.

    client.py PORT BOARD [BOOKS]

Takes orders on stdin, a line of JSON each, and answers each with one: {"ok": ...}, or {"error": ...} with
the name of TaskFlow's exception and what it says. BOOKS is a folder for TaskFlow's logbooks. Ends with its
input.

`hold` makes a call of the client of etcd stand still just before it is made, and `work` stands still at its
gate: that says {"held": ...}, and goes on with the next line.
"""

import json
import logging
import os
import sys
import traceback

import etcd3gw
from taskflow import exceptions
from taskflow.conductors import backends as conductors
from taskflow.engines import helpers
from taskflow.jobs import backends as boards
from taskflow.persistence import backends as books
from taskflow.persistence import models

from crowd import Crowd
from flows import greet

# What TaskFlow's boards and its client of etcd raise.
REFUSALS = (
    exceptions.TaskFlowException,
    etcd3gw.exceptions.Etcd3Exception,
    KeyError,
    ValueError,
    TypeError,
)

# More than any answer takes. One that never comes fails the order, and not only the test.
TIMEOUT = 30


def say(answer):
    print(json.dumps(answer), flush=True)


def nested(depth):
    """Details of so many objects, one in the other."""
    return {"a": nested(depth - 1)} if depth > 1 else {}


def stand_still(where):
    say({"held": where})
    sys.stdin.readline()


def isoformat(time):
    return time.isoformat(timespec="microseconds") if time else None


def told(job):
    """What TaskFlow shows of a job."""
    return {
        "uuid": job.uuid,
        "name": job.name,
        "details": job.details,
        "priority": job.priority.value,
        "sequence": job.sequence,
        "book_name": job.book_name,
        "book_uuid": job.book_uuid,
        "created_on": isoformat(job.created_on),
    }


class Client:
    def __init__(self, port, board, folder=None):
        self.books = books.fetch({"connection": "dir", "path": folder}) if folder else None
        conf = {
            "board": "etcd",
            "host": "127.0.0.1",
            "port": port,
            "path": board,
            "timeout": TIMEOUT,
        }
        self.board = boards.fetch(board, conf, persistence=self.books)
        self.board.connect()
        self.known = {}

    def reconnect(self):
        """Begins anew, as far as TaskFlow's boards know: with a watch, and with nothing listed."""
        self.board.close()
        self.board.connect()

    def job(self, uuid):
        """A job as this client came to know it, whether or not it is still there."""
        if uuid not in self.known:
            for job in self.board.iterjobs(ensure_fresh=True):
                self.known[job.uuid] = job
        return self.known[uuid]

    def post(self, name, details=None, priority="NORMAL", book=None):
        if book:
            book = self.load_book(book)
        return told(self.board.post(name, book=book, details=details, priority=priority))

    def post_as_told(self, job):
        """Posts what a text of Python says, which need not be JSON; gives its number."""
        known = {"LogBook": models.LogBook, "nested": nested}
        return self.board.post(**eval(f"dict({job})", known)).sequence

    def list(self, only_unclaimed=False, fresh=True):
        jobs = list(self.board.iterjobs(only_unclaimed=only_unclaimed, ensure_fresh=fresh))
        self.known.update((job.uuid, job) for job in jobs)
        return [told(job) for job in jobs]

    def count(self):
        return sum(1 for _ in self.board.iterjobs(ensure_fresh=True))

    def wait(self, timeout):
        return [told(job) for job in self.board.wait(timeout=timeout)]

    def wait_for(self, uuid, timeout):
        return self.job(uuid).wait(timeout=timeout)

    def look(self, uuid):
        job = self.job(uuid)
        modified = job.last_modified
        return {
            "state": job.state,
            "owner": self.board.find_owner(job),
            "last_modified": isoformat(modified),
        }

    def expires_in(self, uuid):
        return self.job(uuid).expires_in()

    def extend_expiry(self, uuid):
        return self.job(uuid).extend_expiry(60)

    def claim(self, uuid, who, expiry=None):
        self.board.claim(self.job(uuid), who, expiry=expiry)

    def consume(self, uuid, who):
        self.board.consume(self.job(uuid), who)

    def abandon(self, uuid, who):
        self.board.abandon(self.job(uuid), who)

    def trash(self, uuid, who):
        self.board.trash(self.job(uuid), who)

    def hold(self, methods):
        """The next call of the first of these methods is held, then that of the next one."""
        client = self.board._client
        method, *later = methods
        held = getattr(client, method)

        def hold(*arguments, **options):
            delattr(client, method)
            stand_still(method)
            if later:
                self.hold(later)
            return held(*arguments, **options)

        setattr(client, method, hold)

    def save_book(self, name, uuid, flows):
        """Keeps a logbook with these flows, each that of `greet`, as TaskFlow's conductors want it."""
        book = models.LogBook(name, uuid=uuid)
        for flow in flows:
            detail = models.FlowDetail("flow", uuid=flow)
            book.add(detail)
            helpers.save_factory_details(detail, greet, [], {}, backend=None)
        self.books.get_connection().save_logbook(book)

    def load_book(self, uuid):
        return self.books.get_connection().get_logbook(uuid)

    def book_of(self, uuid):
        """The logbook of a job, as TaskFlow finds it."""
        book = self.job(uuid).book
        return book and {"name": book.name, "uuid": book.uuid, "flows": [f.name for f in book]}

    def flow_state(self, book, flow):
        return self.load_book(book).find(flow).state

    def conduct(self, who):
        """Has TaskFlow's own conductor do a job."""
        conductor = conductors.fetch("blocking", who, self.board, persistence=self.books)
        # With a limit of one it would stop after the next one.
        for ended in ["job_consumed", "job_trashed"]:
            conductor.notifier.register(ended, lambda *_, **__: conductor.stop())
        conductor.run()

    def post_many(self, prefix, numbers):
        jobs = [self.board.post(f"{prefix}-{number}") for number in range(*numbers)]
        return [job.uuid for job in jobs]

    def work(self, who, until):
        return Crowd(self.board, who, stand_still).work(until)


def main():
    logging.disable(logging.CRITICAL)
    port, *rest = sys.argv[1:]
    client = Client(int(port), *rest)
    say({"ok": None})
    while line := sys.stdin.readline():
        order = json.loads(line)
        try:
            say({"ok": getattr(client, order.pop("do"))(**order)})
        except REFUSALS as refusal:
            say({"error": type(refusal).__name__, "says": str(refusal)})
    client.board.close()


if __name__ == "__main__":
    # The thread that watches etcd would outlive what went wrong.
    try:
        main()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
