# SPDX-License-Identifier: MIT
"""A server like Gmail: mailboxes are labels, and a message is in several (X-GM-EXT-1)."""

import errno
import os
import re

import pytest

from lies import CONDSTORE, all_here, mail, read, status
from tools.imapd import pretend, refuse, truncated
from tools.mount import wait_until

GMAIL = [*CONDSTORE, "X-GM-EXT-1"]


def get(path, name):
    return os.getxattr(path, f"user.imap.{name}").decode()


def test_labels_are_read(lying):
    """Names in UTF-8, one a line; several words, quotes and backslashes as they are."""
    def prepare(server):
        server.label("INBOX", 1, ["\\Important", "two words", 'a "b" \\c', "Entw&APw-rfe"])
        server.label("INBOX", 2, ["not &utf7"])
    _, mount = lying(GMAIL, prepare=prepare)
    assert get(mount.message("INBOX", 1), "labels") == \
        '\\Important\na "b" \\c\nEntwürfe\ntwo words'
    assert get(mount.message("INBOX", 2), "labels") == "not &utf7"
    with pytest.raises(OSError) as caught:
        get(mount.message("INBOX", 3), "labels")
    assert caught.value.errno == errno.ENODATA
    assert int(get(mount.message("INBOX", 1), "emailid")) >> 8 == \
        int(get(mount.message("INBOX", 1), "threadid"))
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
    wait_until(lambda: get(path, "labels") == "Late\nWork", 30, "the second label")
    mount.run("pause", mount.point)
    assert get(path, "labels") == "Late\nWork"
    mount.run("resume", mount.point)
    server.label("INBOX", 2, [])
    mount.sync()
    wait_until(lambda: "labels" not in mount.run("info", path).stdout, 30, "no label")


def put(path, *labels):
    os.setxattr(path, "user.imap.labels", "\n".join(labels).encode())


def on_server(server, uid):
    return sorted(server.mailboxes["INBOX"].by_uid(uid).labels)


def test_labels_are_set(lying):
    """What is added and what is taken off, never the whole list; what is so already is not sent."""
    server, mount = lying(GMAIL)
    for uid in (1, 2):
        server.label("INBOX", uid, ["Work", "Late"])
    mount.sync()
    for uid in (1, 2):
        put(mount.message("INBOX", uid), "work", 'two "words" \\', "Entwürfe", "100 %")
        assert get(mount.message("INBOX", uid), "labels") == \
            '100 %\nEntwürfe\ntwo "words" \\\nWork'
    mount.sync()
    for uid in (1, 2):
        assert on_server(server, uid) == ["100 %", "Entw&APw-rfe", "Work", 'two "words" \\']
    sent = server.seen("^UID STORE")
    assert all(re.fullmatch(r'UID STORE \S+ ([+]X-GM-LABELS \("100 %" "Entw&APw-rfe" "two .*"|'
                            r'-X-GM-LABELS \("Late")\)', line) for line in sent)
    put(mount.message("INBOX", 1), *get(mount.message("INBOX", 1), "labels").split("\n"))
    os.removexattr(mount.message("INBOX", 2), "user.imap.labels")
    mount.sync()
    assert len(server.seen("^UID STORE")) == len(sent) + 1
    assert on_server(server, 2) == []
    assert status(mount) == 0


def test_labels_set_offline(lying):
    """Shown at once, kept across a mount, on top of what others have done meanwhile; what comes to
    nothing is not sent."""
    server, mount = lying(GMAIL)
    server.label("INBOX", 1, ["Work"])
    mount.sync()
    mount.run("pause", mount.point)
    path = mount.message("INBOX", 1)
    put(path, "Work", "Mine")
    put(mount.message("INBOX", 2), "Never")
    put(mount.message("INBOX", 2))
    server.label("INBOX", 1, ["Late"])
    rows = mount.run("queue", mount.point).stdout.splitlines()
    assert [row.split("\t")[1] for row in rows] == ["labels"]
    mount.remount()
    assert "Mine" in get(path, "labels").split("\n")
    mount.run("resume", mount.point)
    mount.sync()
    assert on_server(server, 1) == ["Late", "Mine"]
    wait_until(lambda: get(path, "labels") == "Late\nMine", 30, "both")
    assert not server.seen("Never")


def test_label_of_the_mailbox(lying):
    """Gmail does not show the label that the mailbox is; it counts as set."""
    server, mount = lying(GMAIL)
    put(mount.message("INBOX", 1), "\\Inbox", "Other")
    mount.sync()
    assert on_server(server, 1) == ["Other", "\\Inbox"]
    assert status(mount) == 0


def test_cut_between_the_labels(lying):
    """The answer is lost: sent again, which is harmless."""
    server, mount = lying(GMAIL)
    cut = server.lie("STORE .*LABELS", truncated(), times=1)
    put(mount.message("INBOX", 3), "Work", "Late")
    mount.sync()
    assert cut.told == 1
    assert on_server(server, 3) == ["Late", "Work"]
    assert status(mount) == 0


@pytest.mark.parametrize("lie", [refuse("[CANNOT] no such label"), pretend()], ids=["no", "nothing done"])
def test_refused_labels(lying, lie):
    """Waits for a decision, shown as the user wants it; dropped, as the server has it."""
    server, mount = lying(GMAIL)
    server.lie("STORE .*LABELS", lie)
    path = mount.message("INBOX", 3)
    put(path, "Work")
    wait_until(lambda: server.seen("STORE .*LABELS"), 30, "sent")
    assert get(path, "labels") == "Work"

    def dropped():
        rows = mount.run("queue", mount.point).stdout.splitlines()
        for row in rows:
            mount.run("queue", mount.point, "drop", row.split("\t")[0], check=False)
        return not rows
    wait_until(dropped, 30, "taken back")
    assert "labels:" not in mount.run("info", path).stdout
    assert on_server(server, 3) == []


def test_what_is_no_label(lying):
    """Refused at once: not UTF-8, control characters, too many."""
    server, mount = lying(GMAIL)
    path = mount.message("INBOX", 1)
    for value, code in ((b"\xff", errno.EINVAL), (b"a\tb", errno.EINVAL), (b"a\0b", errno.EINVAL),
                        (b"x" * 5000, errno.EFBIG)):
        with pytest.raises(OSError) as caught:
            os.setxattr(path, "user.imap.labels", value)
        assert caught.value.errno == code
    mount.sync()
    assert not server.seen("^UID STORE")


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


@pytest.mark.parametrize("offered, options", [(CONDSTORE, {}), (GMAIL, {"disable": "X-GM-EXT-1"})],
                         ids=["not offered", "not wanted"])
def test_not_asked_for(lying, offered, options):
    """Where it is not offered, and where the user does not want it."""
    server, mount = lying(offered, **options)
    server.label("INBOX", 2, ["Work"])
    mount.sync()
    with pytest.raises(OSError) as caught:
        get(mount.message("INBOX", 2), "labels")
    assert caught.value.errno == errno.ENODATA
    with pytest.raises(OSError) as caught:
        put(mount.message("INBOX", 2), "Work")
    assert caught.value.errno == errno.EOPNOTSUPP
    mount.sync()
    assert not server.seen("X-GM-")
