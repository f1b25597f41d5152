# SPDX-License-Identifier: MIT
"""The stage on which hostile servers are met: each scenario has a server, a mount, somebody who
lists its directories all the time, and the same safe result.

A scenario is a function that gets a Stage; @scenario gives it a name.  Most are rows of
hostile_table.py: a lie told to a client that knew the account before.  After the lie:

- the mount has answered `ls` throughout, and every message that was known is there, byte for byte;
- the server was told to change nothing (whatever a scenario did by hand apart);
- the process lives, has stayed under 256 MB, and nothing was found by ASan or UBSan;
- once the server is honest again, all is in step, and unmounting ends with 0.
"""

import os
import re
import threading
import time

from lies import mail, read
from tools.imapd import Imapd
from tools.imapd_parse import Cut, Reply
from tools.mount import Mount, wait_until

RESIDENT_MAX_KB = 256 << 10
SECONDS_MAX = 30  # as the issue has it, on a machine that does nothing else
CHANGES = r"^(UID )?(STORE|COPY|MOVE|EXPUNGE|APPEND)|^(EXPUNGE|CREATE|DELETE|RENAME|SUBSCRIBE|CLOSE)"
FOUND = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: ")

SCENARIOS = {}


def scenario(function):
    """Registers a scenario under the function's name."""
    SCENARIOS[function.__name__] = function
    return function


class Stage:
    def __init__(self, directory):
        self.dir = directory
        self.server = self.mount = None
        self.looker = None
        self.looking = threading.Event()
        self.trouble = None
        self.longest_look = 0.0
        self.expected = {}

    # Before the lie

    def serve(self, capabilities=("UIDPLUS", "UNSELECT", "LITERAL+"), mailboxes=("INBOX", "Work")):
        self.server = Imapd(mailboxes, capabilities)
        self.server.strict = True
        for n in (1, 2, 3):
            self.server.append("INBOX", mail(n))
        self.server.append("Work", mail(9))
        return self.server

    def start(self, **options):
        """Mounts; the server may lie already."""
        env = {"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=8:malloc_context_size=10",
               "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
        options = {"poll": "1s", "timeout": "2s", "env": env, **options}
        self.mount = Mount(self.dir, self.server.port, **options).start()
        self.looking.set()
        self.looker = threading.Thread(target=self._look, daemon=True)
        self.looker.start()

    def known(self, capabilities=("UIDPLUS", "UNSELECT", "LITERAL+"), **options):
        """An honest server and a mount that is in step with it."""
        self.serve(capabilities)
        self.start(**options)
        self.mount.sync()
        self.mount.wait_bodies()
        return self.server

    def _look(self):
        """`ls`, again and again: it may neither fail nor hang."""
        try:
            while self.looking.is_set():
                begin = time.monotonic()
                for name in os.listdir(self.mount.point):
                    path = os.path.join(self.mount.point, name)
                    if os.path.isdir(path):
                        os.listdir(path)
                self.longest_look = max(self.longest_look, time.monotonic() - begin)
                time.sleep(0.05)
        except OSError as error:
            self.trouble = error

    # The lie

    def attack(self, pattern, action, times=None, told=1, deadline=25, also_new=True):
        """Lies to whoever asks what matches, until that has happened `told` times."""
        rule = self.server.lie(pattern, action, times)
        if also_new:
            self.server.append("INBOX", mail(4))
        self.server.drop()
        self.nudge()
        wait_until(lambda: rule.told >= told, deadline, f"{pattern} lied to {told} times")
        self.mount.run("sync", "--timeout", "1s", self.mount.point, check=False)
        return rule

    def nudge(self):
        """Ends a back-off."""
        self.mount.run("resume", self.mount.point, check=False)

    # The safe result

    def all_safe(self):
        """What was known is here."""
        for n in (1, 2, 3):
            assert read(self.mount.message("INBOX", n)) == mail(n), f"message {n}"
        assert read(self.mount.message("Work", 1)) == mail(9)

    def nothing_done(self):
        assert self.server.seen(CHANGES) == []

    def honest_again(self, messages=(1, 2, 3, 4)):
        """The lies end, and so does every trace of them."""
        with self.server.lock:
            self.server.rules.clear()
            self.server.greeting = None
        self.server.drop()
        self.nudge()
        self.mount.sync(60)
        assert self.mount.messages("INBOX") == list(messages)
        for n in messages:
            assert read(self.mount.message("INBOX", n)) == mail(n)
        self.all_safe()

    def resident_kb(self):
        with open(f"/proc/{self.mount.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])

    def unharmed(self):
        """The process, its memory, and those who looked."""
        assert self.mount.process.poll() is None, self.mount.log()
        assert self.trouble is None, f"ls: {self.trouble}"
        assert self.longest_look < 10, f"ls took {self.longest_look:.1f} s"
        resident = self.resident_kb()
        assert resident < RESIDENT_MAX_KB, f"{resident} KB resident"

    def end(self):
        self.looking.clear()
        self.looker.join(20)
        self.mount.unmount(20)
        self.sanitizers_silent()

    def sanitizers_silent(self):
        assert not FOUND.search(self.mount.log()), self.mount.log()

    def refused(self, codes, **options):
        """The account is new here, and mounting it ends at once with one of `codes`."""
        env = {"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=8"}
        options = {"timeout": "2s", "env": env, **options}
        self.mount = Mount(self.dir, self.server.port, **options)
        begin = time.monotonic()
        done = self.mount.run(*self.mount.option_words(), self.mount.address, self.mount.point,
                              check=False, timeout=SECONDS_MAX)
        assert done.returncode in codes, (done.returncode, done.stderr)
        assert not FOUND.search(done.stderr), done.stderr
        assert time.monotonic() - begin < SECONDS_MAX
        return done.stderr

    def close(self):
        self.looking.clear()
        if self.mount:
            self.mount.close()
        if self.server:
            self.server.close()


def lied_to(pattern, action, capabilities=("UIDPLUS", "UNSELECT", "LITERAL+"), told=1, times=None,
            messages=(1, 2, 3, 4), **options):
    """The usual scenario: known, lied to, unharmed, honest again."""
    def run(stage):
        stage.known(capabilities, **options)
        stage.attack(pattern, action, times, told)
        stage.all_safe()
        stage.unharmed()
        stage.honest_again(messages)
        stage.nothing_done()
        stage.unharmed()
        stage.end()
    return run


# What lies are made of

def says(*pieces, tagged="OK done"):
    """Bytes as they are, then the tagged reply and nothing else."""
    return lambda session, command, proceed: Reply(raw=pieces, tagged=tagged)


def says_then_cuts(*pieces):
    return lambda session, command, proceed: Reply(raw=pieces, tagged=None, cut=True)


def adds(*pieces):
    """Bytes before the honest reply."""
    def action(_session, _command, proceed):
        reply = proceed()
        reply.raw = pieces
        return reply
    return action


def changes(pattern, replacement):
    """The honest reply, each untagged line changed."""
    def action(_session, _command, proceed):
        reply = proceed()
        reply.untagged = [re.sub(pattern, replacement, u) for u in reply.untagged]
        return reply
    return action


def tags(text):
    """The honest untagged lines, another tagged reply."""
    def action(_session, _command, proceed):
        reply = proceed()
        reply.tagged = text
        return reply
    return action


def pours(piece, megabytes, tagged="OK done"):
    """The same piece, over and over."""
    block = piece * max(1, 65536 // len(piece))
    count = max(1, (megabytes << 20) // len(block))
    return lambda session, command, proceed: Reply(raw=(block for _ in range(count)), tagged=tagged)


def literal(megabytes, head, tail=b")\r\n", claim=None):
    """A literal in the middle of a reply; `claim`: its size as announced."""
    size = megabytes << 20
    claim = size if claim is None else claim

    def pieces():
        yield head + b"{%d}\r\n" % claim
        for _ in range(size >> 16):
            yield b"x" * 65536
        yield tail
    return lambda session, command, proceed: Reply(raw=pieces())


def drips(data, seconds):
    """A byte at a time."""
    def pieces():
        for i in range(len(data)):
            yield data[i:i + 1]
            time.sleep(seconds)
    return lambda session, command, proceed: Reply(raw=pieces())


def silent(session, _command, _proceed):
    """Takes the command and says nothing, for as long as the client bears it."""
    def pieces():
        while session.socket.recv(4096):
            pass
        raise Cut()
        yield b""
    return Reply(raw=pieces(), tagged=None, cut=True)
