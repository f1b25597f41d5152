# SPDX-License-Identifier: MIT
"""Every kind of action, with the link cut at every command and at many bytes: what is on the server at
the end is what an undisturbed run leaves there.

    PYTHONPATH=tests python3 -m tools.faults [--server=cyrus] [--bytes=50] [--jobs=8] [--seed=1]
"""

import argparse
import hashlib
import math
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time

from .client import Client
from .kinds import KINDS
from .proxy import CUT, Proxy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "unit", "sync"))
from driven import Driven  # noqa: E402  pylint: disable=wrong-import-position

PASSWORD = "secret"
TRASH, EXPUNGE, FLAG = 1, 2, 3
IN_INBOX, IN_WORK = 8, 2
OTHERS_DELETED = (7, 8)  # another client's, which is to keep them
WAIT = 90


def letter(n, text="body"):
    return (f"Message-ID: <{n}@example.org>\r\nFrom: a@example.org\r\nSubject: number {n}\r\n\r\n"
            f"{text} {n}\r\n").encode() + b"x" * 200 + b"\r\n"


def _append(d):
    for n in range(3):
        d.append("Work", f"{n} new.eml", letter(100 + n), "\\Seen" if n else "", f"<{100 + n}@example.org>")


def _replace(d):
    d.edit("INBOX/1.eml", letter(1, "another text of"), "<1@example.org>")


def _copy(d):
    for n in (1, 2):
        d.do("copy", f"INBOX/{n}.eml", "Work", f"copy {n}.eml")


def _move(d):
    for n in (1, 2):
        d.do("move", f"INBOX/{n}.eml", "Work", f"moved {n}.eml")


def _delete(mode):
    def act(d):
        for n in (2, 4):
            d.do("remove", f"INBOX/{n}.eml", mode)
    return act


def _flags(d):
    for n in (1, 2, 3):
        d.do("flag", f"INBOX/{n}.eml", "\\Flagged $Later", "\\Seen")
    d.do("flag", "INBOX/4.eml", "\\Answered", "")


def _whole_lists(d):
    d.do("set", "INBOX/1.eml", "\\Flagged $Later")
    d.do("set", "INBOX/2.eml", "")
    d.do("set", "INBOX/4.eml", "\\Seen \\Answered")


def _create(d):
    d.do("mkdir", "", "New")
    d.do("mkdir", "New", "Below")
    d.append("New/Below", "in.eml", letter(110), "", "<110@example.org>")


def _remove(d):
    d.do("rmdir", "Empty")


def _made_and_removed(d):
    d.do("mkdir", "", "New")
    d.append("New", "in.eml", letter(130), "", "<130@example.org>")
    d.do("move", "New/in.eml", "Work", "in.eml")
    d.do("rmdir", "New")


def _removed_and_made(d):
    """Another mailbox of that name, with what came after."""
    d.do("rmdir", "Empty")
    d.do("mkdir", "", "Empty")
    d.append("Empty", "in.eml", letter(140), "", "<140@example.org>")
    d.do("move", "INBOX/1.eml", "Empty", "moved.eml")


def _rename(d):
    d.do("mvdir", "Old", "", "Renamed")
    d.do("flag", "Renamed/1.eml", "\\Flagged", "")


def _subscribe(d):
    d.do("subscribe", "Work", 1)
    d.do("subscribe", "Old", 0)


def _chain(d):
    """On things that have no UID yet."""
    d.do("mkdir", "", "New")
    for n in range(3):
        d.append("New", f"{n}.eml", letter(120 + n), "", f"<{120 + n}@example.org>")
    d.do("flag", "New/0.eml", "\\Flagged", "")
    d.do("copy", "New/0.eml", "Work", "of a new one.eml")
    d.do("move", "New/1.eml", "INBOX", "moved.eml")
    d.do("flag", "INBOX/moved.eml", "\\Answered", "")
    d.do("remove", "New/2.eml", EXPUNGE)
    d.do("mvdir", "New", "", "Newer")


NO_UIDPLUS = {"hide": ("UIDPLUS", "MOVE", "MULTIAPPEND"), "strip_codes": ("APPENDUID", "COPYUID")}

# name: what is done, what the server is made to lack
ACTIONS = {
    "append": (_append, {}),
    "append without UIDPLUS": (_append, NO_UIDPLUS),
    "replace": (_replace, {}),
    "copy": (_copy, {}),
    "copy without UIDPLUS": (_copy, NO_UIDPLUS),
    "move": (_move, {}),
    "move without MOVE": (_move, {"hide": ("MOVE",)}),
    "move without UIDPLUS": (_move, NO_UIDPLUS),
    "delete to trash": (_delete(TRASH), {}),
    "delete for good": (_delete(EXPUNGE), {}),
    "delete for good without UIDPLUS": (_delete(EXPUNGE), NO_UIDPLUS),
    "delete by flag": (_delete(FLAG), {}),
    "flags": (_flags, {}),
    "whole lists of flags": (_whole_lists, {}),
    "whole lists of flags without CONDSTORE": (_whole_lists, {"hide": ("CONDSTORE", "QRESYNC")}),
    "create mailbox": (_create, {}),
    "remove mailbox": (_remove, {}),
    "mailbox made and removed": (_made_and_removed, {}),
    "mailbox removed and made": (_removed_and_made, {}),
    "rename mailbox": (_rename, {}),
    "subscribe": (_subscribe, {}),
    "chain": (_chain, {}),
}


class Cut:
    """Where the link is cut, once: before a command is passed on, before its answer, or after so
    many bytes.  None: nowhere."""

    def __init__(self, how=None, at=0):
        self.how, self.at = how, at
        self.armed = False
        self.count = {"command": 0, "answer": 0}
        self.cuts = 0
        self.missed = False  # this run sent less than the undisturbed one
        self.lock = threading.Lock()

    def __str__(self):
        return f"{self.how} {self.at}" if self.how else "nowhere"

    def _due(self, what):
        with self.lock:
            if not self.armed:
                return False
            self.count[what] += 1
            if self.how != what or self.count[what] != self.at:
                return False
            self.cuts += 1
            return True

    def on_command(self, _link, _tag, _name, _line):
        return CUT if self._due("command") else None

    def on_reply(self, _link, _tag, _name, _line, _command):
        return CUT if self._due("answer") else None


class Bench:
    """One user of a server, who is set back to the same state before each run."""

    def __init__(self, server, user):
        self.server, self.user = server, user

    def client(self):
        return Client(self.server.port, self.server.login(self.user), PASSWORD,
                      prefix=self.server.prefix, delimiter=self.server.delimiter)

    def reset(self):
        with self.client() as c:
            for name in sorted(c.mailboxes(), reverse=True):
                if name not in ("INBOX", "Trash", "Sent", "Drafts"):
                    c.delete(name)
                c.unsubscribe(name)
            for name in ("INBOX", "Trash"):
                c.select(name)
                c.store(c.uids(), "+FLAGS.SILENT", ["\\Deleted"])
                c.imap.expunge()
            c.imap.unselect()
            for name in ("Work", "Old", "Old/Child", "Empty"):
                c.create(name)
                c.unsubscribe(name)
            c.subscribe("Old")
            for n in range(1, IN_INBOX + 1):
                c.append("INBOX", letter(n), ["\\Seen"] if n % 2 else [], 1_600_000_000 + n)
            for n in range(IN_WORK):
                c.append("Work", letter(50 + n), [], 1_600_000_050 + n)
            c.append("Old", letter(60), [], 1_600_000_060)
            c.append("Old/Child", letter(61), [], 1_600_000_061)
            c.select("INBOX")
            uids = c.uids()
            c.store([uids[n - 1] for n in OTHERS_DELETED], "+FLAGS.SILENT", ["\\Deleted"])
            return uids

    def state(self):
        """What the server has, but for UIDs and the dates of what was made here."""
        with self.client() as c:
            held = {}
            for name, messages in c.account().items():
                held[name] = sorted(
                    (m.message_id, hashlib.sha256(m.data.rstrip(b"\r\n")).hexdigest()[:16],
                     tuple(sorted(m.flags)), m.date if m.date < 1_600_001_000 else "now")
                    for m in messages.values())
            return held, sorted(c.subscribed())

    def run(self, name, cut, base):
        """(state, commands, answers, bytes up, bytes down); raises where here and there differ."""
        act, options = ACTIONS[name]
        uids = self.reset()
        directory = tempfile.mkdtemp(prefix="fault-", dir=base)
        proxy = Proxy(self.server.port, on_command=cut.on_command, on_reply=cut.on_reply, **options)
        if "UIDPLUS" in options.get("hide", ()):
            proxy.refuse("UID EXPUNGE|UID MOVE", "BAD unknown command")
        try:
            with Driven(directory, proxy.port, user=self.server.login(self.user),
                        connections=1, poll=3600_000, timeout=5000) as d:
                d.wait(WAIT)
                d.do("pause", 1)
                act(Renumbered(d, uids))
                before = dict(proxy.bytes)
                with cut.lock:
                    cut.armed = True
                if cut.how in ("up", "down"):
                    proxy.cut_after(cut.how, cut.at)
                d.do("pause", 0)
                self._wait(d)
                with cut.lock:
                    cut.armed = False
                d.wait(WAIT)
                cut.missed = bool(cut.how) and (bool(proxy.cut_at) if cut.how in ("up", "down")
                                                else not cut.cuts)
                self._compare(d)
                d.quit()
            return (self.state(), cut.count["command"], cut.count["answer"],
                    *(proxy.bytes[w] - before[w] for w in ("up", "down")))
        finally:
            proxy.stop()
            shutil.rmtree(directory, ignore_errors=True)

    def drop_answers(self, what, count, base):
        """`count` actions, one after the other, the answer to each lost; what is wrong afterwards."""
        self.reset()
        uids = self._fill(0 if what == "APPEND" else count)
        directory = tempfile.mkdtemp(prefix="fault-", dir=base)
        hide = ("MULTIAPPEND", "MOVE") if what == "UID COPY" else ("MULTIAPPEND",)
        proxy = Proxy(self.server.port, hide=hide)
        proxy.cut_reply("none")  # rules come before connections
        try:
            with Driven(directory, proxy.port, user=self.server.login(self.user), connections=1,
                        poll=3600_000, timeout=5000) as d:
                d.wait(WAIT)
                for n in range(count):
                    proxy.cut_reply(what)
                    if what == "APPEND":
                        d.append("Old", f"n{n}.eml", letter(500 + n), "", f"<{500 + n}@example.org>")
                    else:
                        d.do("move", f"Work/{uids[n]}.eml", "Old", f"n{n}.eml")
                    self._wait(d)
                    if any(rule[1] for rule in proxy.reply_cuts[1:]):
                        raise AssertionError(f"no answer to {what} was cut")
                d.wait(WAIT)
                self._compare(d)
                d.quit()
        finally:
            proxy.stop()
            shutil.rmtree(directory, ignore_errors=True)
        held = self.state()[0]
        wanted = sorted([f"<{500 + n}@example.org>" for n in range(count)] + ["<60@example.org>"])
        found = sorted(m[0] for m in held["Old"])
        left = [m[0] for m in held["Work"] if m[0].startswith("<5") and len(m[0]) > 16]
        if found != wanted or left:
            raise AssertionError(f"wanted {wanted}, found {found}, left {left}")

    def _fill(self, count):
        with self.client() as c:
            uids = [c.append("Work", letter(500 + n)) for n in range(count)]
        return uids

    @staticmethod
    def _wait(d):
        end = time.monotonic() + WAIT
        while d.say("wait", WAIT * 1000)[0] != 0 or d.queue():
            if time.monotonic() > end:
                raise AssertionError(f"not done: {d.queue()}\n{d.text()}")
            time.sleep(0.2)

    def _compare(self, d):
        """The tree here shows what the server has."""
        shown = sorted((path.rsplit("/", 1)[0], e.uid, tuple(sorted(e.flags - {"\\Recent"})))
                       for path, e in d.tree().items())
        with self.client() as c:
            held = sorted((name, m.uid, tuple(sorted(m.flags)))
                          for name, messages in c.account(body=False).items()
                          for m in messages.values())
        hidden = [m for m in held if m not in shown]
        wrong = [m for m in shown if m not in held]
        # what was deleted by flag is there and not shown
        if wrong or any("\\Deleted" not in m[2] for m in hidden):
            raise AssertionError(f"here and there differ:\n{wrong}\n{hidden}\n{d.text()}")


class Renumbered:
    """The n-th message of INBOX is not always UID n: the mailbox has been used before."""

    def __init__(self, d, uids):
        self.d, self.uids = d, uids

    def _path(self, word):
        found = re.fullmatch(r"INBOX/(\d+)\.eml", str(word))
        return f"INBOX/{self.uids[int(found.group(1)) - 1]}.eml" if found else word

    def do(self, *words):
        return self.d.do(*(self._path(w) for w in words))

    def append(self, mailbox, name, *rest):
        self.d.append(mailbox, name, *rest)

    def edit(self, path, *rest):
        self.d.edit(self._path(path), *rest)


class Matrix:
    def __init__(self, kind="dovecot", jobs=4, seed=1, out=None):
        self.jobs, self.rng, self.out = jobs, random.Random(f"{kind} {seed}"), out
        self.base = tempfile.mkdtemp(prefix="imapfs-faults-", dir=os.environ.get("IMAPFS_TEST_DIR", "/tmp"))
        os.chmod(self.base, 0o711)
        self.server = KINDS[kind](users={f"u{n}": PASSWORD for n in range(jobs)}).start()
        self.benches = [Bench(self.server, f"u{n}") for n in range(jobs)]
        self.wanted, self.failures, self.done, self.missed = {}, [], 0, 0
        self.lock = threading.Lock()

    def close(self):
        self.server.close()
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _each(self, tasks, work):
        """work(bench, task) for all of them, each bench one at a time."""
        tasks = list(tasks)

        def loop(bench):
            while True:
                with self.lock:
                    if not tasks:
                        return
                    task = tasks.pop(0)
                work(bench, task)
        threads = [threading.Thread(target=loop, args=(b,)) for b in self.benches]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def _say(self, text):
        if self.out:
            print(text, file=self.out, flush=True)

    def measure(self, names):
        """The undisturbed runs."""
        def work(bench, name):
            try:
                self.wanted[name] = bench.run(name, Cut(), self.base)
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append((name, "nowhere", repr(e)[:3000]))
        self._each(names, work)

    def cases(self, names, byte_cuts, commands=None):
        """(name, how, at): at every command, or `commands` of them, and at random bytes."""
        for name in names:
            if name not in self.wanted:
                continue
            _, sent, answered, up, down = self.wanted[name]
            each = [("command", n) for n in range(1, sent + 1)] + \
                [("answer", n) for n in range(1, answered + 1)]
            if commands is not None:
                each = self.rng.sample(each, min(commands, len(each)))
            sides = [("up", up), ("down", down)]
            if byte_cuts == 0.5:  # of one direction only
                sides = [self.rng.choice(sides)]
            for how, size in sides:
                each += [(how, self.rng.randint(1, max(1, size)))
                         for _ in range(math.ceil(byte_cuts))]
            for how, at in each:
                yield name, how, at

    def drop_answers(self, what, each):
        def work(bench, _):
            try:
                bench.drop_answers(what, each, self.base)
                with self.lock:
                    self.done += each
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append((what, bench.user, f"{type(e).__name__}: {str(e)[:1500]}"))
        self._each(range(self.jobs), work)

    def run(self, cases):
        def work(bench, case):
            name, how, at = case
            began = time.monotonic()
            cut = Cut(how, at)
            try:
                state = bench.run(name, cut, self.base)[0]
                error = None if state == self.wanted[name][0] else difference(self.wanted[name][0], state)
            except Exception as e:  # pylint: disable=broad-except
                error = f"{type(e).__name__}: {str(e)[:1500]}"
            with self.lock:
                self.done += 1
                self.missed += cut.missed
                if error:
                    self.failures.append((name, f"{how} {at}", error))
                    self._say(f"FAILED {name}, {how} {at}: {error}")
                elif self.done % 100 == 0:
                    self._say(f"{self.done} done, {len(self.failures)} failed, last took "
                              f"{time.monotonic() - began:.1f} s")
        self._each(cases, work)


def difference(wanted, state):
    lines = []
    for name in sorted(set(wanted[0]) | set(state[0])):
        a, b = wanted[0].get(name), state[0].get(name)
        if a != b:
            lines.append(f"{name}: wanted {a}, is {b}")
    if wanted[1] != state[1]:
        lines.append(f"subscribed: wanted {wanted[1]}, is {state[1]}")
    return "\n".join(lines)


def main(words):
    parser = argparse.ArgumentParser(prog="tools.faults")
    parser.add_argument("--server", choices=sorted(KINDS), default="dovecot")
    parser.add_argument("--bytes", type=int, default=50, help="random cuts in each direction")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a regular expression of action names")
    args = parser.parse_args(words)
    names = [n for n in ACTIONS if re.search(args.only, n)]
    with Matrix(args.server, args.jobs, args.seed, out=sys.stdout) as m:
        m.measure(names)
        cases = list(m.cases(names, args.bytes))
        print(f"seed {args.seed}, {len(names)} actions, {len(cases)} cuts", flush=True)
        m.run(cases)
        for name, where, text in m.failures:
            print(f"FAILED {name}, {where}: {text}")
        print(f"{m.missed} cuts lay behind the end of their run")
        print(f"{m.done - len(m.failures)} passed, {len(m.failures)} failed")
        return 1 if m.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
