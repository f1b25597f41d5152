# SPDX-License-Identifier: MIT
"""Names: create, remove, rename, link, directories; and changes that come from elsewhere."""

import ctypes
import errno
import os
import subprocess
import time

import pytest
from conftest import message, until

APPEND, REPLACE, COPY, MOVE, DELETE, FLAGS, CREATE, REMOVE, RENAME = range(1, 10)
TEXT = "Subject: draft\n\nhello\n"
NOREPLACE, EXCHANGE = 1, 2
SEVERAL_HOLDS = 1.0


def rename2(old, new, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path, text=TEXT):
    with open(path, "w") as f:
        f.write(text)


def error_of(call, *args):
    with pytest.raises(OSError) as e:
        call(*args)
    return e.value.errno


def test_remove(mounted):
    os.unlink(mounted.path("INBOX", "1.eml"))
    assert mounted.kinds() == [DELETE]
    assert "1.eml" not in os.listdir(mounted.path("INBOX"))
    assert error_of(os.stat, mounted.path("INBOX", "1.eml")) == errno.ENOENT
    assert error_of(os.unlink, mounted.path("INBOX", "1.eml")) == errno.ENOENT
    assert error_of(os.unlink, mounted.path("Sent")) in (errno.EISDIR, errno.EPERM)
    assert error_of(os.rmdir, mounted.path("INBOX", "2.eml")) == errno.ENOTDIR


def test_remove_to_trash_shows_there(probe):
    """R133: a removed message goes to the trash mailbox and is visible there at once."""
    probe.fill("INBOX", 1, message(1))
    probe.mount("delete=1")
    assert os.listdir(probe.path("Trash")) == []
    os.unlink(probe.path("INBOX", "1.eml"))
    name, = until(lambda: os.listdir(probe.path("Trash")))
    assert probe.read("Trash", name) == message(1)
    assert os.listdir(probe.path("INBOX")) == []


def test_rename_within_a_mailbox_is_local(mounted):
    ino = os.stat(mounted.path("INBOX", "1.eml")).st_ino
    os.rename(mounted.path("INBOX", "1.eml"), mounted.path("INBOX", "named.eml"))
    assert mounted.kinds() == []
    assert os.stat(mounted.path("INBOX", "named.eml")).st_ino == ino
    assert mounted.read("INBOX", "named.eml") == message(1)
    assert "1.eml" not in os.listdir(mounted.path("INBOX"))


def test_move_to_another_mailbox(mounted):
    """R046"""
    ino = os.stat(mounted.path("INBOX", "1.eml")).st_ino
    os.rename(mounted.path("INBOX", "1.eml"), mounted.path("Sent", "1.eml"))
    assert mounted.kinds() == [MOVE]
    assert mounted.read("Sent", "1.eml") == message(1)
    assert os.stat(mounted.path("Sent", "1.eml")).st_ino == ino
    assert os.listdir(mounted.path("Sent")) == ["1.eml"]
    assert "1.eml" not in os.listdir(mounted.path("INBOX"))


def test_rename_flags(mounted):
    one, two = mounted.path("INBOX", "1.eml"), mounted.path("INBOX", "2.eml")
    assert error_of(rename2, one, two, NOREPLACE) == errno.EEXIST
    assert error_of(rename2, one, two, EXCHANGE) == errno.EINVAL
    rename2(one, mounted.path("INBOX", "free.eml"), NOREPLACE)
    assert mounted.read("INBOX", "free.eml") == message(1)
    assert mounted.read("INBOX", "2.eml") == message(2)


def test_message_cannot_enter_a_scratch_directory(mounted):
    os.mkdir(mounted.path(".Trash-1000"))
    os.mkdir(mounted.path(".Trash-1000", "files"))
    assert mounted.kinds() == []
    assert error_of(os.rename, mounted.path("INBOX", "1.eml"),
                    mounted.path(".Trash-1000", "files", "1.eml")) == errno.EXDEV
    subprocess.run(["mv", mounted.path("INBOX", "1.eml"), mounted.path(".Trash-1000", "files")],
                   check=True, timeout=20)
    assert mounted.read(".Trash-1000", "files", "1.eml") == message(1)
    assert mounted.kinds() == [DELETE]


@pytest.mark.parametrize("scratch", [".draft.eml.Ab3dE9", "draft.eml~", "4913", "sedAbCdEf",
                                     ".draft.eml.swp", "x.tmp", ".goutputstream-XYZ123"])
def test_scratch_becomes_real_by_rename(mounted, scratch):
    path = mounted.path("INBOX", scratch)
    write(path)
    time.sleep(SEVERAL_HOLDS)
    assert mounted.kinds() == []
    os.rename(path, mounted.path("INBOX", "draft.eml"))
    until(lambda: mounted.kinds() == [APPEND])
    assert mounted.read("INBOX", "draft.eml") == TEXT.replace("\n", "\r\n").encode()


def test_file_removed_within_the_hold_costs_nothing(mounted):
    write(mounted.path("INBOX", "short.eml"))
    os.unlink(mounted.path("INBOX", "short.eml"))
    time.sleep(SEVERAL_HOLDS)
    assert mounted.kinds() == []


def test_symlink_as_a_lock(mounted):
    lock = mounted.path("INBOX", ".#draft.eml")
    os.symlink("user@host.1234", lock)
    assert os.readlink(lock) == "user@host.1234"
    assert error_of(os.symlink, "other", lock) == errno.EEXIST
    os.unlink(lock)
    assert mounted.kinds() == []


def test_link_is_a_copy(mounted):
    os.link(mounted.path("INBOX", "1.eml"), mounted.path("Sent", "copy.eml"))
    assert mounted.kinds() == [COPY]
    assert mounted.read("Sent", "copy.eml") == message(1)
    assert os.stat(mounted.path("Sent", "copy.eml")).st_ino != \
        os.stat(mounted.path("INBOX", "1.eml")).st_ino
    write(mounted.path("INBOX", ".local.swp"))
    assert error_of(os.link, mounted.path("INBOX", ".local.swp"),
                    mounted.path("INBOX", "x")) == errno.EPERM


def test_mailboxes(mounted):
    """R302: a name in UTF-8."""
    os.mkdir(mounted.path("Archive"))
    os.mkdir(mounted.path("Archive", "Grüße 東京"))
    assert mounted.kinds() == [CREATE, CREATE]
    assert os.listdir(mounted.path("Archive")) == ["Grüße 東京"]
    assert os.stat(mounted.path("Archive")).st_nlink == 3
    os.rename(mounted.path("Archive"), mounted.path("Old"))
    assert os.listdir(mounted.path("Old")) == ["Grüße 東京"]
    assert "Archive" not in os.listdir(mounted.point)
    os.rmdir(mounted.path("Old", "Grüße 東京"))
    os.rmdir(mounted.path("Old"))
    assert sorted(os.listdir(mounted.point)) == ["INBOX", "Sent", "Trash"]
    assert error_of(os.rmdir, mounted.path("INBOX")) in (errno.ENOTEMPTY, errno.EPERM)


def test_scratch_directories(mounted):
    os.mkdir(mounted.path("INBOX", ".Trash-0"))
    write(mounted.path("INBOX", ".Trash-0", "letter.eml"))
    time.sleep(SEVERAL_HOLDS)
    assert mounted.kinds() == []
    assert error_of(os.rmdir, mounted.path("INBOX", ".Trash-0")) == errno.ENOTEMPTY
    os.unlink(mounted.path("INBOX", ".Trash-0", "letter.eml"))
    os.rmdir(mounted.path("INBOX", ".Trash-0"))


def test_names_that_cannot_be(mounted):
    assert error_of(os.mkdir, mounted.path("x" * 256)) == errno.ENAMETOOLONG
    assert error_of(os.mkfifo, mounted.path("INBOX", "fifo")) == errno.EPERM
    assert error_of(os.mkdir, mounted.path("INBOX", "1.eml")) == errno.EEXIST


def test_read_only(probe):
    probe.fill("INBOX", 1, message(1))
    probe.mount("ro")
    assert probe.read("INBOX", "1.eml") == message(1)
    assert error_of(os.unlink, probe.path("INBOX", "1.eml")) == errno.EROFS
    assert error_of(os.mkdir, probe.path("New")) == errno.EROFS


def test_pulled_messages_appear_and_go(mounted):
    """R021, R031: the kernel's cached listing and names follow what a pull did."""
    box = mounted.path("INBOX")
    assert "20.eml" not in os.listdir(box)
    assert not os.path.exists(os.path.join(box, "20.eml"))
    mounted.run("mail", "INBOX", 20, 100)
    until(lambda: os.path.exists(os.path.join(box, "20.eml")))
    until(lambda: "20.eml" in os.listdir(box))
    mounted.run("expunge", "INBOX", 20)
    until(lambda: "20.eml" not in os.listdir(box))
    until(lambda: not os.path.exists(os.path.join(box, "20.eml")))


def test_pulled_flags_move_the_change_time(mounted):
    path = mounted.path("INBOX", "1.eml")
    before = os.stat(path)
    assert os.getxattr(path, "user.imap.flags") == b"Seen"
    mounted.run("flags", "INBOX", 1, "\\Flagged")
    until(lambda: os.stat(path).st_ctime_ns > before.st_ctime_ns)
    assert os.getxattr(path, "user.imap.flags") == b"Flagged"
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns


def test_mailbox_that_appears(mounted):
    assert not os.path.exists(mounted.path("Later"))
    mounted.run("list", "INBOX", "Sent", "Trash", "Later")
    until(lambda: os.path.isdir(mounted.path("Later")))
    until(lambda: "Later" in os.listdir(mounted.point))


def test_somebody_works_in_a_directory_that_changes(mounted):
    shell = subprocess.Popen(["sh", "-c", "while read x; do pwd; done"], cwd=mounted.path("INBOX"),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    mounted.run("mail", "INBOX", 20, 100)
    until(lambda: "20.eml" in os.listdir(mounted.path("INBOX")))
    assert os.readlink(f"/proc/{shell.pid}/cwd") == mounted.path("INBOX")
    shell.communicate("\n", timeout=20)
