# SPDX-License-Identifier: MIT
"""Runs every suite, each with a time limit, and sums up: the work of scripts/test.

What a suite starts is ended by its pid and what it mounted is unmounted, also when it fails
or runs too long.  A suite that passes says one line; one that fails shows its whole log.
"""

import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PR_SET_CHILD_SUBREAPER = 36
FUZZ_SECONDS = 60  # of each target; all run at a time
SMOKE = "test_hostile or test_push or test_editors or test_offline_day or test_metadata or test_killed_reader"


class Runner:
    def __init__(self):
        self.place = tempfile.mkdtemp(prefix="imapfs-test-", dir="/tmp")
        os.chmod(self.place, 0o755)
        self.passed, self.failed = 0, []
        self.lock = threading.Lock()
        self.running = 0
        self.env = self._environment()

    def _environment(self):
        """As little as possible of the caller's: no terminal, no home, no locale."""
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "CC", "CFLAGS", "LDFLAGS")}
        env["PATH"] = env.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin:/sbin"
        env.update(HOME=self.place, LC_ALL="C.UTF-8", IMAPFS_TEST_DIR=self.place,
                   TMPDIR=self.place, PYTHONDONTWRITEBYTECODE="1", GIT_CONFIG_COUNT="1",
                   GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*",
                   UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
                   ASAN_OPTIONS="abort_on_error=0:detect_leaks=1",
                   TSAN_OPTIONS="halt_on_error=0:exitcode=66:second_deadlock_stack=1")
        return env

    def run(self, name, command, limit, env=None):
        """(exit status or None when out of time, log path, seconds)."""
        where = os.path.join(self.place, re.sub(r"\W+", "-", name))
        os.makedirs(where, mode=0o755, exist_ok=True)
        log = os.path.join(where, "log")
        began = time.monotonic()
        mine = {"IMAPFS_TEST_DIR": where, "TMPDIR": where, "HOME": where}
        with self.lock:
            self.running += 1
        with open(log, "wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       env={**self.env, **mine, **(env or {})}, cwd=TOP,
                                       start_new_session=True, preexec_fn=_default_signals)
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                status = None
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._clean(where)
        return status, log, time.monotonic() - began

    def _clean(self, where):
        """Orphans come to this process; mounts of a suite are below its directory."""
        with self.lock:
            self.running -= 1
            if self.running <= 0:  # else they may belong to the suite in the other lane
                for pid in _children():
                    _end(pid)
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            points = [line.split()[4].replace("\\040", " ") for line in f]
        for point in points:
            if point.startswith(where + "/"):
                subprocess.run(["fusermount3", "-u", "-z", point], stdin=subprocess.DEVNULL,
                               capture_output=True, check=False)

    def count(self, suite, passed, failed, seconds, log):
        """failed: names.  Says one line, and the log where something failed."""
        text = ""
        if failed and log:
            with open(log, encoding="utf-8", errors="replace") as f:
                text = f"----- {suite}: log -----\n{f.read()}\n----- {suite}: end of log -----\n"
        text += f"{suite}: {passed} passed, {len(failed)} failed ({seconds:.0f} s)\n"
        with self.lock:
            self.passed += passed
            self.failed += [f"{suite}: {name}" for name in failed]
            sys.stdout.write(text)
            sys.stdout.flush()

    def whole(self, suite, command, limit, env=None, silent_pass=False):
        """A command that passes or fails as one; True when it passed."""
        status, log, seconds = self.run(suite, command, limit, env)
        if status == 0 and silent_pass:
            return True
        reason = [] if status == 0 else ["out of time" if status is None else f"status {status}"]
        self.count(suite, 0 if reason else 1, reason, seconds, log)
        return not reason

    def build(self, directory, *options, env=None):
        """Configures once, compiles; counts as a test."""
        where = os.path.join(TOP, directory)
        configured = os.path.exists(os.path.join(where, "build.ninja"))
        if not configured:
            shutil.rmtree(where, ignore_errors=True)
            if not self.whole(f"configure {directory}", ["meson", "setup", where, *options], 120,
                              env, silent_pass=True):
                return False
        return self.whole(f"build {directory}", ["ninja", "-C", where], 420, env)

    def unit(self, suite, directory, limit, *options, before=(), env=None):
        """meson's tests; the tests within each cmocka program are counted."""
        where = os.path.join(TOP, directory)
        status, log, seconds = self.run(
            suite, [*before, "meson", "test", "-C", where, "--no-rebuild", "--print-errorlogs", *options],
            limit, env)
        passed, failed = _meson_results(os.path.join(where, "meson-logs", "testlog.json"))
        if status is None:
            failed.append("out of time")
        elif status != 0 and not failed:
            failed.append(f"meson test ended with {status}")
        self.count(suite, passed, failed, seconds, log)

    def pytest(self, suite, limit, *options, binary="build", paths=("tests/e2e",)):
        """End-to-end tests on one build."""
        report = os.path.join(self.place, suite.replace(" ", "-") + ".xml")
        status, log, seconds = self.run(
            suite, ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE",
                    f"--junit-xml={report}", *paths, *options],
            limit, {"IMAPFS": os.path.join(TOP, binary, "imapfs")})
        passed, failed = _junit_results(report)
        if status is None:
            failed.append("out of time")
        elif status != 0 and not failed:
            failed.append(f"pytest ended with {status}")
        self.count(suite, passed, failed, seconds, log)

    def close(self):
        self.running = 1
        self._clean(self.place)
        shutil.rmtree(self.place, ignore_errors=True)


def _default_signals():
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(sig, signal.SIG_DFL)


def _children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as f:
        return [int(pid) for pid in f.read().split()]


def _end(pid):
    """An orphan of a suite: its session is its own, so its group goes with it."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def _meson_results(path):
    """(tests passed, names failed) from meson's log, a JSON object a line."""
    passed, failed = 0, []
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            rows = [json.loads(line) for line in f]
    except OSError:
        return 0, ["no test log"]
    for row in rows:
        output = (row.get("stdout") or "") + (row.get("stderr") or "")
        ok = [int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output)]
        bad = re.findall(r"^\[  FAILED  \] (\w+)$", output, re.M)
        if row["result"] in ("OK", "EXPECTEDFAIL", "SKIP"):
            passed += sum(ok) or 1
        else:
            passed += sum(ok)
            failed += [f"{row['name']}/{name}" for name in dict.fromkeys(bad)] or \
                [f"{row['name']} ({row['result']})"]
    return passed, failed


def _junit_results(path):
    passed, failed = 0, []
    try:
        cases = xml.etree.ElementTree.parse(path).getroot().iter("testcase")
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, ["no report"]
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}")
        elif case.find("skipped") is None:
            passed += 1
        else:
            print(f"{case.get('name')}: {case.find('skipped').get('message')}")
    return passed, failed


def fuzz(runner):
    """Every fuzz target for a minute, from its seeds, behind everything else that runs."""
    if not glob.glob(os.path.join(TOP, "tests", "fuzz", "fuzz_*.c")):
        return
    if not runner.build("build-fuzz", "-Dfuzz=true", "-Db_lundef=false",
                        env={"CC": "clang"}):
        return
    targets = sorted(t for t in glob.glob(os.path.join(TOP, "build-fuzz", "tests", "fuzz", "fuzz_*"))
                     if os.path.isfile(t) and os.access(t, os.X_OK))
    lanes = [threading.Thread(target=_fuzz_one, args=(runner, target)) for target in targets]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()


def _fuzz_one(runner, target):
    name = os.path.basename(target)
    corpus = os.path.join(runner.place, name + "-corpus")
    os.mkdir(corpus)
    seeds = os.path.join(TOP, "tests", "fuzz", "seeds", name[len("fuzz_"):])
    words = os.path.join(TOP, "tests", "fuzz", name[len("fuzz_"):] + ".dict")
    runner.whole(name, ["nice", "-n", "10", target, f"-max_total_time={FUZZ_SECONDS}", "-timeout=25",
                        "-rss_limit_mb=1024", "-max_len=4096", f"-artifact_prefix={corpus}/",
                        "-verbosity=0", *([f"-dict={words}"] if os.path.exists(words) else []), corpus,
                        *([seeds] if os.path.isdir(seeds) else [])], FUZZ_SECONDS + 60)


def checks(runner):
    """The house's rules.  check-layers is part of every build; each other one ends with 0 or 1
    and may say "N passed, N failed" last."""
    found = glob.glob(os.path.join(TOP, "scripts", "check-*"))
    found += glob.glob(os.path.join(TOP, "scripts", "coverage-*"))
    for check in sorted(found):
        name = os.path.basename(check)
        if name == "check-layers" or not os.access(check, os.X_OK):
            continue
        status, log, seconds = runner.run(name, [check], 180)
        with open(log, encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines() or [""]
        sums = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1])
        failed = [] if status == 0 else ["out of time" if status is None else f"status {status}"]
        if sums and int(sums.group(2)):
            failed = [line for line in lines[:-1] if line.strip()] or failed
        passed = int(sums.group(1)) if sums else int(status == 0)
        runner.count(name, passed, failed[:50], seconds, log)


def _opens_fuse():
    """Minimal containers keep /dev/fuse from ordinary users, who are to be tested too."""
    if os.geteuid():
        return
    if not os.path.exists("/dev/fuse"):
        os.mknod("/dev/fuse", 0o20666, os.makedev(10, 229))
    os.chmod("/dev/fuse", 0o666)


def _end_to_end_files():
    """Without the hostile servers, whose place is under ASan."""
    found = sorted(glob.glob(os.path.join(TOP, "tests", "e2e", "test_*.py")))
    return [f for f in found if os.path.basename(f) != "test_hostile.py"]


def _in_lanes(runner, on):
    """Three suites at a time: the end-to-end tests wait most of their time for other things."""
    asan_built = threading.Event()
    asan_built.good = False

    def end_to_end(half):
        if on("e2e"):
            runner.pytest(f"end to end, half {half + 1}", 900, paths=_end_to_end_files()[half::2])
        if half:
            return
        asan_built.wait()
        if on("asan") and asan_built.good:
            runner.pytest("end to end under ASan and UBSan", 420, "-k", SMOKE, binary="build-asan")

    def others():
        try:
            asan_built.good = on("asan") and runner.build(
                "build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false")
        finally:
            asan_built.set()
        if on("unit"):
            runner.unit("unit", "build", 420)
        if on("checks"):
            checks(runner)
        if asan_built.good:
            runner.unit("unit under ASan and UBSan", "build-asan", 420, "-t", "4")
        if on("tsan") and runner.build("build-tsan", "-Db_sanitize=thread", "-Db_lundef=false"):
            runner.unit("threads under TSan", "build-tsan", 420, "-t", "6",
                        *_threaded(runner), before=("setarch", "-R"))
        if on("fuzz"):
            fuzz(runner)

    lanes = [threading.Thread(target=end_to_end, args=(half,)) for half in (0, 1)]
    for lane in lanes:
        lane.start()
    try:
        others()
    finally:
        for lane in lanes:
            lane.join()


def main(words):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # no SIGINT of a terminal may leave servers and mounts behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _opens_fuse()
    runner = Runner()
    wanted = set(words)
    try:
        if runner.build("build"):
            _in_lanes(runner, lambda suite: not wanted or suite in wanted)
    finally:
        runner.close()
    for name in runner.failed:
        print(f"FAILED {name}")
    print(f"{runner.passed} passed, {len(runner.failed)} failed")
    return 1 if runner.failed else 0


def _threaded(runner):
    """meson's options that choose the suites with threads, of those there are."""
    done = subprocess.run(["meson", "introspect", "--tests", os.path.join(TOP, "build-tsan")],
                          capture_output=True, env=runner.env, stdin=subprocess.DEVNULL,
                          check=True)
    suites = {s.split(":")[-1] for test in json.loads(done.stdout) for s in test["suite"]}
    return [word for s in sorted(suites & {"sync", "mount", "store", "cli"})
            for word in ("--suite", s)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
