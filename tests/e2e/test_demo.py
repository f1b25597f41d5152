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
    env = {**os.environ, "IMAPFS_DEMO_DIR": os.path.join(place, "demo")}

    def run(*words):
        done = subprocess.run([DEMO, *words], stdin=subprocess.DEVNULL, check=False, timeout=120,
                              capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    yield run
    run("--stop")


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
        subprocess.run([imapfs, "sync", "--timeout", "60s", point], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)
    finally:
        demo("--stop")
    assert not mounted(point) and not os.path.exists(point)
    assert not os.path.exists(os.path.join(place, "demo"))
