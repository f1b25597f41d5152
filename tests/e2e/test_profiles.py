# SPDX-License-Identifier: MIT
"""What is fetched unasked: the profiles, by size and by age (RFC 4549 4.3 to 4.6)."""

import os
import re
import time

import pytest

from lies import CONDSTORE, QRESYNC, UIDPLUS, all_here, leave, mail, read
from tools.mount import wait_until


def set_profile(mount, mailbox, profile):
    os.setxattr(mount.path(mailbox), "user.imap.sync", profile.encode())


def body(mount, mailbox, uid):
    return os.getxattr(mount.message(mailbox, uid), "user.imap.body").decode()


def fetches(server):
    """Those that ask for a body, and those that do not."""
    seen = server.seen(r"^UID FETCH")
    return ([line for line in seen if "BODY.PEEK[]" in line],
            [line for line in seen if "BODY.PEEK[]" not in line])


def forget(server):
    with server.lock:
        server.transcript.clear()


@pytest.mark.parametrize("capabilities", [UIDPLUS, CONDSTORE, QRESYNC], ids=["plain", "condstore",
                                                                          "qresync"])
def test_new_only(lying, capabilities):
    """New messages come, nothing is asked of those that are known and nothing is taken for gone;
    back to full, all that was missed is found.  R006, R121"""
    server, mount = lying(capabilities)
    set_profile(mount, "INBOX", "new-only")
    mount.sync()
    forget(server)
    server.flag("INBOX", 1, add=["\\Flagged"])
    server.remove("INBOX", 2)
    server.append("INBOX", mail(4))
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [1, 2, 3, 4], 30, "the new one")
    mount.sync()
    assert read(mount.message("INBOX", 4)) == mail(4)
    assert all(re.match(r"UID FETCH 4(:\*)? ", line) for line in server.seen(r"^UID FETCH"))
    assert server.seen(r"^UID SEARCH") == [] and server.seen(r"QRESYNC \(") == []
    set_profile(mount, "INBOX", "full")
    wait_until(lambda: mount.messages("INBOX") == [1, 3, 4], 30, "the one that is gone")
    assert "\\Flagged" in mount.flags(mount.message("INBOX", 1))


@pytest.mark.parametrize("limit", [0, 1000])
def test_blind(lying, limit):
    """A new message comes with its body in one command, which asks for no more of it than the limit;
    its size came along and says whether that was all.  R122, R123, R126"""
    server, mount = lying(UIDPLUS, sync="blind", max_size=limit)
    mount.wait_bodies()
    leave(server, mount)
    forget(server)
    server.append("INBOX", mail(4))
    server.append("INBOX", mail(5, 5000))
    mount.run("resume", mount.point)
    mount.sync()
    assert mount.messages("INBOX") == [1, 2, 3, 4, 5]
    most = limit or 256 * 1024
    blind = server.seen(r"^UID FETCH 4:\* .*RFC822.SIZE")
    assert len(blind) == 1 and f"BODY.PEEK[]<0.{most}>" in blind[0]
    assert not [line for line in fetches(server)[0] if line not in blind]
    assert body(mount, "INBOX", 4) == "cached" and read(mount.message("INBOX", 4)) == mail(4)
    assert os.stat(mount.message("INBOX", 5)).st_size == len(mail(5, 5000))
    assert body(mount, "INBOX", 5) == ("absent" if limit else "cached")
    assert read(mount.message("INBOX", 5)) == mail(5, 5000)
    server.flag("INBOX", 4, add=["\\Seen"])
    assert "\\Seen" not in server.flags("INBOX", 5)


def test_blind_lied_to(lying):
    """A size that is not the body's: it is not taken for the whole of it.  R111, R123"""
    server, mount = lying(UIDPLUS, sync="blind")
    mount.wait_bodies()
    mount.run("pause", mount.point)
    server.append("INBOX", mail(4, 4000)).body = mail(4, 4000)[:1000]
    forget(server)
    mount.run("resume", mount.point)
    mount.sync()
    assert read(mount.message("INBOX", 4)) == mail(4, 4000)[:1000]
    assert len(fetches(server)[0]) >= 3  # asked for again, twice


def test_headers(lying):
    """Descriptors alone; a body when it is read, and that never sets \\Seen.  R112, R120"""
    server, mount = lying(UIDPLUS, sync="headers")
    mount.sync()
    assert fetches(server)[0] == []
    assert [body(mount, "INBOX", n) for n in (1, 2, 3)] == ["absent"] * 3
    assert read(mount.message("INBOX", 2)) == mail(2)
    assert len(fetches(server)[0]) == 1
    assert not any("\\Seen" in server.flags("INBOX", n) for n in (1, 2, 3))


def test_none(lying):
    """A mailbox that is not looked into, by its own profile and by the account's.  R006, R109"""
    server, mount = lying(UIDPLUS, sync="none")
    mount.sync()
    assert sorted(os.listdir(mount.path(""))) == ["INBOX", "Work"]
    assert server.seen(r"^(SELECT|EXAMINE|UID)") == []
    set_profile(mount, "INBOX", "full")
    wait_until(lambda: mount.messages("INBOX") == [1, 2, 3], 30, "one that is wanted")
    all_here(mount)
    assert server.seen(r'^(SELECT|EXAMINE) "?Work') == []


def test_interesting(lying):
    """All mailboxes, or the subscribed ones and the INBOX; one more, and the INBOX not, by a profile
    of its own.  R029, R030, R032, R224"""
    def prepare(server):
        for name in ("Work", "News", "Old"):
            server.append(name, mail(4))
        server.subscribed.add("News")
    server, mount = lying(UIDPLUS, mailboxes=("INBOX", "Work", "News", "Old"), prepare=prepare,
                          words={"mailboxes": "subscribed"})

    def looked_into():
        return {name for name in server.mailboxes if mount.messages(name)}
    assert looked_into() == {"INBOX", "News"}
    assert server.seen(r'^(SELECT|EXAMINE) "?(Work|Old)') == []
    set_profile(mount, "Work", "headers")
    os.setxattr(mount.path("Old"), "user.imap.subscribed", b"1")
    wait_until(lambda: "Work" in looked_into(), 30, "its own profile")
    mount.sync()
    mount.sync()
    assert looked_into() == set(server.mailboxes)
    set_profile(mount, "INBOX", "none")
    mount.sync()
    server.append("INBOX", mail(5))
    mount.sync()
    assert mount.messages("INBOX") == [1, 2, 3]


def test_size_and_age(lying):
    """Larger and older ones are there with their size, and fetched when read; the age goes by the
    INTERNALDATE that is known and the size by the RFC822.SIZE, without a search; a message of just
    the limit is not larger.  R106, R107, R108, R109, R124, R125, R312, R314"""
    def prepare(server):
        server.mailboxes["Work"].add(b"Subject: x\r\n\r\n" + b"x" * (1000 - 14))
        server.mailboxes["Work"].add(b"Subject: x\r\n\r\n" + b"x" * (1001 - 14))
        server.append("INBOX", mail(4, 5000))
        server.append("INBOX", mail(5), date=time.time() - 40 * 86400)
        server.append("INBOX", mail(6), date=time.time() - 20 * 86400)
    server, mount = lying(UIDPLUS, prepare=prepare, max_size=1000, max_age=30)
    mount.sync()
    assert [body(mount, "INBOX", n) for n in range(1, 7)] == \
        ["cached", "cached", "cached", "absent", "absent", "cached"]
    assert os.stat(mount.message("INBOX", 4)).st_size == len(mail(4, 5000))
    assert [body(mount, "Work", n) for n in (1, 2)] == ["cached", "absent"]
    assert server.seen(r"SEARCH") == []
    assert read(mount.message("INBOX", 4)) == mail(4, 5000)
    assert read(mount.message("INBOX", 5)) == mail(5)


def test_fetch(lying):
    """Chosen messages, a mailbox, everything below, or what is flagged, here or on the server: fetched
    when somebody says so, and read offline after that.  R118, R119"""
    def prepare(server):
        for n in range(4, 8):
            server.append("Work", mail(n))
        server.flag("Work", 2, add=["\\Flagged"])
    server, mount = lying(UIDPLUS, prepare=prepare, sync="headers")

    def cached():
        return {(box, n) for box, n in everything if body(mount, box, n) == "cached"}
    everything = {("INBOX", n) for n in (1, 2, 3)} | {("Work", n) for n in (1, 2, 3, 4)}
    os.setxattr(mount.message("INBOX", 3), "user.imap.flag.Flagged", b"")
    assert cached() == set()
    said = mount.run("fetch", mount.message("INBOX", 1), mount.message("Work", 1)).stdout
    assert said == "1 of 1 message fetched\n" * 2
    assert cached() == {("INBOX", 1), ("Work", 1)}
    assert mount.run("fetch", "--flagged", mount.point).stdout.startswith("2 of 2")
    assert cached() == {("INBOX", 1), ("Work", 1), ("INBOX", 3), ("Work", 2)}
    assert mount.run("fetch", mount.path("Work")).stdout.startswith("2 of 2")
    mount.run("pause", mount.point)
    assert read(mount.message("Work", 4)) == mail(7)
    failed = mount.run("fetch", "--timeout=5s", mount.point, check=False)
    assert failed.returncode == 1
    mount.run("resume", mount.point)
    mount.sync()
    assert mount.run("fetch", mount.point).returncode == 0
    assert cached() == everything
    for n in (1, 2, 3):
        assert "\\Seen" not in server.flags("INBOX", n)
    for wrong in (mount.path(".imapfs/status"), mount.path("INBOX", "none.eml"), "/etc/passwd"):
        assert mount.run("fetch", wrong, check=False).returncode != 0
