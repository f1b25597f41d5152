# SPDX-License-Identifier: MIT
"""A plain NO, said again and again: the action waits for the user's decision, not for ever."""

import os

import pytest

from lies import UIDPLUS, mail, parked, retry, wait_parked
from tools import imapd
from tools.mount import wait_until


def mark(mount):
    os.setxattr(mount.message("INBOX", 1), "user.imap.flags", b"+Flagged")


def remove(mount):
    os.unlink(mount.message("INBOX", 1))


def make(mount):
    os.mkdir(os.path.join(mount.point, "New"))


@pytest.mark.parametrize("change, command, done", [
    (mark, "^UID STORE", lambda s: s.flags("INBOX", 1) == {"\\Flagged"}),
    (remove, "^UID STORE", lambda s: mail(1) not in s.bodies("INBOX")),
    (make, "^CREATE", lambda s: "New" in s.mailboxes)], ids=["flags", "expunge", "create"])
def test_plain_no_is_parked(lying, change, command, done):
    """It is tried a few times, parked with a reason, and goes on when the user says so."""
    server, mount = lying(UIDPLUS, delete="expunge")
    rule = server.lie(command, imapd.refuse("NO not for you"))
    change(mount)
    wait_parked(mount)
    reason = parked(mount)[0][-1]
    assert "not for you" in reason or reason == "refused by the server"
    assert 2 <= len(server.seen(command)) <= 6
    rule.remove()
    retry(mount)
    mount.sync()
    wait_until(lambda: done(server), 30, "done after all")
