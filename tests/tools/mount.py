# SPDX-License-Identifier: MIT
"""A mounted imapfs: starts, kills, unmounts and asks it."""

import os
import shutil
import signal
import subprocess
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def default_binary():
    return os.environ.get("IMAPFS") or os.path.join(TOP, "build", "imapfs")


def mounted(path):
    """True while something is mounted on path, answering or not."""
    wanted = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        return any(line.split()[4].replace("\\040", " ") == wanted for line in f)


def detach(path):
    """Unmounts whatever happened before."""
    for _ in range(3):
        if not mounted(path):
            return
        for command in (["fusermount3", "-u", "-z", path], ["umount", "-l", path]):
            if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              check=False).returncode == 0:
                break


def wait_until(condition, deadline, what="condition"):
    """Seconds until condition() was true."""
    start = time.monotonic()
    while True:
        value = condition()
        if value:
            return time.monotonic() - start
        if time.monotonic() - start > deadline:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.02)


class Mount:
    """State, cache and mount point live below `directory` and survive remounts."""

    def __init__(self, directory, port, user="test", password="secret", binary=None, prefix=(),
                 env=None, below="", **options):
        """below: the mailbox that all but INBOX lie in."""
        self.dir = str(directory)
        self.point = os.path.join(self.dir, "mnt")
        self.binary = binary or default_binary()
        self.prefix = list(prefix)  # such as runuser
        self.below = below
        self.port, self.user = port, user
        self.options = {"tls": "none", "state-dir": os.path.join(self.dir, "state"),
                        "cache-dir": os.path.join(self.dir, "cache"), "hold": "0s"}
        self.options.update({k.replace("_", "-"): v for k, v in options.items()})
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.dir,
                    "XDG_RUNTIME_DIR": os.path.join(self.dir, "run"), "LC_ALL": "C.UTF-8",
                    "IMAPFS_PASSWORD": password}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.env.update(env or {})
        self.log_path = os.path.join(self.dir, "imapfs.log")
        self.process = None
        self.starts = 0
        for sub in ("mnt", "run"):
            os.makedirs(os.path.join(self.dir, sub), mode=0o700, exist_ok=True)

    @property
    def address(self):
        return f"{self.user}@127.0.0.1:{self.port}"

    def command(self, *args):
        return [*self.prefix, self.binary, *args]

    def option_words(self):
        words = []
        for name, value in self.options.items():
            if value is False:
                continue
            words += ["-o", name if value is True else f"{name}={value}"]
        return words

    def start(self, deadline=60):
        """Runs it in the foreground as a child and waits until it answers."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command("-f", *self.option_words(), self.address, self.point),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd="/",
                start_new_session=True, preexec_fn=_default_signals)
        self.starts += 1

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"imapfs ended with {self.process.returncode}:\n{self.log()}")
            return mounted(self.point)
        wait_until(ready, deadline, "mounted")
        return self

    @property
    def pid(self):
        """Of the daemon, also below a runuser."""
        if not self.prefix:
            return self.process.pid
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="ascii") as f:
            return int(f.read().split()[0])

    def kill(self):
        """kill -9, and what is left of the mount is taken away."""
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None
        detach(self.point)

    def unmount(self, deadline=20):
        """As users do; returns the seconds until the daemon has ended."""
        start = time.monotonic()
        subprocess.run([*self.prefix, "fusermount3", "-u", self.point], check=True,
                       stdin=subprocess.DEVNULL, env=self.env)
        status = self.process.wait(deadline)
        self.process = None
        assert status == 0, f"imapfs ended with {status}:\n{self.log()}"
        return time.monotonic() - start

    def close(self):
        """Whatever state it is in, nothing is left behind."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def remount(self):
        self.unmount()
        return self.start()

    def run(self, *args, check=True, timeout=120):
        """An imapfs subcommand; its result."""
        done = subprocess.run(self.command(*args), stdin=subprocess.DEVNULL, env=self.env,
                              capture_output=True, text=True, timeout=timeout, check=False)
        if check:
            assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def sync(self, timeout=120):
        """Until the log is empty and a pull is complete."""
        start = time.monotonic()

        def done():
            left = max(1, int(timeout - (time.monotonic() - start)))
            result = self.run("sync", "--timeout", f"{left}s", self.point, check=False,
                              timeout=left + 10)
            assert result.returncode in (0, 1), result.stdout + result.stderr
            return result.returncode == 0
        return wait_until(done, timeout, "in step with the server")

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()[-8000:]
        except OSError:
            return ""

    def path(self, mailbox, *names):
        """The directory of a mailbox, or a file in it, as it is spelled here."""
        path = self.point
        if self.below and mailbox.split("/")[0] not in ("INBOX", ".imapfs"):
            mailbox = f"{self.below}/{mailbox}"
        for part in mailbox.split("/"):
            plain = os.path.join(path, part)
            if not os.path.isdir(plain):
                for entry in os.listdir(path):
                    if urllib.parse.unquote(entry) == part:
                        plain = os.path.join(path, entry)
            path = plain
        return os.path.join(path, *map(str, names))

    def message(self, mailbox, uid):
        return self.path(mailbox, f"{uid}.eml")

    def messages(self, mailbox):
        """UIDs of the files named by UID."""
        names = os.listdir(self.path(mailbox))
        return sorted(int(n[:-4]) for n in names if n.endswith(".eml") and n[:-4].isdigit())

    def flags(self, path):
        """The flags of a file, as the server spells them."""
        words = os.getxattr(path, "user.imap.flags").decode().split()
        return frozenset("\\" + w if w in SYSTEM_FLAGS else w for w in words)

    def wait_bodies(self, deadline=300):
        """Until every message is held here."""
        def complete():
            for path, _, files in os.walk(self.point):
                for name in files:
                    if os.getxattr(os.path.join(path, name), "user.imap.body") != b"cached":
                        return False
            return True
        return wait_until(complete, deadline, "all bodies cached")


SYSTEM_FLAGS = frozenset(("Seen", "Answered", "Flagged", "Deleted", "Draft"))


def _default_signals():
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(sig, signal.SIG_DFL)


def have_fuse():
    return os.path.exists("/dev/fuse") and shutil.which("fusermount3") is not None
