# SPDX-License-Identifier: MIT
"""One mailbox of any size on the mount, on the same files on disk, and on those through bindfs
(see scripts/bench --only scale).  There is no server: the store is filled by mount_probe."""

import os
import shutil
import signal
import statistics
import subprocess
import time

# the first and the second pass may take so many times as long as on disk
TOOLS = {
    "ls -f": (("ls", "-f", "{}"), "", "1.0"),
    "ls -lR": (("ls", "-lR", "{}"), "1.0", "1.0"),
    "find -size": (("find", "{}", "-size", "+20k"), "2.5", "1.1"),
    "grep -r": (("grep", "-r", "zqxjkwv", "{}"), "2.5", "1.3"),
    "find after grep": (("find", "{}", "-size", "+20k"), "1.5", "1.5"),
    "rsync -a": (("rsync", "-a", "--delete", "{}/", "{copy}/"), "1.3", "1.1"),
    "getfattr -R -d": (("getfattr", "-R", "-d", "{}"), "6", "6"),
}
FRESH = ("ls -f", "ls -lR", "find -size", "grep -r", "rsync -a", "getfattr -R -d")


def timed(words, where, copy):
    command = [w.replace("{}", where).replace("{copy}", copy) for w in words]
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    took = time.monotonic() - start
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command}: {done.returncode}\n{done.stderr[-2000:]}")
    return took


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
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            peak = [line.split()[1] for line in f if line.startswith("VmHWM")]
        self.peak = max(self.peak, int(peak[0]) / 1024)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


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


def run(probe, messages, rounds, size, words, work):
    directory = os.path.join(work, "scale")
    os.makedirs(os.path.join(directory, "mnt"))
    os.mkfifo(os.path.join(directory, "changes"))
    subprocess.run([probe, directory, "list", "INBOX"], check=True)
    start = time.monotonic()
    subprocess.run([probe, directory, "many", "INBOX", "1", str(messages), str(size)], check=True)
    print(f"one mailbox of {messages} messages, {messages * size / 1e6:.0f} MB, filled in "
          f"{time.monotonic() - start:.0f} s; median of {rounds} rounds; {' '.join(words)}")
    mount, disk = Probe(probe, directory, words), Place(os.path.join(work, "disk"))
    mount.start()
    try:
        subprocess.run(["cp", "-a", mount.path, disk.path], check=True)
    finally:
        mount.stop()
    places = [("mount", mount), ("disk", disk)]
    if shutil.which("bindfs"):
        places.append(("bindfs", Bindfs(disk.path, os.path.join(work, "bindfs"))))
    results = {}
    timed(TOOLS["grep -r"][0], disk.path, "")
    for _ in range(rounds):
        for which, place in places:
            measure(place, FRESH, work, results, which)
    report(results, len(places) == 3)
    first = results[("ls -f", 1)]
    print(f"  first ls after mount: {statistics.median(first['mount']) - statistics.median(first['disk']):.2f} s"
          " more than on disk (target 0.5)")
    print(f"  peak RSS of the daemon {mount.peak:.1f} MB (target 150)")
