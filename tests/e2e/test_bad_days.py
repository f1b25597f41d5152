# SPDX-License-Identifier: MIT
"""Bad days: databases damaged, disks full, directories gone, servers restored from a backup."""

import glob
import os

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
    cannot be read is told, with what to do.  R001, R003"""
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
    """The log names it, once, and no operation hangs.  R001, R024"""
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
