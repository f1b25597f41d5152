# SPDX-License-Identifier: MIT
"""Mailboxes as directories, moving, copying, deleting, and what other tools expect of a mount."""

import errno
import os
import subprocess
import threading
import time

import pytest

from tools.mount import wait_until

NAMES = ("Entwürfe", "受信", "R&D 100%", "with space", "quote\"d", "back\\slash", "a.b", "emoji 🎉",
         "tilde~x", "%41 looks encoded", "Archive/2024/Lists/deep")


@pytest.fixture(name="account")
def _account(make_server, make_proxy, make_client, make_mount, generator):
    server = make_server([("INBOX", generator.mail(i, size=5000)) for i in range(10)])
    client = make_client(server.port)
    proxy = make_proxy(server.port, record=True)
    mount = make_mount(proxy.port)
    mount.sync()
    mount.wait_bodies()
    proxy.commands.clear()
    return client, proxy, mount


def test_names_from_the_server(make_server, make_client, make_mount, generator):
    """Every name is a directory of its own, readable, and never outside the mount. R302"""
    server = make_server()
    client = make_client(server.port)
    names = [generator.legal(name) for name in NAMES]
    for n, name in enumerate(names):
        client.create(name)
        client.append(name, generator.mail(n).data)
    mount = make_mount(server.port)
    mount.sync()
    for n, name in enumerate(names):
        [uid] = mount.messages(name)
        with open(mount.message(name, uid), "rb") as f:
            assert f.read() == generator.mail(n).data, name


def test_mkdir_rename_rmdir(account):
    """R302: names go out in modified UTF-7; a directory with messages is not removed."""
    client, _, mount = account
    os.mkdir(mount.path("Ablage"))
    os.mkdir(mount.path("Ablage") + "/Grüße & 100€")
    mount.sync()
    assert {"Ablage", "Ablage/Grüße & 100€"} <= set(client.mailboxes())
    os.rename(mount.path("Ablage"), mount.path("Kiste"))
    mount.sync()
    assert "Kiste/Grüße & 100€" in client.mailboxes()
    assert not [n for n in client.mailboxes() if n.startswith("Ablage")]
    with pytest.raises(OSError) as e:
        os.rmdir(mount.path("INBOX"))
    assert e.value.errno in (errno.ENOTEMPTY, errno.EBUSY, errno.EPERM, errno.EACCES)
    os.rmdir(mount.path("Kiste/Grüße & 100€"))
    os.rmdir(mount.path("Kiste"))
    mount.sync()
    assert not [n for n in client.mailboxes() if n.startswith("Kiste")]


def test_mv_to_another_mailbox(account):
    """UID MOVE and no body on the wire; bytes, date and flags stay. R046, R047, R273"""
    client, proxy, mount = account
    client.select("INBOX")
    before = client.fetch([3, 4])
    os.rename(mount.message("INBOX", 3), mount.path("Sent", "3.eml"))
    subprocess.run(["mv", mount.message("INBOX", 4), mount.path("Sent")], check=True)
    mount.sync()
    assert proxy.seen("^UID (MOVE|COPY)") and not proxy.seen(r"BODY(\.PEEK)?\[\]|^APPEND")
    client.select("INBOX")
    assert not {3, 4} & set(client.uids())
    client.select("Sent")
    held = client.fetch().values()
    assert sorted((m.data, m.date, sorted(m.flags)) for m in held) == \
        sorted((m.data, m.date, sorted(m.flags)) for m in before.values())
    assert len(os.listdir(mount.path("Sent"))) == 2


def test_copy_within_the_account(account):
    """A link or a cp of a message that the server has is a UID COPY."""
    client, proxy, mount = account
    os.link(mount.message("INBOX", 3), mount.path("Sent", "linked.eml"))
    subprocess.run(["cp", "-p", mount.message("INBOX", 4), mount.path("Sent", "copied.eml")],
                   check=True, stdin=subprocess.DEVNULL)
    mount.sync()
    assert proxy.seen("^UID COPY")
    client.select("INBOX")
    expected = [m.data for m in client.fetch([3, 4]).values()]
    client.select("Sent")
    assert sorted(m.data for m in client.fetch().values()) == sorted(expected)
    assert sorted(os.listdir(mount.path("Sent"))) == ["copied.eml", "linked.eml"]


@pytest.mark.extension("UIDPLUS")
def test_rm_goes_to_trash_and_from_there_for_good(account):
    """And never by a bare EXPUNGE or CLOSE. R074, R075, R084"""
    client, proxy, mount = account
    client.select("INBOX")
    data = client.fetch([5])[5].data
    client.store([6], "+FLAGS.SILENT", ["\\Deleted"])
    os.unlink(mount.message("INBOX", 5))
    mount.sync()
    client.select("Trash")
    assert [m.data for m in client.fetch().values()] == [data]
    trashed = os.listdir(mount.path("Trash"))
    assert len(trashed) == 1
    os.unlink(mount.path("Trash", trashed[0]))
    mount.sync()
    assert client.status("Trash") == 0
    client.select("INBOX")
    assert 6 in client.uids(), "somebody else's \\Deleted message was expunged"
    assert not proxy.seen("^(EXPUNGE|CLOSE)")


@pytest.mark.parametrize("mode", ["expunge", "flag"])
def test_other_ways_to_delete(make_server, make_client, make_mount, generator, mode):
    """R075"""
    server = make_server([("INBOX", generator.mail(i)) for i in range(3)])
    mount = make_mount(server.port, delete=mode)
    mount.sync()
    os.unlink(mount.message("INBOX", 2))
    mount.sync()
    assert "2.eml" not in os.listdir(mount.path("INBOX"))
    client = make_client(server.port)
    client.select("INBOX")
    held = client.fetch(body=False)
    if mode == "expunge":
        assert sorted(held) == [1, 3]
    else:
        assert "\\Deleted" in held[2].flags
    assert client.status("Trash") == 0


def test_attributes(account):
    """What the server says, by name; the list holds only what a copy should carry."""
    client, _, mount = account
    path = mount.message("INBOX", 2)
    client.select("INBOX")
    message = client.fetch([2])[2]
    assert os.getxattr(path, "user.imap.uid") == b"2"
    assert int(os.getxattr(path, "user.imap.size")) == len(message.data)
    assert os.getxattr(path, "user.imap.message-id").decode().strip() == message.message_id
    assert os.getxattr(path, "user.imap.body") == b"cached"
    assert int(os.getxattr(mount.path("INBOX"), "user.imap.messages")) == 10
    assert int(os.getxattr(mount.path("INBOX"), "user.imap.uidnext")) == 11
    assert set(os.listxattr(path)) <= {"user.imap.flags", "user.imap.labels"}
    for name, number in (("trusted.x", errno.EOPNOTSUPP), ("user.none", errno.ENODATA)):
        with pytest.raises(OSError) as e:
            os.getxattr(path, name)
        assert e.value.errno == number, name
    with pytest.raises(OSError):
        os.setxattr(path, "user.imap.uid", b"7")


@pytest.mark.extension("KEYWORDS")
def test_one_of_a_set_of_keywords(account):
    """Only the difference is sent, and never as a replacement. R067, R068, R069, R071"""
    client, proxy, mount = account
    client.select("INBOX")
    client.store([2], "+FLAGS.SILENT", ["$Work", "Foreign"])
    path = mount.message("INBOX", 2)
    mount.sync()
    assert "$Work" in mount.flags(path)
    os.setxattr(path, "user.imap.flags", b"+$Personal -$Work")
    mount.sync()
    flags = client.fetch([2], body=False)[2].flags
    assert {"$Personal", "Foreign"} <= flags and "$Work" not in flags
    assert not proxy.seen(r"^UID STORE \S+ (\(UNCHANGEDSINCE \d+\) )?FLAGS")


def test_mount_table_and_free_space(account):
    """fstype fuse.imapfs, the account as its source, and a df that lets programs write."""
    _, _, mount = account
    with open("/proc/self/mounts", encoding="utf-8") as f:
        row = [line.split() for line in f if f" {mount.point} " in line][0]
    assert row[2] == "fuse.imapfs" and row[0].startswith("test@")
    space = os.statvfs(mount.point)
    assert space.f_bavail > 0 and space.f_ffree > 0
    inbox = mount.path("INBOX")
    below = [n for n in os.listdir(inbox) if os.path.isdir(os.path.join(inbox, n))]
    assert os.stat(inbox).st_nlink == 2 + len(below)
    assert os.stat(mount.message("INBOX", 1)).st_mode & 0o7777 == 0o600


def test_hidden_directory(account):
    """.imapfs is reachable by name and in no listing; status is for people and for programs."""
    import json
    _, _, mount = account
    assert ".imapfs" not in os.listdir(mount.point)
    where = os.path.join(mount.point, ".imapfs")
    assert {"status", "status.json", "queue"} <= set(os.listdir(where))
    with open(os.path.join(where, "status"), encoding="utf-8") as f:
        assert f.read().strip()
    with open(os.path.join(where, "status.json"), encoding="utf-8") as f:
        json.load(f)


def test_not_a_message_stays_here(account):
    """A file that is no message is never uploaded, and fsync says so."""
    client, proxy, mount = account
    path = mount.path("Drafts", "notes.bin")
    with open(path, "wb") as f:
        f.write(b"\x00\x01\x02 no header here\n")
    mount.sync()
    assert not proxy.seen("^APPEND") and client.status("Drafts") == 0
    with open(path, "r+b") as f:
        assert f.read() == b"\x00\x01\x02 no header here\n"
        with pytest.raises(OSError) as e:
            os.fsync(f.fileno())
    assert e.value.errno == errno.EINVAL


def test_read_only_mount(make_server, make_mount, generator):
    server = make_server([("INBOX", generator.mail(0))])
    mount = make_mount(server.port, ro=True)
    mount.sync()
    with open(mount.message("INBOX", 1), "rb") as f:
        assert f.read() == generator.mail(0).data
    for change in (lambda: os.unlink(mount.message("INBOX", 1)),
                   lambda: os.mkdir(mount.path("New")),
                   lambda: os.setxattr(mount.message("INBOX", 1), "user.imap.flag.Seen", b"")):
        with pytest.raises(OSError) as e:
            change()
        assert e.value.errno == errno.EROFS


@pytest.mark.extension("KEYWORDS")
def test_over_quota_parks_and_keeps_the_bytes(make_server, make_proxy, make_client, make_mount,
                                              generator):
    """A definite NO parks that action alone; status says 2; the bytes stay readable. R280"""
    server = make_server([("INBOX", generator.mail(i)) for i in range(3)])
    proxy = make_proxy(server.port)
    proxy.refuse("APPEND", "NO [OVERQUOTA] Mailbox is full")
    mount = make_mount(proxy.port)
    mount.sync()
    mail = generator.mail(50, size=3000)
    path = mount.path("Drafts", "big.eml")
    with open(path, "wb") as f:
        f.write(mail.data)
    os.setxattr(mount.message("INBOX", 1), "user.imap.flag.Later", b"")
    wait_until(lambda: mount.run("status", mount.point, check=False).returncode == 2, 30, "parked")
    client = make_client(server.port)

    def flag_arrived():
        client.select("INBOX")
        return "Later" in client.fetch([1], body=False)[1].flags
    wait_until(flag_arrived, 30, "the rest went on")
    with open(path, "rb") as f:
        assert f.read() == mail.data
    assert os.getxattr(path, "user.imap.error")
    assert client.status("Drafts") == 0


def look_at(path, times, stop):
    while not stop.is_set() and times > 0:
        os.stat(path)
        times -= 1


def test_directory_time_while_others_look(account):
    """A directory's time never stays behind its last change, however many look at it meanwhile: an
    answer made before the change must not be believed after it."""
    _, _, mount = account
    path = mount.path("INBOX")
    for n in range(300):
        stop = threading.Event()
        lookers = [threading.Thread(target=look_at, args=(path, 100_000, stop)) for _ in range(6)]
        for looker in lookers:
            looker.start()
        scratch = os.path.join(path, f".#scratch{n}")
        with open(scratch, "w", encoding="utf-8"):
            pass
        os.rename(scratch, scratch + "~")
        before = time.time_ns()
        os.unlink(scratch + "~")
        time.sleep(0.001)
        stop.set()
        for looker in lookers:
            looker.join()
        assert os.stat(path).st_mtime_ns >= before, f"outdated after {n} changes"


def test_time_of_a_mailbox_is_kept(account):
    """utimens on a mailbox holds until its names change, also over a remount."""
    client, _, mount = account
    os.utime(mount.path("INBOX"), (1_300_000_000, 1_300_000_000))
    client.select("INBOX")
    client.store([1], "+FLAGS.SILENT", ["\\Flagged"])
    mount.sync()
    mount.remount()
    assert os.stat(mount.path("INBOX")).st_mtime == 1_300_000_000
    os.unlink(mount.message("INBOX", 1))
    assert os.stat(mount.path("INBOX")).st_mtime > 1_700_000_000
