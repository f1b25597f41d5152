# SPDX-License-Identifier: MIT
"""How long a UID lives: UIDVALIDITY, UIDNOTSTICKY, mailboxes renamed and made anew."""

import errno
import os
import re

import pytest

from lies import UIDPLUS, leave, mail, parked, read, status, wait_parked, write
from tools import imapd
from tools.mount import wait_until


def bodies_asked(server, mailbox=None):
    """Commands that fetch whole messages."""
    return server.seen(r"^UID FETCH .*BODY\.PEEK\[\]")


def forget(server):
    with server.lock:
        server.transcript.clear()


def twins(server):
    """Two that are alike in all that a server says of them, one without a Message-ID."""
    date = 1600000000
    for _ in range(2):
        server.append("Work", mail(7), date=date)
    server.append("Work", b"Subject: nameless\r\n\r\nbody\r\n", date=date)


def test_nothing_fetched_again(lying):
    """New UIDs for the same messages: what is here and provably equal stays here, under the same
    inode, also two messages with one Message-ID and the same bytes; the user is told once.
    R015, R020, R034, R035, R265, R266, R321"""
    server, mount = lying(UIDPLUS, prepare=twins)
    mount.wait_bodies()
    inodes = {os.stat(mount.message("INBOX", n)).st_ino for n in (1, 2, 3)}
    leave(server, mount)
    forget(server)
    server.new_uidvalidity("INBOX")
    server.new_uidvalidity("Work")
    mount.run("resume", mount.point)
    wait_until(lambda: mount.messages("INBOX") == [101, 102, 103]
               and mount.messages("Work") == [101, 102, 103], 30, "the new UIDs")
    mount.sync()
    assert {os.stat(mount.message("INBOX", 100 + n)).st_ino for n in (1, 2, 3)} == inodes
    for n in (1, 2, 3):
        assert read(mount.message("INBOX", 100 + n)) == mail(n)
    assert [read(mount.message("Work", n)) for n in (101, 102)] == [mail(7)] * 2
    assert [line.split()[2] for line in bodies_asked(server)] == ["103"]  # the nameless one
    assert server.seen(r"^UID FETCH 1:3 \(UID FLAGS") == []  # nothing by the old UIDs
    assert mount.log().count("mailbox INBOX was made anew") == 1


def test_not_taken_for_another(lying):
    """The same Message-ID with other bytes under the new UIDVALIDITY is another message.  R321"""
    server, mount = lying(UIDPLUS)
    mount.wait_bodies()
    mount.run("pause", mount.point)
    with server.lock:
        message = server.mailboxes["INBOX"].messages[1]
        message.data = message.body = mail(2) + b"more\r\n"
        message.size = len(message.data)
    server.new_uidvalidity("INBOX")
    mount.run("resume", mount.point)
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [101, 102, 103], 30, "the new UIDs")
    assert read(mount.message("INBOX", 102)) == mail(2) + b"more\r\n"
    assert read(mount.message("INBOX", 101)) == mail(1)


def test_learned_from_codes(lying):
    """A mailbox is made anew just before an APPEND, or a COPY, into it: what the code says of it counts,
    and nothing is kept under the old UIDs.  R037, R038"""
    def prepare(server):
        for n in (5, 6):
            server.append("Work", mail(n))
    server, mount = lying(UIDPLUS, prepare=prepare)

    def made_anew(_session, _command, proceed):
        server.renumber(server.mailboxes["Work"], server.mailboxes["Work"].uidnext + 100)
        return proceed()
    server.lie(r'^APPEND "?Work', made_anew, times=1)
    write(mount.path("Work", "new.eml"), mail(8))
    mount.sync()
    wait_until(lambda: mount.messages("Work") == [103, 104], 30, "the new UIDs, from APPENDUID")
    server.lie(r'^UID COPY', made_anew, times=1)
    os.link(mount.message("INBOX", 1), mount.path("Work", "copy.eml"))
    mount.sync()
    wait_until(lambda: mount.messages("Work") == [206, 207], 30, "the new UIDs, from COPYUID")
    assert sorted(os.listdir(mount.path("Work"))) == ["206.eml", "207.eml", "copy.eml", "new.eml"]
    assert sorted(server.bodies("Work")) == sorted([mail(5), mail(6), mail(8), mail(1)])
    assert read(mount.path("Work", "new.eml")) == mail(8)
    assert status(mount) == 0


def test_flag_after_retry(lying):
    """A change that a new UIDVALIDITY stopped goes to the message's new UID when the user says so.
    R016, R322"""
    server, mount = lying(UIDPLUS)
    mount.wait_bodies()
    mount.run("pause", mount.point)
    os.setxattr(mount.message("INBOX", 2), "user.imap.flag.Flagged", b"")
    server.new_uidvalidity("INBOX")
    mount.run("resume", mount.point)
    wait_parked(mount)
    wait_until(lambda: mount.messages("INBOX") == [101, 102, 103], 30, "the new UIDs")
    mount.run("queue", mount.point, "retry", parked(mount)[0][0])
    mount.sync()
    assert server.flags("INBOX", 102) == {"\\Flagged"}
    assert [server.flags("INBOX", n) for n in (101, 103)] == [set(), set()]


def test_not_sticky(lying):
    """UIDs that hold for one selection: the mailbox is read-only, what comes is seen, nothing is
    fetched twice, and no UID of before is used.  R271"""
    def prepare(server):
        for n in (5, 6):
            server.append("Work", mail(n))
        server.mailboxes["Work"].sticky = False
    server, mount = lying(UIDPLUS, prepare=prepare)

    def shown():
        names = os.listdir(mount.path("Work"))
        return sorted(read(mount.path("Work", name)) for name in names)
    mount.sync()
    wait_until(lambda: len(os.listdir(mount.path("Work"))) == 2, 30, "both")
    assert shown() == [mail(5), mail(6)]
    forget(server)
    server.append("Work", mail(7))
    wait_until(lambda: len(os.listdir(mount.path("Work"))) == 3, 30, "the third")
    mount.sync()
    assert shown() == [mail(5), mail(6), mail(7)]
    assert len(bodies_asked(server)) == 1
    name = os.path.join(mount.path("Work"), os.listdir(mount.path("Work"))[0])
    for act in (lambda: os.unlink(name), lambda: write(mount.path("Work", "new.eml"), mail(8)),
                lambda: os.setxattr(name, "user.imap.flag.Flagged", b"")):
        with pytest.raises(OSError) as refused:
            act()
        assert refused.value.errno in (errno.EROFS, errno.EPERM, errno.EACCES)
    mount.sync()
    assert len(server.seen(r'^SELECT "?Work')) < 5
    assert server.seen(r"^UID (STORE|COPY|MOVE|EXPUNGE)") == []


def test_renamed_and_made_anew(lying):
    """Offline a mailbox is renamed and one of its old name made; on the server it is replaced by
    another meanwhile.  Changes go to the mailbox they were made in, by whatever name.  R308"""
    def prepare(server):
        for n in (5, 6):
            server.append("Work", mail(n))
    server, mount = lying(UIDPLUS, prepare=prepare)
    mount.wait_bodies()
    mount.run("pause", mount.point)
    write(mount.path("Work", "first.eml"), mail(20))
    os.rename(mount.path("Work"), mount.path("Projects"))
    os.mkdir(mount.path("Work"))
    write(mount.path("Work", "second.eml"), mail(21))
    os.setxattr(mount.message("Projects", 2), "user.imap.flag.Flagged", b"")
    mount.run("resume", mount.point)
    mount.sync()
    assert server.bodies("Projects") == [mail(5), mail(6), mail(20)]
    assert server.bodies("Work") == [mail(21)]
    assert server.flags("Projects", 2) == {"\\Flagged"}
    assert status(mount) == 0
    inode = os.stat(mount.path("Projects")).st_ino
    server.drop()
    with server.lock:
        server.mailboxes.pop("Projects")
        server.create("Projects")
    server.append("Projects", mail(9))
    wait_until(lambda: mount.messages("Projects") == [1], 30, "the one made anew")
    assert read(mount.message("Projects", 1)) == mail(9)
    assert os.stat(mount.path("Projects")).st_ino == inode
