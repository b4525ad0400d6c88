"""Does jobs in a crowd, as the loop of TaskFlow's conductors does, for tests/taskflow/main.rs."""

import time

from taskflow import exceptions

# Longer than any test: no claim is to run out.
EXPIRY = 300

# One of so many jobs is given back the first time, and the first one.
ABANDONED = 10

# How long it waits before it looks again, where TaskFlow's conductors wait half a second.
WAIT = 0.05

TAKEN = (exceptions.UnclaimableJob, exceptions.NotFound)


class Crowd:
    def __init__(self, board, who, stand_still):
        self.board = board
        self.who = who
        self.stand_still = stand_still
        self.ran = []
        self.abandoned = set()

    def work(self, until):
        """Does jobs until there is this key; gives those that it did, and how often it gave one back.

        Stands still at the gate with the first that it does.
        """
        while not self.board.get_one(until):
            any_claimed = False
            for job in self.board.iterjobs(only_unclaimed=True, ensure_fresh=True):
                try:
                    self.board.claim(job, self.who, expiry=EXPIRY)
                except TAKEN:
                    continue
                any_claimed = True
                self.settle(job)
            if not any_claimed:
                time.sleep(WAIT)
        return {"ran": self.ran, "abandoned": len(self.abandoned)}

    def settle(self, job):
        one_of_many = job.sequence % ABANDONED == 0 or not self.abandoned
        if one_of_many and job.uuid not in self.abandoned:
            self.abandoned.add(job.uuid)
            self.board.abandon(job, self.who)
        else:
            if not self.ran:
                self.stand_still("gate")
            self.ran.append(job.uuid)
            self.board.consume(job, self.who)
