# SPDX-License-Identifier: MIT
"""A server that gives mailboxes and contents ids of their own (RFC 8474)."""

import os

from lies import QRESYNC, all_here, mail, read
from tools.mount import wait_until

OBJECTID = [*QRESYNC, "OBJECTID"]


def bodies_fetched(server):
    return len(server.seen(r"BODY\.PEEK\[\]"))


def sub_mailbox(server, mount):
    """Work and Work/Done with three messages, all here; inode numbers by path."""
    server.create("Work")
    server.create("Work/Done")
    for n in (7, 8, 9):
        server.append("Work/Done", mail(n))
    mount.sync()
    paths = [mount.message("Work/Done", n) for n in (1, 2, 3)]
    for path, n in zip(paths, (7, 8, 9)):
        assert read(path) == mail(n)
    return [os.stat(path).st_ino for path in paths]


def test_renamed_by_another_client(lying):
    """All that is in it goes along: no body comes again, inode numbers stay. R287"""
    server, mount = lying(OBJECTID)
    inodes = sub_mailbox(server, mount)
    before = bodies_fetched(server)
    server.rename("Work", "Attic")
    mount.sync()
    wait_until(lambda: not os.path.exists(os.path.join(mount.point, "Work")), 30, "the old name gone")
    assert [os.stat(mount.message("Attic/Done", n)).st_ino for n in (1, 2, 3)] == inodes
    assert read(mount.message("Attic/Done", 1)) == mail(7)
    assert bodies_fetched(server) == before
    assert sorted(server.mailboxes) == ["Attic", "Attic/Done", "INBOX"]


def test_another_one_has_the_old_name(lying):
    """Renamed away and made again: the messages are where they went, the new one is new. R287"""
    server, mount = lying(OBJECTID)
    inodes = sub_mailbox(server, mount)
    server.rename("Work/Done", "Old")
    server.create("Work/Done")
    server.append("Work/Done", mail(20))
    mount.sync()
    wait_until(lambda: os.path.isdir(os.path.join(mount.point, "Old")), 30, "the new name")
    wait_until(lambda: mount.messages("Work/Done") == [1], 30, "the new mailbox's message")
    assert [os.stat(mount.message("Old", n)).st_ino for n in (1, 2, 3)] == inodes
    assert read(mount.message("Work/Done", 1)) == mail(20)


def test_changes_offline_follow(lying):
    """What was changed here meanwhile happens in the mailbox, whatever it is called. R287"""
    server, mount = lying(OBJECTID)
    sub_mailbox(server, mount)
    mount.run("pause", mount.point)
    os.setxattr(mount.message("Work/Done", 2), "user.imap.flags", b"+Flagged")
    with open(os.path.join(mount.point, "Work/Done", "mine.eml"), "wb") as f:
        f.write(mail(30))
    server.rename("Work/Done", "Elsewhere")
    mount.run("resume", mount.point)
    mount.sync()
    assert "\\Flagged" in server.flags("Elsewhere", 2)
    assert server.bodies("Elsewhere").count(mail(30)) == 1
    assert "Work/Done" not in server.mailboxes


def test_one_id_for_two_mailboxes(lying):
    """A server whose ids say nothing: nothing is moved. R287"""
    server, mount = lying(OBJECTID)
    sub_mailbox(server, mount)
    server.create("Twin").mailboxid = server.mailboxes["Work/Done"].mailboxid
    server.append("Twin", mail(40))
    mount.sync()
    wait_until(lambda: mount.messages("Twin") == [1], 30, "the twin")
    assert mount.messages("Work/Done") == [1, 2, 3]
    assert read(mount.message("Twin", 1)) == mail(40)


def test_one_body_for_one_content(lying):
    """What another client has copied is not fetched again. R287"""
    server, mount = lying(OBJECTID)
    all_here(mount)
    before = bodies_fetched(server)
    server.create("Copies")
    for n in (1, 2, 3):
        server.append("Copies", mail(n))
    mount.sync()
    wait_until(lambda: mount.messages("Copies") == [1, 2, 3], 30, "copies")
    for n in (1, 2, 3):
        assert read(mount.message("Copies", n)) == mail(n)
    assert bodies_fetched(server) == before
