# SPDX-License-Identifier: MIT
"""A plain NO, said again and again: the action waits for the user's decision, not for ever."""

import os

import pytest

from lies import UIDPLUS, mail, parked, retry, status, wait_parked
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
    assert "not for you" in reason
    assert 2 <= len(server.seen(command)) <= 6
    rule.remove()
    retry(mount)
    mount.sync()
    wait_until(lambda: done(server), 30, "done after all")


@pytest.mark.parametrize("command, offered", [
    ("^UID STORE", UIDPLUS), ("^UID EXPUNGE", UIDPLUS), ("^UID STORE", ()), ("^EXPUNGE", ())],
    ids=["mark", "uid_expunge", "old_mark", "expunge"])
def test_refused_expunge_says_why(lying, command, offered):
    """Whichever of its steps is refused, the queue has the server's words, and nothing is lost."""
    server, mount = lying(offered, delete="expunge")
    rule = server.lie(command, imapd.refuse("[NOPERM] it is kept for the auditors"))
    remove(mount)
    wait_parked(mount)
    assert "it is kept for the auditors" in parked(mount)[0][-1]
    assert mail(1) in server.bodies("INBOX")
    rule.remove()
    retry(mount)
    mount.sync()
    wait_until(lambda: mail(1) not in server.bodies("INBOX"), 30, "done after all")


def test_mark_refused_of_what_goes(lying):
    """The message is gone, as a look shows: nothing is left to be done, whatever was refused."""
    server, mount = lying(UIDPLUS, delete="expunge")
    server.flag("INBOX", 1, add=["\\Deleted"])
    server.lie("^UID STORE", imapd.refuse("[NOPERM] it has that already"))
    remove(mount)
    mount.sync()
    wait_until(lambda: mail(1) not in server.bodies("INBOX"), 30, "expunged")
    wait_until(lambda: not mount.run("queue", mount.point).stdout, 30, "nothing waits")
    assert status(mount) == 0
