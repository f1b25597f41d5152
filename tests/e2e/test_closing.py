# SPDX-License-Identifier: MIT
"""Which mailbox is open when, and how it is left."""

import os
import re

import pytest

from lies import CONDSTORE, QRESYNC, UIDPLUS, leave, mail, write
from tools.mount import wait_until

WITHOUT = ["UIDPLUS", "LITERAL+"]
LEVELS = pytest.mark.parametrize("level", [WITHOUT, UIDPLUS, CONDSTORE, QRESYNC],
                                 ids=["no-unselect", "unselect", "condstore", "qresync"])


def selected_when(server, pattern):
    """For each command that matches: the mailbox its connection had open then, or None."""
    open_box, found = {}, []
    for number, line in server.transcript:
        if re.search(pattern, line):
            found.append(open_box.get(number))
        name = re.match(r'(?:SELECT|EXAMINE) "?([^" ]+)', line)
        if name:
            open_box[number] = name[1]
        elif line.startswith(("UNSELECT", "CLOSE")):
            open_box[number] = None
    return found


@LEVELS
def test_left_before_it_is_deleted(lying, level):
    """A mailbox that was worked in is left first; nothing in it is expunged on the way.
    R018, R085, R086, R087"""
    server, mount = lying(level)
    work = os.path.join(mount.point, "Work")
    write(os.path.join(work, "a.eml"), mail(7))
    mount.sync()
    os.rename(os.path.join(work, "a.eml"), os.path.join(mount.point, "INBOX", "a.eml"))
    os.rmdir(work)
    mount.sync()
    wait_until(lambda: "Work" not in server.mailboxes, 30, "the mailbox is deleted")
    assert mail(7) in server.bodies("INBOX")
    assert set(selected_when(server, "^DELETE ")) <= {None, "INBOX"}
    if level is WITHOUT:
        assert server.seen("^UNSELECT") == []


@LEVELS
def test_left_before_it_is_renamed(lying, level):
    """So too for a rename. R018"""
    server, mount = lying(level)
    write(os.path.join(mount.point, "Work", "a.eml"), mail(7))
    mount.sync()
    os.setxattr(os.path.join(mount.point, "Work", "a.eml"), "user.imap.flags", b"+Flagged")
    os.rename(os.path.join(mount.point, "Work"), os.path.join(mount.point, "Done"))
    mount.sync()
    wait_until(lambda: "Done" in server.mailboxes, 30, "the mailbox is renamed")
    assert server.bodies("Done") == [mail(7)]
    assert server.flags("Done", 1) == {"\\Flagged"}
    assert set(selected_when(server, "^RENAME ")) <= {None, "INBOX"}


def test_logout_when_going_offline(lying):
    """Each connection is taken leave of, and no other is made. R023, R088"""
    server, mount = lying([*UIDPLUS, "IDLE"])
    wait_until(lambda: server.seen("^IDLE"), 30, "both are up")
    connections = len(server.sessions)
    mount.run("pause", mount.point)
    wait_until(lambda: {n for n, line in server.transcript if line == "LOGOUT"}
               >= {n for n, line in server.transcript if re.match("LOGIN|AUTHENTICATE", line)},
               30, "LOGOUT on each connection")
    os.setxattr(mount.message("INBOX", 1), "user.imap.flags", b"+Flagged")
    assert len(server.sessions) == connections


def test_one_select_for_many_actions(lying):
    """What is queued for one mailbox is done in one go, though it was mixed with another's.
    R163, R158"""
    server, mount = lying(UIDPLUS)
    for n in (1, 2, 3):
        write(os.path.join(mount.point, "Work", f"{n}.eml"), mail(n))
    mount.sync()
    leave(server, mount)
    before = len(server.transcript)
    for n in (1, 2, 3):
        os.setxattr(mount.message("INBOX", n), "user.imap.flags", b"+Flagged")
        os.setxattr(os.path.join(mount.point, "Work", f"{n}.eml"), "user.imap.flags", b"+Answered")
    mount.run("resume", mount.point)
    mount.sync()
    assert [server.flags("Work", n) for n in (1, 2, 3)] == [{"\\Answered"}] * 3
    replay = [line for _, line in server.transcript[before:]]
    last_store = max(i for i, line in enumerate(replay) if line.startswith("UID STORE"))
    assert sum(line.startswith("SELECT") for line in replay[:last_store]) == 2
    assert sum(line.startswith("UID STORE") for line in replay) == 2


@pytest.mark.parametrize("level", [CONDSTORE, QRESYNC], ids=["condstore", "qresync"])
def test_status_tells_that_nothing_changed(lying, level):
    """Mailboxes in which nothing happened are looked at from outside. R169, R158"""
    boxes = [f"Box{n:02d}" for n in range(30)]
    server, mount = lying(level, mailboxes=("INBOX", *boxes))
    for name in boxes:
        server.append(name, mail(1))
    mount.sync()
    before = len(server.transcript)
    mount.sync()
    mount.sync()
    later = [line for _, line in server.transcript[before:]]
    assert sum(line.startswith("STATUS") for line in later) >= 30
    assert {line for line in later if line.startswith("SELECT")} <= {
        line for line in later if re.match(r"SELECT \"?INBOX", line)}


def test_first_select_enables_condstore(lying):
    """By its parameter, or by ENABLE before it. R186, R217, R238"""
    server, mount = lying(CONDSTORE)
    first = {}
    for number, line in server.transcript:
        if re.match("SELECT|ENABLE", line):
            first.setdefault(number, line)
    assert first and all("CONDSTORE" in line for line in first.values())
    assert mount.messages("INBOX") == [1, 2, 3]


def test_new_mail_is_not_matched(lying):
    """Foreign mail is not compared with what was moved here: only known moves are. R049"""
    server, mount = lying(UIDPLUS)
    before = len(server.transcript)
    for n in range(20, 25):
        server.append("INBOX", mail(n))
    mount.sync()
    wait_until(lambda: len(mount.messages("INBOX")) == 8, 30, "new mail")
    later = [line for _, line in server.transcript[before:]]
    assert not [line for line in later if re.search("MESSAGE-ID|SEARCH.*HEADER", line, re.I)]
