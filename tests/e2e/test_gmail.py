# SPDX-License-Identifier: MIT
"""A server like Gmail: mailboxes are labels, and a message is in several (X-GM-EXT-1)."""

import errno
import os

import pytest

from lies import CONDSTORE, all_here, mail, read
from tools.mount import wait_until

GMAIL = [*CONDSTORE, "X-GM-EXT-1"]


def get(path, name):
    return os.getxattr(path, f"user.imap.{name}").decode()


def test_labels_are_read(lying):
    """Names in UTF-8, one a line; several words, quotes and backslashes as they are."""
    def prepare(server):
        server.label("INBOX", 1, ["\\Inbox", "\\Important", "two words", 'a "b" \\c', "Entw&APw-rfe"])
        server.label("INBOX", 2, ["not &utf7"])
    _, mount = lying(GMAIL, prepare=prepare)
    assert get(mount.message("INBOX", 1), "labels") == \
        '\\Inbox\n\\Important\ntwo words\na "b" \\c\nEntwürfe'
    assert get(mount.message("INBOX", 2), "labels") == "not &utf7"
    with pytest.raises(OSError) as caught:
        get(mount.message("INBOX", 3), "labels")
    assert caught.value.errno == errno.ENODATA
    assert int(get(mount.message("INBOX", 1), "emailid")) >> 8 == \
        int(get(mount.message("INBOX", 1), "threadid"))
    with pytest.raises(PermissionError):
        os.setxattr(mount.message("INBOX", 1), "user.imap.labels", b"Other")
    assert not [n for n in os.listxattr(mount.message("INBOX", 1)) if "label" in n]


@pytest.mark.parametrize("offered", [GMAIL, [w for w in GMAIL if w != "CONDSTORE"]],
                         ids=["condstore", "plain"])
def test_labels_that_change(lying, offered):
    """By another client: set, changed and taken off; the last known are there offline."""
    server, mount = lying(offered)
    path = mount.message("INBOX", 2)
    server.label("INBOX", 2, ["Work"])
    mount.sync()
    wait_until(lambda: "labels: Work" in mount.run("info", path).stdout, 30, "the label")
    server.label("INBOX", 2, ["Work", "Late"])
    mount.sync()
    wait_until(lambda: get(path, "labels") == "Work\nLate", 30, "the second label")
    mount.run("pause", mount.point)
    assert get(path, "labels") == "Work\nLate"
    mount.run("resume", mount.point)
    server.label("INBOX", 2, [])
    mount.sync()
    wait_until(lambda: "labels" not in mount.run("info", path).stdout, 30, "no label")


def test_one_body_for_all_labels(lying):
    """What is here under one label is not fetched again under another."""
    server, mount = lying(GMAIL)
    all_here(mount)
    before = len(server.seen(r"BODY\.PEEK\[\]"))
    server.create("All Mail")
    for n in (1, 2, 3):
        server.append("All Mail", mail(n))
    mount.sync()
    wait_until(lambda: mount.messages("All Mail") == [1, 2, 3], 30, "the other label")
    for n in (1, 2, 3):
        assert read(mount.message("All Mail", n)) == mail(n)
    assert len(server.seen(r"BODY\.PEEK\[\]")) == before


def test_not_asked_for(lying):
    """Where it is not offered, and where the user does not want it."""
    for capabilities, options in ((CONDSTORE, {}), (GMAIL, {"disable": "X-GM-EXT-1"})):
        server, mount = lying(capabilities, **options)
        server.label("INBOX", 2, ["Work"])
        mount.sync()
        assert not server.seen("X-GM-")
        with pytest.raises(OSError):
            get(mount.message("INBOX", 2), "labels")
