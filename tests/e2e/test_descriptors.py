# SPDX-License-Identifier: MIT
"""What is asked for of a message that is new, what is said of a mailbox made anew, and what is
not done unasked."""

import errno
import os
import re
import time

import pytest

from lies import UIDPLUS, mail, read, write
from tools.mount import wait_until


def lines(server, start=0):
    return [line for _, line in server.transcript[start:]]


@pytest.mark.parametrize("extra, more", [([], set()), (["OBJECTID"], {"EMAILID"}),
                                         (["X-GM-EXT-1"],
                                          {"X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS"})],
                         ids=["base", "objectid", "gmail"])
def test_items_of_a_descriptor(lying, extra, more):
    """UID and flags, size and date; the id where there is one; nothing of the body. R024, R025"""
    server, _ = lying([*UIDPLUS, *extra])
    asked = [line for line in lines(server) if line.startswith("UID FETCH") and "RFC822.SIZE" in line
             and "BODY" not in line]
    assert asked
    for line in asked:
        items = set(re.search(r"\(([^)]*)\)$", line)[1].split())
        assert items - {"MODSEQ"} == {"UID", "FLAGS", "RFC822.SIZE", "INTERNALDATE", *more}


def test_told_once_of_a_mailbox_made_anew(lying):
    """One line in the log for each time, not one for each pass. R035"""
    server, mount = lying(UIDPLUS)
    server.new_uidvalidity("INBOX")
    for _ in range(3):
        mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [101, 102, 103], 30, "the messages are back")
    log = mount.run("log", mount.point).stdout
    assert len(re.findall("INBOX was made anew", log)) == 1


def test_deleted_by_flag_only(lying):
    """Where there is no UID EXPUNGE, delete=flag leaves no moment in which another client's
    messages could go: nothing is expunged. R082"""
    server, mount = lying(["UNSELECT", "LITERAL+"], delete="flag")
    path = mount.message("INBOX", 2)
    os.unlink(path)
    mount.sync()
    assert server.flags("INBOX", 2) == {"\\Deleted"}
    assert not os.path.exists(path)
    assert len(server.bodies("INBOX")) == 3
    assert not [line for line in lines(server) if "EXPUNGE" in line]
    with open(os.path.join(os.path.dirname(__file__), "../../docs/imapfs.1"), encoding="utf-8") as f:
        assert re.search(r"UID ?EXPUNGE|UIDPLUS", f.read())


def test_reader_waits_here(lying):
    """What cannot be asked now is not sent later by itself: the reader is told, and the next one
    is served when the server is back. R114"""
    server, mount = lying(UIDPLUS, sync="headers")
    mount.run("pause", mount.point)
    before = len(server.transcript)
    with pytest.raises(OSError) as caught:
        read(mount.message("INBOX", 1))
    assert caught.value.errno in (errno.ENETUNREACH, errno.ETIMEDOUT)
    mount.run("resume", mount.point)
    wait_until(lambda: mount.run("status", mount.point, check=False).returncode == 0, 30, "online")
    assert read(mount.message("INBOX", 1)) == mail(1)
    assert sum("BODY.PEEK[]" in line for line in lines(server, before)) == 1


def test_no_work_unasked(lying):
    """A mount that nobody uses asks for changes and no more: nothing is selected, searched or
    fetched again, and nobody is asked anything. R004, R155"""
    server, mount = lying([*UIDPLUS, "IDLE"], sync="headers")
    mount.sync()
    before = len(server.transcript)
    time.sleep(3)  # three polls
    later = lines(server, before)
    assert not [line for line in later if "BODY" in line or line.startswith(("UID STORE", "APPEND"))]


def test_single_uploads(lying):
    """disable=MULTIAPPEND sends one message at a time. R229"""
    server, mount = lying([*UIDPLUS, "MULTIAPPEND"], disable="MULTIAPPEND")
    for n in range(10, 15):
        write(os.path.join(mount.point, "Work", f"{n}.eml"), mail(n))
    mount.sync()
    assert sorted(server.bodies("Work")) == sorted(mail(n) for n in range(10, 15))
    assert len(server.seen("^APPEND")) == 5


@pytest.mark.parametrize("offered", [True, False])
def test_size_of_a_mailbox(lying, offered):
    """Of all its messages, asked for once in a session: some servers have to count. R289"""
    server, mount = lying([*UIDPLUS, "LIST-EXTENDED", "LIST-STATUS", *(["STATUS=SIZE"] if offered else [])])
    mount.sync()
    told = len(server.seen(r"\bSIZE\)"))
    size = sum(len(body) for body in server.bodies("INBOX"))
    assert (f"size: {size}\n" in mount.run("info", mount.path("INBOX")).stdout) == offered
    assert (told > 0) == offered
    mount.sync()
    assert len(server.seen(r"\bSIZE\)")) == told


@pytest.mark.parametrize("offered", [True, False])
def test_doctor_tells_of_changes(lying, offered):
    """By SEARCH MODSEQ, above what is known, of any change and of one flag. R192, R212"""
    server, mount = lying([*UIDPLUS, *(["CONDSTORE"] if offered else [])])
    mount.sync()
    mount.unmount()
    server.flag("INBOX", 2, ["\\Seen"])
    known = server.mailboxes["INBOX"].highestmodseq - 1
    said = mount.run("doctor", *mount.option_words(), mount.address).stdout
    assert ("changed in INBOX since the last look: 1 messages, read or unread: 1\n" in said) == offered
    assert server.seen("SEARCH MODSEQ") == \
        [f"UID SEARCH MODSEQ {known + 1}", f'UID SEARCH MODSEQ "/flags/\\\\Seen" all {known + 1}'] * offered
