# SPDX-License-Identifier: MIT
"""The first synchronisation of an account of 10 GB, whose bodies are made up as they are asked for.

By default the link is slow and the test goes once enough has come over it; with --first-sync=10 all
10 GB come as fast as they can, into 10 GB of cache.
"""

import json
import os
import re
import time

import pytest

from lies import UIDPLUS, read
from tools.imapd import Imapd
from tools.mount import wait_until

MESSAGES, LARGE_EACH = 10000, 100
SMALL, LARGE = 808_000, 20_000_000
RESIDENT_MAX_KB = 80 << 10
RATE = 3e6
FILLER = b"".join(b"%09d of a message of which there is much in a large account, %s\r\n" % (n, b"x" * 20)
                  for n in range(LARGE // 90 + 1))


class Generated:
    """A message without bytes of its own."""
    flags, modseq, date = set(), 1, 1_600_000_000

    def __init__(self, uid):
        self.uid = uid
        self.size = SMALL if uid % LARGE_EACH else LARGE

    @property
    def body(self):
        head = b"Subject: %d\r\n\r\n" % self.uid
        return head + FILLER[:self.size - len(head)]

    data = body


@pytest.fixture(name="huge")
def _huge():
    with Imapd(["INBOX"], [*UIDPLUS, "IDLE"]) as server:
        box = server.mailboxes["INBOX"]
        box.messages = [Generated(uid) for uid in range(1, MESSAGES + 1)]
        box.uidnext = MESSAGES + 1
        assert sum(m.size for m in box.messages) >= 9.9e9
        yield server


def progress(mount):
    with open(os.path.join(mount.point, ".imapfs", "status.json"), encoding="utf-8") as f:
        return json.load(f)["bodies"]


def resident_kb(mount):
    with open(f"/proc/{mount.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])


def cached(mount, uid):
    return os.getxattr(mount.message("INBOX", uid), "user.imap.body") == b"cached"


def test_first_sync(huge, make_proxy, make_mount, request):
    """While the bodies of 10 GB are on their way, newest first, one that is not here is read before the
    next group comes, even between the pieces of a large one; how far it is can be read, and memory
    stays small. R005, R095"""
    amount = request.config.getoption("--first-sync") * 1e9
    proxy = make_proxy(huge.port, rate=RATE if amount < 10e9 else 0)
    mount = make_mount(proxy.port, timeout="30s", user="test")
    wait_until(lambda: progress(mount)["total"] == MESSAGES, 60, "the list")
    asked = iter(range(1, MESSAGES // 2, 37))
    seen = progress(mount)
    while proxy.bytes["down"] < amount and seen["done"] < seen["total"]:
        uid = next(asked, MESSAGES)
        before, here = proxy.bytes["down"], cached(mount, uid)
        assert read(mount.message("INBOX", uid)) == huge.mailboxes["INBOX"].by_uid(uid).body
        if amount < 10e9:
            assert not here
            assert proxy.bytes["down"] - before < LARGE, "it waited for the whole of another"
        time.sleep(0.5)
        seen = progress(mount)
        assert seen["done"] <= seen["total"] <= MESSAGES
    wait_until(lambda: progress(mount)["done"] > 0, 60, "the first ones, beside those that were read")
    if amount < 10e9:
        wait_until(lambda: cached(mount, MESSAGES), 60, "the newest one")
        assert not cached(mount, 2) and seen["total"] == MESSAGES
    else:
        mount.sync(600)
        mount.wait_bodies(600)
    # what a sanitizer keeps besides is not the program's
    assert resident_kb(mount) < RESIDENT_MAX_KB * (8 if b"__asan_init" in read(mount.binary) else 1)
    print(f"{resident_kb(mount)} KB resident")
