# SPDX-License-Identifier: MIT
"""An account without a mount: sync_drive over a pipe."""

import collections
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
DRIVE = os.environ.get("SYNC_DRIVE", os.path.join(ROOT, "build/tests/unit/sync/sync_drive"))

Entry = collections.namedtuple(
    "Entry", "path size uidvalidity uid flags message_id date length digest id")
Status = collections.namedtuple("Status", "state reason sent received turnarounds messages bodies")

MAILBOX, MESSAGE = "2", "3"
OFFLINE, PAUSED, CONNECTING, REPLAYING, PULLING, IN_STEP = range(6)
TRASH, EXPUNGE, FLAG = 1, 2, 3


class Driven:
    def __init__(self, directory, port, binary=DRIVE, **options):
        self.dir = str(directory)
        words = [str(w) for pair in options.items() for w in pair]
        self.log = open(os.path.join(self.dir, "drive.log"), "ab")
        for name in ("state", "cache"):
            os.makedirs(os.path.join(self.dir, name), mode=0o700, exist_ok=True)
        self.process = subprocess.Popen(
            [*self.command(binary), os.path.join(self.dir, "state"), os.path.join(self.dir, "cache"), str(port), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self._answer()

    @staticmethod
    def command(binary):
        return [binary]

    def _answer(self):
        lines = []
        while True:
            line = self.process.stdout.readline().decode("utf-8", "surrogateescape")
            if not line:
                raise RuntimeError("the program has ended:\n" + self.text())
            if line.startswith(". "):
                return int(line.split()[1]), lines
            lines.append(line.rstrip("\n"))

    def text(self):
        with open(os.path.join(self.dir, "drive.log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-6000:]

    def say(self, *words):
        self.process.stdin.write(("\t".join(str(w) for w in words) + "\n").encode("utf-8", "surrogateescape"))
        self.process.stdin.flush()
        return self._answer()

    def do(self, *words):
        result, lines = self.say(*words)
        assert result == 0, f"{words}: {result} {lines}\n{self.text()}"
        return lines

    def wait(self, seconds=60):
        self.do("wait", int(seconds * 1000))

    def tree(self):
        """Messages by path."""
        entries = {}
        for line in self.do("tree"):
            words = line.split("\t")
            if words[0] == MESSAGE:
                entries[words[1]] = Entry(words[1], int(words[2]), int(words[3]), int(words[4]),
                                          set(words[5].split()), words[6], int(words[7]),
                                          words[8], words[9], int(words[10]))
        return entries

    def mailboxes(self):
        return {line.split("\t")[1] for line in self.do("tree") if line.split("\t")[0] == MAILBOX}

    def status(self):
        words = self.do("status")[0].split("\t")
        return Status(int(words[0]), words[1], *map(int, words[2:]))

    def queue(self):
        return [line.split("\t") for line in self.do("queue")]

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.05)
        raise AssertionError("not within %s s:\n%s" % (seconds, self.text()))

    def _upload(self, data):
        path = os.path.join(self.dir, "upload")
        with open(path, "wb") as f:
            f.write(data)
        return path

    def append(self, mailbox, name, data, flags="", message_id=""):
        self.do("append", mailbox, name, self._upload(data), flags, message_id)

    def edit(self, path, data, message_id=""):
        self.do("edit", path, self._upload(data), message_id)

    def peak_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))

    def quit(self):
        """Returns how long stopping took, in ms."""
        self.process.stdin.write(b"quit\n")
        self.process.stdin.close()
        out = self.process.stdout.read().decode()
        assert self.process.wait(30) == 0, self.text()
        self.log.close()
        return int(out.split()[-1])

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
