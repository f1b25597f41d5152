# SPDX-License-Identifier: MIT
"""A mount under long load (see scripts/soak): stress-ng's file classes, and a random user for an hour.

Both end with what the daemon holds: its memory and its descriptors are not to grow.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from .dovecot import Dovecot
from .mail import Generator
from .meter import one_mailbox
from .mount import Mount, mounted

# What works on files, directories, times and attributes; not: what wants a device, shared writable
# mappings of huge size, direct I/O, or privileges of the whole machine; nor fsize, which takes it for
# granted that the kernel holds fallocate() to RLIMIT_FSIZE.
CLASSES = ("access", "chattr", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep",
           "dirmany", "dnotify", "dup", "fallocate", "fcntl", "fiemap", "file-ioctl", "filename",
           "flock", "fpunch", "fstat", "getdent", "handle", "hdd", "inode-flags",
           "inotify", "io", "iomix", "lease", "link", "locka", "lockf", "lockofd", "mknod", "open",
           "readahead", "rename", "seek", "sendfile", "symlink", "sync-file", "touch", "utime",
           "verity", "xattr")


def memory_kb(pid, what="VmRSS"):
    """RssAnon: what it holds itself, without the pages of files that the system may take back."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(what + r":\s+(\d+)", f.read())[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def run_class(name, seconds, place):
    """(exit status, what was said) of one class."""
    done = subprocess.run(
        ["stress-ng", f"--{name}", "1", "--timeout", f"{seconds}s", "--temp-path", place, "--verify",
         "--no-rand-seed"], stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True,
        timeout=seconds * 4 + 120)
    return done.returncode, done.stdout + done.stderr


def stress(words, mount):
    """Each class in a mailbox and in a local directory."""
    failed = 0
    os.mkdir(mount.path("Box"))
    os.mkdir(mount.path("Box", "Local.tmp"))
    for name in CLASSES:
        if not re.search(words.only, name):
            continue
        for place in ("Box", "Box/Local.tmp"):
            try:
                status, text = run_class(name, words.seconds, mount.path(place))
            except subprocess.TimeoutExpired:
                status, text = -1, "did not end"
            # 3: lacks what it needs (a file system with hard links, say), 4: not for this machine
            fine = status in (0, 3, 4) and mounted(mount.point) and "fail:" not in text
            failed += not fine
            print(f"{name:12} {place:14} {'ok' if fine else 'FAILED'} {status}  "
                  f"{memory_kb(mount.pid) // 1024} MB, {descriptors(mount.pid)} descriptors", flush=True)
            if not fine:
                print(text[:1500], mount.log()[-3000:], flush=True)
            if not mounted(mount.point):
                return failed
    return failed


class User:
    """Does at random what people and programs do."""

    def __init__(self, mount, seed):
        self.mount, self.random = mount, random.Random(seed)
        self.names = os.listdir(mount.path("Big"))
        self.made = 0
        self.done = {}

    def _any(self):
        return self.mount.path("Big", self.random.choice(self.names))

    def read(self):
        with open(self._any(), "rb") as f:
            f.read()

    def stat(self):
        for _ in range(200):
            os.stat(self._any())

    def attributes(self):
        path = self._any()
        for name in os.listxattr(path):
            os.getxattr(path, name)

    def list(self):
        assert len(os.listdir(self.mount.path("Big"))) >= len(self.names) // 2

    def flag(self):
        os.setxattr(self._any(), "user.imap.flags", self.random.choice((b"\\Seen", b"\\Flagged \\Seen", b"")))

    def write(self):
        self.made += 1
        name = f"made {self.made}.eml"
        with open(self.mount.path("Big", name), "wb") as f:
            f.write(b"Subject: %d\r\n\r\n%s\r\n" % (self.made, b"x" * self.random.randrange(20000)))
        self.names.append(name)

    def remove(self):
        name = self.names.pop(self.random.randrange(len(self.names)))
        os.unlink(self.mount.path("Big", name))

    def rename(self):
        n = self.random.randrange(len(self.names))
        self.made += 1
        new = f"renamed {self.made}.eml"
        os.rename(self.mount.path("Big", self.names[n]), self.mount.path("Big", new))
        self.names[n] = new

    def find(self):
        subprocess.run(["find", self.mount.path("Big"), "-size", "+1M"], check=True,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def step(self):
        kinds = {"read": 40, "stat": 20, "attributes": 10, "list": 1, "flag": 10, "write": 5, "remove": 4,
                 "rename": 4, "find": 1}
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        getattr(self, kind)()
        self.done[kind] = self.done.get(kind, 0) + 1


def load(words, mount):
    """What is held after the first twelfth of the time and at the end."""
    user = User(mount, words.seed)
    begun = last = time.monotonic()
    held = []
    while time.monotonic() - begun < words.minutes * 60:
        user.step()
        if time.monotonic() - last > words.minutes * 60 / 12:
            last = time.monotonic()
            held.append((memory_kb(mount.pid, "RssAnon"), descriptors(mount.pid)))
            print(f"{(last - begun) / 60:5.1f} min: {sum(user.done.values())} steps, "
                  f"{memory_kb(mount.pid) // 1024} MB resident, {held[-1][0] // 1024} MB of its own, "
                  f"{held[-1][1]} descriptors", flush=True)
    mount.sync(600)
    print(f"seed {words.seed}: {user.done}")
    first, end = held[0], held[-1]
    fine = end[0] < max(first[0] * 1.2, first[0] + 8192) and end[1] <= first[1] + 8 and \
        memory_kb(mount.pid, "VmHWM") < 150 << 10
    print("ok" if fine else "GROWS")
    return 0 if fine else 1


def main():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("what", choices=("stress", "load"))
    parser.add_argument("--seconds", type=int, default=60, help="of each class of stress")
    parser.add_argument("--only", default="", help="a regular expression of classes")
    parser.add_argument("--minutes", type=float, default=60, help="of load")
    parser.add_argument("--messages", type=int, default=100000, help="under load")
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left behind
    work = tempfile.mkdtemp(prefix="imapfs-soak-", dir="/tmp")
    os.chmod(work, 0o711)
    with Dovecot() as server:
        if words.what == "load":
            server.fill(one_mailbox(words.messages))
        else:
            server.fill([("INBOX", Generator().mail(i, size=3000)) for i in range(20)])
        mount = Mount(work, server.port)
        try:
            mount.start()
            mount.sync(1200)
            return (stress if words.what == "stress" else load)(words, mount)
        finally:
            mount.close()
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
