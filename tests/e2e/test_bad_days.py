# SPDX-License-Identifier: MIT
"""Bad days: databases damaged, disks full, directories gone, servers restored from a backup."""

import errno
import glob
import os
import shutil

import pytest

from lies import UIDPLUS, mail, read, write
from tools.mount import wait_until


def start_fails(mount):
    """The exit status and what it says."""
    with pytest.raises(AssertionError) as e:
        mount.start()
    return str(e.value)


def lost(mount):
    """The contents of lost+found, by the state directory."""
    return [read(path) for path in glob.glob(os.path.join(mount.options["state-dir"],
                                                          "lost+found", "*"))]


# ---- The database ----

def damage(state, how):
    """state.db and its journal, as hands and disks do it."""
    db = os.path.join(state, "state.db")
    if how != "the head overwritten" and os.path.exists(db + "-wal"):
        os.unlink(db + "-wal")
    if how == "emptied":
        os.truncate(db, 0)
    elif how == "removed":
        os.unlink(db)
    elif how == "the head overwritten":
        with open(db, "r+b") as f:
            f.write(os.urandom(4096))


@pytest.mark.parametrize("how", ("emptied", "removed", "its journal removed",
                                 "the head overwritten"))
def test_database(lying, how):
    """What was written and not sent is not dropped with the database that knew of it; one that
    cannot be read is told, with what to do.  R003, R154"""
    server, mount = lying(UIDPLUS)
    mount.run("pause", mount.point)
    for n in (50, 51):
        write(mount.path("INBOX", f"{n}.eml"), mail(n))
    wait_until(lambda: mount.run("queue", mount.point).stdout.count("upload") == 2, 30, "queued")
    mount.kill()
    state = mount.options["state-dir"]
    damage(state, how)
    if how == "the head overwritten":
        said = start_fails(mount)
        assert "ended with 8" in said and "state.db is damaged" in said and "move it away" in said
        os.rename(os.path.join(state, "state.db"), os.path.join(state, "state.db.old"))
    mount.start()
    mount.sync()
    assert sorted(lost(mount)) == sorted((mail(50), mail(51)))
    assert mount.messages("INBOX") == [1, 2, 3]
    assert len(os.listdir(os.path.join(mount.point, ".imapfs", "lost+found"))) == 2
    assert "kept in lost+found" in mount.log()
    mount.remount()  # nor by the next start, under numbers that are given anew
    for n in (52, 53):
        write(mount.path("INBOX", f"{n}.eml"), mail(n))
    mount.sync()
    assert sorted(lost(mount)) == sorted((mail(50), mail(51)))
    with server.lock:
        assert [m.data for m in server.mailboxes["INBOX"].messages] == \
            [mail(n) for n in (1, 2, 3, 52, 53)]


def test_database_while_running(lying):
    """The log names it, once, and no operation hangs.  R003, R154"""
    server, mount = lying(UIDPLUS)
    for name in ("state.db", "state.db-wal"):
        path = os.path.join(mount.options["state-dir"], name)
        with open(path, "r+b") as f:
            f.write(os.urandom(os.path.getsize(path)))
    server.append("INBOX", mail(9))

    def told():
        try:
            write(os.path.join(mount.point, "INBOX", "9.txt"), b"x")
        except OSError:
            pass
        return "state.db is damaged" in mount.log()
    wait_until(told, 30, "told")
    mount.unmount()
    assert mount.log().count("state.db is damaged") == 1


# ---- Directories that go ----

def looks(mount):
    """Inode, name, date and size of all messages."""
    found = []
    for path, _, files in os.walk(mount.point):
        for name in files:
            st = os.stat(os.path.join(path, name))
            found.append((st.st_ino, os.path.join(path, name), st.st_mtime_ns, st.st_size))
    return sorted(found)


@pytest.mark.parametrize("running", (False, True), ids=("before a start", "while running"))
def test_cache_deleted(lying, running):
    """All looks the same, also without a network, and the bodies come again.  R154"""
    server, mount = lying(UIDPLUS)
    mount.wait_bodies()
    before = looks(mount)
    if not running:
        mount.unmount()
    shutil.rmtree(mount.options["cache-dir"])
    if running:
        write(mount.path("Work", "50.eml"), mail(50))
        mount.sync()
        os.unlink(mount.path("Work", "50.eml"))
        mount.sync()
        assert looks(mount) == before
        mount.unmount()
    mount.options["offline"] = True
    mount.start()
    assert looks(mount) == before
    mount.unmount()
    del mount.options["offline"]
    mount.start()
    mount.sync()
    mount.wait_bodies()
    assert looks(mount) == before
    for n in (1, 2, 3):
        assert read(mount.message("INBOX", n)) == mail(n)


def test_state_moved_while_running(lying):
    """Nothing is taken that no start would find again, no other state is made in its place, and
    where it comes back all goes on.  R003, R154"""
    server, mount = lying(UIDPLUS)
    mount.run("pause", mount.point)
    write(mount.path("INBOX", "50.eml"), mail(50))
    wait_until(lambda: "upload" in mount.run("queue", mount.point).stdout, 30, "queued")
    state = mount.options["state-dir"]
    os.rename(state, state + ".moved")
    inbox = mount.path("INBOX")
    for change in (lambda: write(os.path.join(inbox, "51.eml"), mail(51)),
                   lambda: os.unlink(os.path.join(inbox, "1.eml")),
                   lambda: os.setxattr(os.path.join(inbox, "2.eml"), "user.imap.flags", b"+Seen"),
                   lambda: os.mkdir(os.path.join(mount.point, "New"))):
        with pytest.raises(OSError) as e:
            change()
        assert e.value.errno == errno.EIO
    assert read(os.path.join(inbox, "1.eml")) == mail(1)
    said = mount.run("status", mount.point, check=False)
    assert said.returncode == 8 and "state.db: No such file" in said.stderr
    mount.run("resume", mount.point)
    wait_until(lambda: "moved or removed" in mount.log(), 30, "told")
    assert not os.path.exists(state)
    os.rename(state + ".moved", state)
    mount.sync()
    write(os.path.join(inbox, "51.eml"), mail(51))
    mount.sync()
    with server.lock:
        assert [m.data for m in server.mailboxes["INBOX"].messages] == \
            [mail(n) for n in (1, 2, 3, 50, 51)]
