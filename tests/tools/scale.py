# SPDX-License-Identifier: MIT
"""What programs take on a mount, on the same files on disk, and on those through bindfs (see
scripts/bench --only mount and --only scale).  For one big mailbox there is no server: the store is
filled by mount_probe."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

# the first and the second pass may take so many times as long as on disk
TOOLS = {
    "ls -fR": (("ls", "-fR", "{}"), "", "1.0"),
    "ls -lR": (("ls", "-lR", "{}"), "1.0", "1.0"),
    "find -size": (("find", "{}", "-size", "+20k"), "2.5", "1.1"),
    "grep -r": (("grep", "-r", "zqxjkwv", "{}"), "2.5", "1.3"),
    "find after grep": (("find", "{}", "-size", "+20k"), "1.5", "1.5"),
    "grep -rl": (("grep", "-rlaF", "needle", "{}"), "2.5", "1.3"),
    # all is copied; then the listing is read anew, as the reads made the access times void
    "rsync -a": (("rsync", "-a", "--delete", "{}/", "{copy}/"), "1.3", "1.5"),
    "rsync -a, no-op": (("rsync", "-a", "--delete", "{}/", "{copy}/"), "1.5", "1.1"),
    "getfattr -R -d": (("getfattr", "-R", "-d", "{}"), "6", "6"),
}
FRESH = ("ls -fR", "ls -lR", "find -size", "grep -r", "rsync -a", "rsync -a, no-op",
         "getfattr -R -d")
SHM = "/dev/shm"


def timed(words, where, copy):
    command = [w.replace("{}", where).replace("{copy}", copy) for w in words]
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    took = time.monotonic() - start
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command}: {done.returncode}\n{done.stderr[-2000:]}")
    return took


def peak_rss(pid):
    """Megabytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


def same_names(one, other):
    """What holds a word is the same files, or what is measured is wrong."""
    found = [sorted(subprocess.run(["grep", "-rlaF", "needle", "."], cwd=where, check=False,
                                   stdout=subprocess.PIPE).stdout.split(b"\n"))
             for where in (one, other)]
    assert found[0] == found[1], "grep found something else on the mount"


class Place:
    """Files that can be mounted afresh, and how."""

    def __init__(self, path):
        self.path = path

    def start(self):
        pass

    def stop(self):
        pass


class Probe(Place):
    def __init__(self, probe, directory, words):
        super().__init__(os.path.join(directory, "mnt", "INBOX"))
        self.command = [probe, directory, "mount", os.path.join(directory, "mnt"), *words]
        if "maildir" in words:
            self.path = os.path.join(self.path, "cur")
        self.process, self.peak = None, 0

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        self.peak = max(self.peak, peak_rss(self.process.pid))
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


class Mounted(Place):
    """The program itself, with an account that is synced."""

    def __init__(self, mount):
        super().__init__(mount.point)
        self.mount, self.peak = mount, 0

    def start(self):
        self.mount.start()
        self.mount.sync()

    def stop(self):
        self.peak = max(self.peak, peak_rss(self.mount.pid))
        self.mount.unmount()


class Bindfs(Place):
    def __init__(self, source, point):
        super().__init__(point)
        self.source = source
        os.makedirs(point, exist_ok=True)

    def start(self):
        subprocess.run(["bindfs", self.source, self.path], check=True)

    def stop(self):
        subprocess.run(["fusermount3", "-u", self.path], check=True)


def measure(place, names, work, results, which):
    """A fresh mount for each tool; `find after grep` is a third pass of grep's."""
    for name in names:
        copy = os.path.join(work, f"copy-{which}")
        if name != "rsync -a, no-op":
            shutil.rmtree(copy, ignore_errors=True)
        os.sync()
        place.start()
        try:
            for n in (1, 2):
                results.setdefault((name, n), {}).setdefault(which, []).append(
                    timed(TOOLS[name][0], place.path, copy))
            if name == "grep -r":
                results.setdefault(("find after grep", 1), {}).setdefault(which, []).append(
                    timed(TOOLS["find after grep"][0], place.path, copy))
        finally:
            place.stop()


def report(results, have_bindfs):
    print(f"  {'':20}{'pass':>5}{'mount s':>9}{'disk s':>9}{'ratio':>8}{'target':>8}"
          + (f"{'bindfs':>9}" if have_bindfs else ""))
    for (name, n), times in sorted(results.items(), key=lambda r: (list(TOOLS).index(r[0][0]),
                                                                   r[0][1])):
        mid = {w: statistics.median(t) for w, t in times.items()}
        line = (f"  {name:20}{n:>5}{mid['mount']:9.2f}{mid['disk']:9.2f}"
                f"{mid['mount'] / mid['disk']:8.2f}{TOOLS[name][n]:>8}")
        print(line + (f"{mid['bindfs'] / mid['disk']:9.2f}" if have_bindfs else ""))


def copies(size, work):
    """Where rsync copies to: to memory where it has room, so that no disk is measured."""
    free = os.statvfs(SHM) if os.path.isdir(SHM) else None
    roomy = free and free.f_bavail * free.f_frsize > 8 * size
    return tempfile.mkdtemp(prefix="imapfs-bench-", dir=SHM if roomy else work)


def compare(mount, names, rounds, size, rss, work):
    """`mount` beside a copy of its files on disk, and that through bindfs where it is installed."""
    disk = Place(os.path.join(work, "disk"))
    target = copies(size, work)
    results = {}
    try:
        mount.start()
        try:
            subprocess.run(["cp", "-a", mount.path, disk.path], check=True)
            same_names(mount.path, disk.path)
        finally:
            mount.stop()
        places = [("mount", mount), ("disk", disk)]
        if shutil.which("bindfs"):
            places.append(("bindfs", Bindfs(disk.path, os.path.join(work, "bindfs"))))
        timed(TOOLS["grep -r"][0], disk.path, "")
        for _ in range(rounds):
            for name in names:  # one tool at a time, so that all see the same machine
                for which, place in places:
                    measure(place, (name,), target, results, which)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    report(results, len(places) == 3)
    first = results[("ls -fR", 1)]
    more = statistics.median(first["mount"]) - statistics.median(first["disk"])
    print(f"  first ls after mount: {more:.2f} s more than on disk (target 0.5)")
    print(f"  peak RSS of the daemon {mount.peak:.1f} MB (target {rss})")


def run(probe, messages, rounds, size, words, work):
    directory = os.path.join(work, "scale")
    os.makedirs(os.path.join(directory, "mnt"))
    os.mkfifo(os.path.join(directory, "changes"))
    subprocess.run([probe, directory, "list", "INBOX"], check=True)
    start = time.monotonic()
    subprocess.run([probe, directory, "many", "INBOX", "1", str(messages), str(size)], check=True)
    print(f"one mailbox of {messages} messages, {messages * size / 1e6:.0f} MB, filled in "
          f"{time.monotonic() - start:.0f} s; median of {rounds} rounds; {' '.join(words)}")
    compare(Probe(probe, directory, words), FRESH, rounds, messages * size,
            60 if messages <= 10000 else 150, work)
