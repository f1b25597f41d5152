# SPDX-License-Identifier: MIT
"""scripts/demo does what it says, without a terminal and without a question."""

import os
import subprocess

import pytest

from tools.mount import TOP, mounted, wait_until

DEMO = os.path.join(TOP, "scripts", "demo")


@pytest.fixture(name="demo")
def _demo(place):
    """Runs scripts/demo; its own directory, so that somebody's demonstration is left alone."""
    def run(*words):
        done = run_demo(place, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    yield run
    run("--stop")


def run_demo(place, *words):
    env = {**os.environ, "IMAPFS_DEMO_DIR": os.path.join(place, "demo")}
    return subprocess.run([DEMO, *words], stdin=subprocess.DEVNULL, check=False, timeout=120,
                          capture_output=True, text=True, env=env)


@pytest.mark.parametrize("word", ["--offline", "--online"])
def test_no_demo(place, word):
    """Without a demonstration there is nothing to take away or bring back: one line says so."""
    done = run_demo(place, word)
    assert done.returncode == 1 and "No demonstration" in done.stderr
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert not os.path.exists(os.path.join(place, "demo"))


def test_refused_point(place):
    """A directory in use is refused in imapfs's words; it stays, and nothing else does."""
    point = os.path.join(place, "Full")
    os.mkdir(point)
    with open(os.path.join(point, "file"), "w", encoding="ascii"):
        pass
    done = run_demo(place, point)
    assert done.returncode == 3 and "is not empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(point) == ["file"] and not os.path.exists(os.path.join(place, "demo"))


def test_demo(demo, place):
    """Mounts, goes on without its server, catches up, and leaves nothing."""
    point = os.path.join(place, "Mail")
    try:
        assert point in demo(point)
        boxes = os.listdir(point)
        assert {"INBOX", "Drafts", "Sent", "Trash", "Archive"} <= set(boxes)
        names = os.listdir(os.path.join(point, "INBOX"))
        assert len(names) > 50
        first = os.path.join(point, "INBOX", sorted(names)[0])
        wait_until(lambda: os.getxattr(first, "user.imap.body") == b"cached", 60, "first body")
        demo("--offline")
        os.setxattr(first, "user.imap.flag.Flagged", b"")
        with open(first, "rb") as f:
            assert f.read()
        imapfs = os.path.join(TOP, "build", "imapfs")
        assert subprocess.run([imapfs, "status", point], check=False, capture_output=True,
                              stdin=subprocess.DEVNULL).returncode == 1
        demo("--online")
        demo("--online")  # is harmless
        subprocess.run([imapfs, "sync", "--timeout", "60s", point], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)
    finally:
        demo("--stop")
    assert not mounted(point) and not os.path.exists(point)
    assert not os.path.exists(os.path.join(place, "demo"))
