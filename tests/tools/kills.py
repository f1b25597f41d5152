# SPDX-License-Identifier: MIT
"""kill -9 at the N-th system call that writes: what was acknowledged is there, once, and the databases
are whole.

    PYTHONPATH=tests python3 -m tools.kills [--jobs=8] [--every=1]
"""

import argparse
import collections
import contextlib
import glob
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile


from .faults import EXPUNGE, TRASH, WAIT, Bench, Matrix, Renumbered, difference, letter
from .proxy import Proxy

from driven import Driven  # faults has put its directory on the path

COMMITS = "fsync,fdatasync"
WRITES = "write,pwrite64,writev,pwritev,sendto,sendmsg,ftruncate,rename,renameat,renameat2,unlink," \
    "unlinkat,mkdir,mkdirat,fallocate," + COMMITS
EXISTS, NOTFOUND = -7, -6


class Traced(Driven):
    """Under strace, which may kill it."""

    def __init__(self, directory, port, strace=(), **options):
        self.strace = [str(w) for w in strace]
        super().__init__(directory, port, **options)

    def command(self, binary):
        return [*self.strace, binary]

    def quit(self):
        try:
            return super().quit()
        except AssertionError as e:
            raise RuntimeError("killed while it stopped") from e


def script():
    """(words, what an answer may be when it was done already), all kinds of actions."""
    def append(box, name, n, flags=""):
        return ("append", box, name, letter(n), flags, f"<{n}@example.org>"), ()
    yield append("Work", "first.eml", 200, "\\Seen")
    yield ("flag", "INBOX/1.eml", "\\Flagged $Later", "\\Seen"), ()
    yield ("move", "INBOX/2.eml", "Work", "moved.eml"), (NOTFOUND,)
    yield ("copy", "INBOX/3.eml", "Work", "copied.eml"), (EXISTS,)
    yield ("remove", "INBOX/4.eml", TRASH), (NOTFOUND,)
    yield ("remove", "INBOX/5.eml", EXPUNGE), (NOTFOUND,)
    yield ("mkdir", "", "New"), (EXISTS,)
    yield append("New", "second.eml", 201)
    yield ("edit", "INBOX/6.eml", letter(6, "edited"), "<6@example.org>"), ()
    yield ("mvdir", "Old", "", "Renamed"), (NOTFOUND,)
    yield ("subscribe", "Work", 1), ()
    yield ("rmdir", "Empty"), (NOTFOUND,)


class Session(Renumbered):
    def perform(self, words, done_already):
        """True when it was acknowledged, now or before."""
        words = list(words)
        if words[0] in ("append", "edit"):
            at = 3 if words[0] == "append" else 2
            words[at] = self.d._upload(words[at])
        result = self.d.say(*(self._path(w) for w in words))[0]
        if result == EXISTS and words[0] == "append":  # it had been made, and perhaps not uploaded
            result = self.d.say("edit", f"{words[1]}/{words[2]}", words[3], words[5])[0]
            if result == 0 and words[4]:
                result = self.d.say("flag", f"{words[1]}/{words[2]}", words[4], "")[0]
        if result not in (0, *done_already):
            raise AssertionError(f"{words}: {result}")


class Killed(Bench):
    """One bench; a run is killed where `strace` says."""

    def session(self, directory, port, uids, strace, acknowledged):
        """The script, from the first that was not acknowledged; then everything is sent."""
        options = {"user": self.server.login(self.user), "connections": 1, "poll": 3600_000,
                   "timeout": 5000}
        with Traced(directory, port, strace, **options) as d:
            if not acknowledged:
                d.wait(WAIT)
                acknowledged.append("in step")
            d.do("pause", 1)
            s = Session(d, uids)
            for n, (words, done) in enumerate(script(), start=1):
                if n < len(acknowledged):
                    continue
                s.perform(words, done)
                acknowledged.append(words[0])
            d.do("pause", 0)
            self._wait(d)
            d.wait(WAIT)
            self._compare(d)
            d.quit()

    def trial(self, base, call=None, when=0):
        """(state, {call: how many by one thread}, killed); killed at a thread's `when`-th `call`."""
        uids = self.reset()
        directory = tempfile.mkdtemp(prefix="kill-", dir=base)
        trace = os.path.join(directory, "trace")
        strace = ["strace", "-f", "-qq", "-o", trace, "-e", f"trace={call or WRITES}", "-e", "signal=none"]
        if call:
            strace += ["-e", f"inject={call}:signal=KILL:when={when}"]
        proxy = Proxy(self.server.port)
        acknowledged = []
        try:
            killed = False
            try:
                self.session(directory, proxy.port, uids, strace, acknowledged)
            except (RuntimeError, OSError):
                killed = True
                if not call:
                    raise
            count = self._count(trace)
            if killed:
                self._check_databases(directory)
                self.session(directory, proxy.port, uids, (), acknowledged)
            return self.state(), count, killed
        finally:
            proxy.stop()
            shutil.rmtree(directory, ignore_errors=True)

    @staticmethod
    def _count(trace):
        """strace counts each call of each thread by itself."""
        by_thread = collections.Counter()
        with open(trace, encoding="utf-8", errors="replace") as f:
            for line in f:
                found = re.match(r"(\d+) +(\w+)\(", line)
                if found:
                    by_thread[found.groups()] += 1
        most = collections.Counter()
        for (_, call), n in by_thread.items():
            most[call] = max(most[call], n)
        return most

    @staticmethod
    def _check_databases(directory):
        """Of copies: looking must mend nothing."""
        copies = os.path.join(directory, "copies")
        for name in ("state", "cache"):
            shutil.copytree(os.path.join(directory, name), os.path.join(copies, name))
        for path in glob.glob(copies + "/**/*", recursive=True):
            with open(path, "rb") if os.path.isfile(path) else open(os.devnull, "rb") as f:
                if f.read(15) != b"SQLite format 3":
                    continue
            with contextlib.closing(sqlite3.connect(path)) as db:  # or it is closed at any time later
                found = db.execute("PRAGMA integrity_check").fetchall()
            if found != [("ok",)]:
                raise AssertionError(f"{path}: {found}")
        shutil.rmtree(copies)


class Kills(Matrix):
    def __init__(self, **options):
        super().__init__(**options)
        self.benches = [Killed(self.server, b.user) for b in self.benches]
        self.killed = 0

    def count(self):
        state, count, _ = self.benches[0].trial(self.base)
        return state, count

    def kill(self, wanted, places):
        def work(bench, place):
            try:
                state, _, killed = bench.trial(self.base, *place)
                error = difference(wanted, state)
            except Exception as e:  # pylint: disable=broad-except
                error, killed = f"{type(e).__name__}: {str(e)[:1500]}", True
            with self.lock:
                self.done += 1
                self.killed += killed
                if error:
                    self.failures.append((*map(str, place), error))
                    self._say(f"FAILED {place}: {error}")
                elif self.done % 50 == 0:
                    self._say(f"{self.done} done, {len(self.failures)} failed")
        self._each(places, work)


def places(counts, share, seed):
    """(call, n): all, or `share` of the commit points and of the others each."""
    for commits in (True, False):
        found = [(call, n) for call in sorted(counts) if (call in COMMITS.split(",")) == commits
                 for n in range(1, counts[call] + 1)]
        yield from random.Random(seed).sample(found, min(share, len(found))) if share else found


def main(words):
    parser = argparse.ArgumentParser(prog="tools.kills")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--share", type=int, default=0, help="of each kind so many; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(words)
    with Kills(jobs=args.jobs, out=sys.stdout) as k:
        wanted, counts = k.count()
        print(f"seed {args.seed}; calls of the busiest thread: {dict(counts)}", flush=True)
        k.kill(wanted, places(counts, args.share, args.seed))
        print(f"{k.killed} of {k.done} runs were killed")
        print(f"{k.done - len(k.failures)} passed, {len(k.failures)} failed")
        return 1 if k.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
