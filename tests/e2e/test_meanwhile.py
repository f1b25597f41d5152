# SPDX-License-Identifier: MIT
"""The user changes something while its last change is on its way: the server is about to carry it
out, and the answer has not come."""

import os
import threading

from lies import UIDPLUS, mail, write
from tools.mount import wait_until


def meanwhile(server, pattern, change):
    """`change` is made while the first command that matches is being carried out."""
    made = threading.Event()

    def act(_session, _command, proceed):
        reply = proceed()
        change()
        made.set()
        return reply
    server.lie(pattern, act, times=1)
    return made


def in_step(mount, made):
    assert made.wait(30)
    mount.sync()


def test_flag_taken_back(lying):
    """Set, and removed while the STORE is under way: removed on the server, too. R013, R069"""
    server, mount = lying(UIDPLUS)
    path = mount.message("INBOX", 1)
    made = meanwhile(server, r"^UID STORE .*Flagged",
                     lambda: os.setxattr(path, "user.imap.flags", b"-Flagged"))
    os.setxattr(path, "user.imap.flags", b"+Flagged")
    in_step(mount, made)
    assert server.flags("INBOX", 1) == set()
    assert mount.flags(path) == set()


def test_another_flag(lying):
    """A second flag while the first is under way: both are set. R069"""
    server, mount = lying(UIDPLUS)
    path = mount.message("INBOX", 1)
    made = meanwhile(server, r"^UID STORE .*Flagged",
                     lambda: os.setxattr(path, "user.imap.flags", b"+Answered"))
    os.setxattr(path, "user.imap.flags", b"+Flagged")
    in_step(mount, made)
    assert server.flags("INBOX", 1) == {"\\Flagged", "\\Answered"}


def test_mailbox_renamed(lying):
    """Made, and renamed while CREATE is under way: one mailbox, under its last name."""
    server, mount = lying(UIDPLUS)
    old, new = os.path.join(mount.point, "Old"), os.path.join(mount.point, "New")
    made = meanwhile(server, r"^CREATE ", lambda: os.rename(old, new))
    os.mkdir(old)
    in_step(mount, made)
    wait_until(lambda: sorted(server.mailboxes) == ["INBOX", "New", "Work"], 30, "one mailbox")
    assert sorted(os.listdir(mount.point)) == ["INBOX", "New", "Work"]


def test_subscription_taken_back(lying):
    """Subscribed, and not while SUBSCRIBE is under way."""
    server, mount = lying(UIDPLUS)
    work = os.path.join(mount.point, "Work")
    made = meanwhile(server, r"^SUBSCRIBE ",
                     lambda: os.setxattr(work, "user.imap.subscribed", b"0"))
    os.setxattr(work, "user.imap.subscribed", b"1")
    in_step(mount, made)
    assert "Work" not in server.subscribed
    assert os.getxattr(work, "user.imap.subscribed") == b"0"


def test_moved_on(lying):
    """Moved, and moved back while MOVE is under way: where it was, once. R149"""
    server, mount = lying([*UIDPLUS, "MOVE"])
    here, there = os.path.join(mount.point, "INBOX", "1.eml"), os.path.join(mount.point, "Work", "1.eml")
    made = meanwhile(server, r"^UID MOVE ", lambda: os.rename(there, here))
    os.rename(here, there)
    in_step(mount, made)
    assert server.bodies("INBOX").count(mail(1)) == 1
    assert server.bodies("Work") == []


def test_written_again(lying):
    """A draft, saved again while APPEND is under way: the newer words, once."""
    server, mount = lying(UIDPLUS)
    path = os.path.join(mount.point, "Work", "draft.eml")
    made = meanwhile(server, r"^APPEND ", lambda: write(path, mail(20)))
    write(path, mail(10))
    in_step(mount, made)
    wait_until(lambda: server.bodies("Work") == [mail(20)], 30, "the newer words")
