# SPDX-License-Identifier: MIT
"""What the user, or a policy in their place, decides about actions that failed (RFC 4549 5.1)."""

import errno
import os
import subprocess

import pytest

from lies import UIDPLUS, mail, parked, read, status, wait_parked, write
from tools import imapd
from tools.mount import wait_until


def queue(mount, *words, check=True):
    return mount.run("queue", mount.point, *words, check=check)


def lost(mount):
    return sorted(os.listdir(mount.path(".imapfs/lost+found")))


def without_work(server):
    """Another client has removed the mailbox."""
    with server.lock:
        server.mailboxes.pop("Work")


def park_upload(server, mount, n=20, name="report.eml"):
    """An upload into a mailbox that is gone is parked."""
    without_work(server)
    write(mount.path("Work", name), mail(n))
    wait_parked(mount)
    return parked(mount)[0][0]


def test_recreate(lying):
    """(a) the missing mailbox is made again and the upload goes on, with what depends on it.
    R142, R153, R323"""
    server, mount = lying(UIDPLUS)
    number = park_upload(server, mount)
    os.link(mount.path("Work", "report.eml"), mount.path("INBOX", "copy.eml"))
    text = queue(mount, "show", number).stdout.splitlines()
    assert len(text) == 2 and f"waits for {number}" in text[1]
    queue(mount, "recreate", number)
    mount.sync()
    assert server.bodies("Work") == [mail(20)]
    assert server.bodies("INBOX").count(mail(20)) == 1
    assert read(mount.path("Work", "report.eml")) == mail(20)
    assert status(mount) == 0


def test_other_mailbox(lying):
    """(b) another mailbox.  R142"""
    server, mount = lying(UIDPLUS)
    number = park_upload(server, mount)
    assert queue(mount, "retarget", number, "No/Such", check=False).returncode == 1
    queue(mount, "retarget", number, "INBOX")
    mount.sync()
    assert server.bodies("INBOX").count(mail(20)) == 1
    assert read(mount.path("INBOX", "report.eml")) == mail(20)
    assert status(mount) == 0


def test_skip(lying):
    """(c) skipped: taken back with what depends on it, its bytes in lost+found, over a remount,
    until they are removed there.  R142, R152, R154"""
    server, mount = lying(UIDPLUS)
    number = park_upload(server, mount)
    assert lost(mount) == [f"parked-{number}-report.eml"]
    queue(mount, "skip", number)
    assert status(mount) == 0
    mount.sync()
    names = lost(mount)
    assert len(names) == 1 and names[0].endswith("-report.eml") and "parked" not in names[0]
    assert "lost+found" in mount.run("status", mount.point).stdout
    mount.remount()
    assert lost(mount) == names
    path = mount.path(".imapfs/lost+found", names[0])
    assert read(path) == mail(20) and os.stat(path).st_size == len(mail(20))
    subprocess.run(["mv", path, mount.path("INBOX", "again.eml")], check=True)
    assert lost(mount) == []
    mount.sync()
    assert server.bodies("INBOX").count(mail(20)) == 1


def test_abort(lying):
    """(d) nothing more is sent until the user says go, over a remount; what is queued stays, and the
    server's news go on to come.  R142, R144"""
    server, mount = lying(UIDPLUS)
    queue(mount, "abort")
    write(mount.path("INBOX", "waits.eml"), mail(20))
    server.append("INBOX", mail(30))
    wait_until(lambda: len(mount.messages("INBOX")) == 4, 30, "the news")
    failed = mount.run("sync", "--timeout", "30s", mount.point, check=False)
    assert failed.returncode == 2 and "go" in failed.stderr
    assert "stopped" in mount.run("status", mount.point, check=False).stdout
    mount.remount()
    failed = mount.run("sync", "--timeout", "30s", mount.point, check=False)
    assert failed.returncode == 2
    assert server.seen(r"^APPEND") == []
    queue(mount, "go")
    mount.sync()
    assert server.bodies("INBOX").count(mail(20)) == 1
    assert status(mount) == 0


def test_lost_found(lying):
    """Parked bytes are readable and nothing else: no writing, no new names; they leave with a retry
    that succeeds, and rm there takes the upload back.  R154, R322"""
    server, mount = lying(UIDPLUS)
    rule = server.lie(r'^APPEND', imapd.refuse("[OVERQUOTA] no room"))
    write(mount.path("INBOX", "one.eml"), mail(20))
    write(mount.path("INBOX", "two.eml"), mail(21))
    wait_until(lambda: len(lost(mount)) == 2, 30, "both refused")
    held = {read(path): path for path in
            (mount.path(".imapfs/lost+found", name) for name in lost(mount))}
    one, two = held.pop(mail(20)), held.pop(mail(21))
    assert not held
    for act in (lambda: write(one, b"x"), lambda: os.chmod(one, 0o600),
                lambda: write(mount.path(".imapfs/lost+found", "new"), b"x"),
                lambda: os.rename(one, one + "2"),
                lambda: os.rmdir(mount.path(".imapfs/lost+found"))):
        with pytest.raises(OSError) as refused:
            act()
        assert refused.value.errno in (errno.EPERM, errno.EACCES)
    os.unlink(one)
    wait_until(lambda: not os.path.exists(mount.path("INBOX", "one.eml")), 30, "it is not there any more")
    with open(two, "rb") as kept:
        rule.remove()
        queue(mount, "retry", parked(mount)[0][0])
        mount.sync()
        assert lost(mount) == []
        assert kept.read() == mail(21)
    assert server.bodies("INBOX").count(mail(20)) == 0
    assert server.bodies("INBOX").count(mail(21)) == 1
    assert status(mount) == 0


@pytest.mark.parametrize("policy", ["recreate", "lost+found", "abort"])
def test_missing_mailbox_policy(lying, policy):
    """The choice made beforehand in the configuration.  R142"""
    server, mount = lying(UIDPLUS, on_missing_mailbox=policy)
    without_work(server)
    write(mount.path("Work", "report.eml"), mail(20))
    if policy == "recreate":
        wait_until(lambda: "Work" in server.mailboxes and server.bodies("Work") == [mail(20)], 30,
                   "made again")
        assert len(server.seen(r"^CREATE")) == 1
        mount.sync()
    elif policy == "lost+found":
        wait_until(lambda: len(lost(mount)) == 1, 30, "taken back")
        wait_until(lambda: status(mount) == 0, 30, "nothing left")
        assert read(mount.path(".imapfs/lost+found", lost(mount)[0])) == mail(20)
        assert "Work" not in server.mailboxes
    else:
        wait_until(lambda: "stopped" in mount.run("status", mount.point, check=False).stdout, 30,
                   "stopped")
        write(mount.path("INBOX", "waits.eml"), mail(21))
        mount.run("sync", "--timeout", "10s", mount.point, check=False)
        assert mail(21) not in server.bodies("INBOX")
        queue(mount, "go")
        wait_until(lambda: mail(21) in server.bodies("INBOX"), 30, "went on")
        assert status(mount) == 2  # about the other one is still to be decided


def test_recreate_that_does_not_help(lying):
    """A server that makes the mailbox and does not have it: asked in the end, no endless loop.
    R142"""
    server, mount = lying(UIDPLUS, on_missing_mailbox="recreate")
    rule = server.lie(r'^APPEND "?Work', imapd.refuse("[TRYCREATE] no such mailbox"))
    write(mount.path("Work", "report.eml"), mail(20))
    wait_parked(mount)
    mount.run("sync", "--timeout", "5s", mount.point, check=False)
    assert rule.told == 2
    assert [row[2] for row in parked(mount)] == ["Work/report.eml"]


def test_refused_policy(lying):
    """on-refused and on-conflict: taken back without a question.  R144, R146"""
    server, mount = lying(UIDPLUS, on_refused="lost+found", on_conflict="lost+found")
    server.lie(r"^APPEND", imapd.refuse("[OVERQUOTA] no room"))
    write(mount.path("INBOX", "one.eml"), mail(20))
    wait_until(lambda: len(lost(mount)) == 1, 30, "taken back")
    server.lie(r"^UID COPY", imapd.refuse("[OVERQUOTA] no room"))
    os.rename(mount.message("INBOX", 1), mount.path("Work", "moved.eml"))
    wait_until(lambda: mount.messages("INBOX") == [1, 2, 3], 30, "back where it was")
    assert status(mount) == 0 or parked(mount) == []
    assert server.bodies("Work") == []


def test_dovecot(make_server, make_client, make_mount, generator):
    """A real server: what was queued offline for a mailbox that another client has removed goes
    into one that is made again.  R142, R143"""
    server = make_server([(box, generator.mail(i, size=2000))
                          for i, box in enumerate(["INBOX", "INBOX", "Work"])])
    mount = make_mount(server.port)
    mount.sync()
    mount.run("pause", mount.point)
    write(mount.path("Work", "offline.eml"), mail(20))
    os.rename(mount.message("INBOX", 1), mount.path("Work", "moved.eml"))
    make_client(server.port).delete("Work")
    mount.run("resume", mount.point)
    wait_parked(mount)
    wait_until(lambda: len(parked(mount)) == 2, 30, "both parked")
    queue(mount, "recreate", parked(mount)[0][0])
    mount.sync()
    assert sorted(os.listdir(mount.path("Work"))) == ["moved.eml", "offline.eml"]
    assert status(mount) == 0


def test_half_a_move(lying):
    """The copy of a move is made and its source cannot be marked: for the user it has left, nothing
    is copied again, an UID EXPUNGE with nothing marked is no proof, and the source goes when the
    server lets it.  R151, R319"""
    server, mount = lying(UIDPLUS)
    rule = server.lie(r"^UID STORE .*Deleted", imapd.refuse("not now"))
    os.rename(mount.message("INBOX", 2), mount.path("Work", "moved.eml"))
    wait_until(lambda: rule.told > 0, 30, "the refusal")
    mount.run("sync", "--timeout", "3s", mount.point, check=False)
    assert mount.messages("INBOX") == [1, 3]
    assert "moved.eml" in os.listdir(mount.path("Work"))
    assert server.bodies("Work") == [mail(2)]
    assert mail(2) in server.bodies("INBOX")
    rule.remove()
    for row in parked(mount):
        queue(mount, "retry", row[0])
    mount.sync()
    assert server.bodies("Work") == [mail(2)] and mail(2) not in server.bodies("INBOX")
    assert os.listdir(mount.path("Work")) == ["moved.eml"]
    assert len(server.seen(r"^UID COPY")) == 1
    assert status(mount) == 0
