# SPDX-License-Identifier: MIT
"""Changes of a message's content, in place and by way of a second file: one REPLACE each."""

import errno
import os
import signal

import pytest
from conftest import message, until

REPLACE = 2
NEW = message(1, "edited")


def put(path, data, sync=False):
    with open(path, "wb") as f:
        f.write(data)
        if sync:
            f.flush()
            os.fsync(f.fileno())


def replaced(probe, count=1):
    """The log holds REPLACE actions and nothing else."""
    kinds = until(lambda: probe.kinds()[count - 1:] and probe.kinds(), what="replace")
    assert kinds == [REPLACE] * count


def same_message(probe, path, before, data=NEW):
    """Node, date, name and flags are those of the message before; the bytes are new."""
    until(lambda: os.stat(path).st_ino == before.st_ino, what="the message under its name")
    after = os.stat(path)
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, len(data))
    assert after.st_ctime_ns > before.st_ctime_ns
    assert os.getxattr(path, "user.imap.uid") == b"1"
    with open(path, "rb") as f:
        assert f.read() == data
    assert sorted(os.listdir(probe.path("INBOX"))) == ["1.eml", "2.eml", "3.eml", "9.eml"]


def in_place(path):
    with open(path, "r+b") as f:
        f.write(NEW)
        f.truncate()


def cut_and_write(path):
    put(path, NEW, sync=True)


def over(path):
    put(path + ".tmp", NEW)
    os.rename(path + ".tmp", path)


def by_backup(path):
    os.rename(path, path + "~")
    put(path, NEW, sync=True)
    os.unlink(path + "~")


@pytest.mark.parametrize("save", [in_place, cut_and_write, over, by_backup])
def test_save(mounted, save):
    path = mounted.path("INBOX", "1.eml")
    before = os.stat(path)
    save(path)
    with open(path, "rb") as f:
        assert f.read() == NEW
    replaced(mounted)
    same_message(mounted, path, before)
    assert mounted.stop() == 0
    mounted.mount()
    same_message(mounted, path, before)
    replaced(mounted)


@pytest.mark.parametrize("save", [in_place, cut_and_write, over, by_backup])
def test_save_again_before_it_is_sent(mounted, save):
    """R130: only the last one goes out."""
    path = mounted.path("INBOX", "1.eml")
    before = os.stat(path)
    put(path, message(1, "draft"))
    replaced(mounted)
    save(path)
    mounted.settle()
    same_message(mounted, path, before)
    replaced(mounted)


@pytest.mark.parametrize("save", [in_place, over, by_backup])
def test_save_survives_a_kill(mounted, save):
    """Before the hold is over: the next mount makes an action of it. R003"""
    assert mounted.stop() == 0
    mounted.mount("hold=60000")
    path = mounted.path("INBOX", "1.eml")
    before = os.stat(path)
    save(path)
    with open(path, "rb") as f:
        os.fsync(f.fileno())
    assert mounted.kinds() == []
    mounted.stop(signal.SIGKILL)
    os.system(f"fusermount3 -u -z -q {mounted.point}")
    mounted.mount()
    same_message(mounted, path, before)
    replaced(mounted)


def test_set_aside_survives_a_kill(mounted):
    """Between the rename to the backup name and the end of the hold: what stands at the name is the
    message's content after a restart too, whether the backup was removed or not.  R003"""
    for number in (1, 2):
        assert mounted.stop() == 0
        mounted.mount("hold=60000")
        path = mounted.path("INBOX", f"{number}.eml")
        before = os.stat(path)
        new = message(number, "after the kill")
        os.rename(path, path + "~")
        put(path, new, sync=True)
        mounted.stop(signal.SIGKILL)
        os.system(f"fusermount3 -u -z -q {mounted.point}")
        mounted.mount("hold=60000" if number == 1 else "hold=200")
        if number == 1:
            os.unlink(path + "~")
            mounted.settle()
        until(lambda: mounted.kinds() == [REPLACE] * number)
        until(lambda: os.stat(path).st_ino == before.st_ino)
        assert mounted.read("INBOX", f"{number}.eml") == new
        assert os.path.exists(path + "~") == (number == 2)


def test_one_inode_before_and_after(mounted):
    """Who holds the new file open and who opens the name see one content, whoever writes."""
    path = mounted.path("INBOX", "1.eml")
    before = os.stat(path)
    with open(path + ".tmp", "w+b", buffering=0) as f:
        f.write(NEW)
        os.rename(path + ".tmp", path)
        assert os.stat(path).st_ino == before.st_ino
        with open(path, "r+b", buffering=0) as g:
            for n in range(50):
                f.seek(0, os.SEEK_END)
                f.write(b"%d from the one\r\n" % n)
                g.seek(0, os.SEEK_END)
                g.write(b"%d from the other\r\n" % n)
                assert os.fstat(f.fileno()).st_size == os.fstat(g.fileno()).st_size
            f.truncate(len(NEW) + 5)
            assert os.fstat(g.fileno()).st_size == len(NEW) + 5
            f.seek(0)
            g.seek(0)
            assert f.read() == g.read() == NEW + b"0 fro"


def test_backup_that_stays(mounted):
    """As emacs does it: NAME~ becomes a file of this machine with the bytes there were."""
    path = mounted.path("INBOX", "1.eml")
    before = os.stat(path)
    os.rename(path, path + "~")
    put(path, NEW)
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns
    replaced(mounted)
    until(lambda: os.stat(path).st_ino == before.st_ino)
    assert mounted.read("INBOX", "1.eml") == NEW
    assert mounted.read("INBOX", "1.eml~") == message(1)
    os.unlink(path + "~")
    replaced(mounted)


def test_reader_keeps_what_it_opened(mounted):
    path = mounted.path("INBOX", "1.eml")
    put(path + ".tmp", NEW)
    with open(path + ".tmp", "rb") as f:
        os.rename(path + ".tmp", path)
        assert f.read() == NEW


def test_written_on_after_the_rename(mounted):
    """What a program writes to the file after it has become the message is not lost."""
    path = mounted.path("INBOX", "1.eml")
    with open(path + ".tmp", "wb", buffering=0) as f:
        f.write(NEW)
        os.rename(path + ".tmp", path)
        f.write(b"more\r\n")
    mounted.settle()
    until(lambda: mounted.read("INBOX", "1.eml") == NEW + b"more\r\n")
    until(lambda: mounted.kinds() == [REPLACE])
    assert os.stat(path).st_size == len(NEW) + 6


def test_line_ends_of_an_edit(mounted):
    """Saved with LF, sent with CRLF."""
    path = mounted.path("INBOX", "1.eml")
    over_lf = NEW.replace(b"\r\n", b"\n")
    put(path, over_lf)
    replaced(mounted)
    until(lambda: mounted.read("INBOX", "1.eml") == NEW)
    assert os.stat(path).st_size == len(NEW)


def reason(path):
    try:
        return os.getxattr(path, "user.imap.error")
    except OSError:
        return b""


def test_no_message_is_never_sent(mounted):
    """What is no message stays here, and the server's message is left alone."""
    path = mounted.path("INBOX", "1.eml")
    put(path + ".tmp", b"\0\1\2")
    os.rename(path + ".tmp", path)
    assert mounted.read("INBOX", "1.eml") == b"\0\1\2"
    mounted.settle()
    until(lambda: reason(path), what="the reason")
    assert mounted.kinds() == []


def test_body_that_is_not_here(mounted):
    """Cannot be changed in part, but can be written anew."""
    mounted.steer("offline")
    path = mounted.path("INBOX", "9.eml")
    with pytest.raises(OSError) as e:
        with open(path, "r+b", buffering=0) as f:
            f.write(b"x")
    assert e.value.errno == errno.ENETUNREACH
    put(path, NEW)
    replaced(mounted)
    assert mounted.read("INBOX", "9.eml") == NEW
