# SPDX-License-Identifier: MIT
"""A store without a server, mounted by mount_probe."""

import os
import signal
import subprocess
import time

import pytest

PROBE = os.environ.get("MOUNT_PROBE", "")
DEADLINE = 30.0


def until(condition, seconds=DEADLINE, what="condition"):
    """Waits until `condition` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < end, f"{what} did not come true in {seconds} s"
        time.sleep(0.02)


def message(number, body="hello"):
    return (f"From: a@example.org\r\nMessage-ID: <{number}@example.org>\r\n"
            f"Subject: number {number}\r\n\r\n{body}\r\n").encode()


class Probe:
    """One store and its mount."""

    def __init__(self, folder):
        self.dir = str(folder)
        self.point = os.path.join(self.dir, "mnt")
        self.process = None
        os.mkdir(self.point)
        os.mkfifo(os.path.join(self.dir, "changes"))
        self.run("list", "INBOX", "Sent", "Trash")

    def run(self, *words):
        """Changes the store as a pull would; the mount hears of it."""
        env = dict(os.environ)
        if self.process:
            env["PROBE_TELL"] = "1"
        done = subprocess.run([PROBE, self.dir, *map(str, words)], env=env, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def file(self, data, name="file"):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def fill(self, box, first, *datas):
        self.run("fill", box, first, *[self.file(d, f"fill{i}") for i, d in enumerate(datas)])

    def steer(self, name, data=b""):
        """Tells the fake sync what to do: `offline`, or `deliver` with the body."""
        self.file(data, name + ".new")
        os.rename(os.path.join(self.dir, name + ".new"), os.path.join(self.dir, name))

    def mount(self, *words):
        self.process = subprocess.Popen([PROBE, self.dir, "mount", self.point, *words],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line == "ready\n", self.process.stderr.read()
        return self

    def settle(self):
        with open(os.path.join(self.dir, "changes"), "w") as f:
            f.write("settle\n")

    def stop(self, sig=signal.SIGTERM):
        """Ends the mount; its exit status."""
        process, self.process = self.process, None
        process.send_signal(sig)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            for task in sorted(os.listdir(f"/proc/{process.pid}/task")):
                with open(f"/proc/{process.pid}/task/{task}/wchan") as f:
                    print("thread", task, "waits in", f.read())
            process.kill()
            process.wait()
            raise
        return process.returncode

    def path(self, *parts):
        return os.path.join(self.point, *parts)

    def read(self, *parts):
        with open(self.path(*parts), "rb") as f:
            return f.read()

    def ops(self):
        """The log: lists of kind, added flags, removed flags, name, spool."""
        return [line.split("|") for line in self.run("ops").splitlines()]

    def kinds(self):
        return [int(op[0]) for op in self.ops()]

    def status(self):
        with open(self.path(".imapfs", "status")) as f:
            return dict(line.split(" ", 1) for line in f.read().splitlines())

    def close(self):
        process, status = self.process, 0
        if process:
            try:
                status = self.stop()
            finally:
                print(process.stderr.read())
        subprocess.run(["fusermount3", "-u", "-z", "-q", self.point], stderr=subprocess.DEVNULL)
        assert status == 0


@pytest.fixture
def probe(tmp_path):
    """A store with mailboxes INBOX, Sent and Trash, not mounted yet."""
    one = Probe(tmp_path)
    yield one
    one.close()


@pytest.fixture
def mounted(probe):
    """Mounted, with three messages in INBOX whose bodies are here, and 9.eml whose is not."""
    probe.fill("INBOX", 1, message(1), message(2), message(3))
    probe.run("mail", "INBOX", 9, 5000, "\\Seen $Work")
    return probe.mount()
