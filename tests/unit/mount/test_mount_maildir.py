# SPDX-License-Identifier: MIT
"""The Maildir layout on a store without a server: names, flags by rename, delivery, sizes."""

import errno
import os
import stat
import subprocess
import threading
import time

import pytest
from conftest import message, until

FLAGS, UPLOAD, MOVE, DELETE = 6, 1, 4, 5


@pytest.fixture
def box(probe):
    """INBOX with 1 and 2 read, 3 flagged too, 9 new and not here."""
    probe.fill("INBOX", 1, message(1), message(2), message(3))
    probe.run("flags", "INBOX", 3, "\\Seen \\Flagged")
    probe.run("mail", "INBOX", 9, 5000, "")
    return probe.mount("maildir")


def lf(data):
    return data.replace(b"\r\n", b"\n")


def names(probe, *parts):
    return sorted(os.listdir(probe.path(*parts)))


def bases(probe, *parts):
    return [n.split(":2,")[0] for n in names(probe, *parts)]


def cur(probe, number):
    """The path of the numbered message of the fixture."""
    return probe.path("INBOX", "cur", names(probe, "INBOX", "cur")[number - 1])


def deliver(probe, folder, name, data, how=os.rename, to="new"):
    tmp = probe.path(folder, "tmp", "at-work")
    with open(tmp, "xb") as f:
        f.write(data)
    how(tmp, probe.path(folder, to, name))
    return probe.path(folder, to, name)


def test_tree(box):
    assert names(box) == ["INBOX", "Sent", "Trash"]
    assert names(box, "INBOX") == ["cur", "new", "tmp"]
    assert [n.split(":2,")[1] for n in names(box, "INBOX", "cur")] == ["S", "S", "FS"]
    assert len(names(box, "INBOX", "new")) == 1 and ":" not in names(box, "INBOX", "new")[0]
    assert names(box, "INBOX", "tmp") == []
    inodes = set()
    for path, folders, files in os.walk(box.point):
        for name in folders + files:
            st = os.lstat(os.path.join(path, name))
            assert st.st_ino not in inodes
            inodes.add(st.st_ino)
            if name in folders:
                assert st.st_nlink == 2 + len(os.listdir(os.path.join(path, name))) * (
                    name not in ("cur", "new", "tmp"))


def test_content_has_lf(box):
    """Whole, in pieces, by inode number; the size is that of what is read."""
    for i in (1, 2, 3):
        path, want = cur(box, i), lf(message(i))
        assert os.stat(path).st_size == len(want)
        with open(path, "rb", buffering=0) as f:
            assert f.read() == want
        fd = os.open(path, os.O_RDONLY)
        for off in range(len(want)):
            assert os.pread(fd, 5, off) == want[off:off + 5]
        os.close(fd)


@pytest.mark.parametrize("told", [0, 10, 70100, 300000])
def test_size_before_the_body_is_here(box, told):
    """What the server says is of another form; the reader gets exactly the message."""
    body = message(10, "x\r\n" * 30000)
    box.run("mail", "INBOX", 10, told, "\\Answered")
    path = until(lambda: [box.path("INBOX", "cur", n) for n in names(box, "INBOX", "cur")
                          if n.endswith(",R")])[0]
    box.steer("deliver", body)
    with open(path, "rb", buffering=0) as f:
        got = b""
        while part := f.read(10000):
            got += part
    assert got == lf(body)
    assert os.stat(path).st_size == len(got)
    assert subprocess.run(["cat", path], stdout=subprocess.PIPE, timeout=20).stdout == got


def test_flags_by_rename(box):
    """Letters that are new are set, those that are gone are cleared."""
    path = cur(box, 3)
    ino = os.stat(path).st_ino
    to = path.replace(":2,FS", ":2,RS")
    os.rename(path, to)
    assert box.ops() == [[str(FLAGS), "\\Answered", "\\Flagged", "", "0"]]
    assert os.stat(to).st_ino == ino and to.endswith(names(box, "INBOX", "cur")[2])
    assert not os.path.exists(path)
    os.rename(to, path)
    assert box.ops() == []
    assert os.getxattr(path, "user.imap.flags") == b"Flagged Seen"


def test_from_new_to_cur_and_back(box):
    """Being old is no flag: the server hears nothing of it, a remount knows it."""
    name = names(box, "INBOX", "new")[0]
    os.rename(box.path("INBOX", "new", name), box.path("INBOX", "cur", name + ":2,"))
    assert names(box, "INBOX", "new") == [] and name + ":2," in names(box, "INBOX", "cur")
    assert box.ops() == []
    assert box.stop() == 0
    box.mount("maildir")
    assert name + ":2," in names(box, "INBOX", "cur")
    os.rename(box.path("INBOX", "cur", name + ":2,"), box.path("INBOX", "new", name))
    assert names(box, "INBOX", "new") == [name]
    os.rename(box.path("INBOX", "new", name), box.path("INBOX", "cur", name + ":2,ST"))
    assert box.ops() == [[str(FLAGS), "\\Deleted \\Seen", "", "", "0"]]


def test_flagged_may_stay_in_new(box):
    name = names(box, "INBOX", "new")[0]
    os.rename(box.path("INBOX", "new", name), box.path("INBOX", "new", name + ":2,F"))
    assert names(box, "INBOX", "new") == [name + ":2,F"]
    box.run("flags", "INBOX", 9, "\\Seen")
    until(lambda: names(box, "INBOX", "new") == [])
    assert name + ":2,FS" in names(box, "INBOX", "cur")


@pytest.mark.parametrize("how", [os.rename, os.link])
@pytest.mark.parametrize("to, name, flags", [("new", "1.a.b", ""), ("cur", "1.a.b:2,DS",
                                                                    "\\Draft \\Seen")])
def test_delivery(box, how, to, name, flags):
    """R060: from tmp/, renamed or linked and unlinked; uploaded once, with its flags."""
    data = b"From: a@b\nSubject: new\n\nhello\n"
    path = deliver(box, "Sent", name, data, how, to)
    tmp = box.path("Sent", "tmp", "at-work")
    assert os.path.exists(tmp) == (how is os.link)
    if how is os.link:
        assert os.stat(tmp).st_ino == os.stat(path).st_ino
        os.unlink(tmp)
    assert names(box, "Sent", "tmp") == [] and names(box, "Sent", to) == [name]
    assert os.stat(path).st_size == len(data) and os.stat(path).st_nlink >= 1
    before = os.stat(path)
    box.settle()
    until(lambda: len(box.ops()) == 1)
    assert box.ops()[0][:3] == [str(UPLOAD), flags, ""]
    after = os.stat(path)
    assert (after.st_ino, after.st_size, after.st_mtime) == (
        before.st_ino, before.st_size, before.st_mtime)
    with open(path, "rb") as f:
        assert f.read() == data
    assert names(box, "Sent", to) == [name]


def test_nothing_in_tmp_is_a_message(box):
    with open(box.path("INBOX", "tmp", "letter"), "wb") as f:
        f.write(b"From: a@b\n\nunfinished\n")
    box.settle()
    assert box.ops() == [] and names(box, "INBOX", "tmp") == ["letter"]
    assert box.stop() == 0
    box.mount("maildir")
    assert names(box, "INBOX", "tmp") == ["letter"] and names(box, "INBOX") == ["cur", "new", "tmp"]
    os.unlink(box.path("INBOX", "tmp", "letter"))
    assert names(box, "INBOX", "tmp") == []


def test_delivery_does_not_overwrite(box):
    path = deliver(box, "Sent", "x", b"A: b\n\n1\n")
    with open(box.path("Sent", "tmp", "y"), "wb") as f:
        f.write(b"A: b\n\n2\n")
    with pytest.raises(FileExistsError):
        os.link(box.path("Sent", "tmp", "y"), path)
    assert box.read("Sent", "new", "x") == b"A: b\n\n1\n"
    assert names(box, "Sent", "tmp") == ["y"]


def test_move_to_another_mailbox(box):
    """Keeps its name there, and its flags; moved on before it is sent it is one move."""
    path = cur(box, 1)
    name = os.path.basename(path)
    os.rename(path, box.path("Sent", "cur", name))
    assert names(box, "Sent", "cur") == [name] and box.kinds() == [MOVE]
    os.rename(box.path("Sent", "cur", name), box.path("Trash", "cur", name.replace("S", "FS")))
    assert sorted(box.kinds()) == [MOVE, FLAGS]
    assert names(box, "Sent", "cur") == []
    os.rename(box.path("Trash", "cur", name.replace("S", "FS")), path)
    assert names(box, "INBOX", "cur")[0] == name and MOVE not in box.kinds()
    assert box.read("INBOX", "cur", name) == lf(message(1))


def test_remove(box):
    path = cur(box, 2)
    os.unlink(path)
    assert box.kinds() == [DELETE] and len(names(box, "INBOX", "cur")) == 2
    with pytest.raises(FileNotFoundError):
        os.stat(path)


def test_change_from_elsewhere(box):
    """Listings and names follow; the old name leads to the message for a while, but it is
    not a second name in the listing."""
    path = cur(box, 1)
    with open(path, "rb") as f:
        f.read()
    box.run("flags", "INBOX", 1, "\\Seen \\Flagged")
    to = path.replace(":2,S", ":2,FS")
    until(lambda: os.path.basename(to) in names(box, "INBOX", "cur"))
    assert os.path.basename(path) not in names(box, "INBOX", "cur")
    with open(path, "rb") as f:
        assert f.read() == lf(message(1))
    assert os.stat(path).st_size == os.stat(to).st_size
    # the program that knew the old name says what it wants to change; the rest stays
    os.rename(path, path.replace(":2,S", ":2,RS"))
    assert os.getxattr(cur(box, 1), "user.imap.flags") == b"Answered Flagged Seen"
    box.run("expunge", "INBOX", 2)
    until(lambda: len(names(box, "INBOX", "cur")) == 2)


def test_unread_from_elsewhere_then_renamed_to_what_it_was(box):
    """A rename to the very name that it had before is a change and no mere second name."""
    path = cur(box, 1)
    box.run("flags", "INBOX", 1, "")
    base = os.path.basename(path).split(":")[0]
    until(lambda: base in names(box, "INBOX", "new"))
    os.rename(box.path("INBOX", "new", base), path)
    assert os.path.basename(path) in names(box, "INBOX", "cur")
    assert box.ops() == [[str(FLAGS), "\\Seen", "", "", "0"]]


def test_expunged_name_is_gone(box):
    path = cur(box, 2)
    assert os.path.exists(path)
    box.run("expunge", "INBOX", 2)
    until(lambda: not os.path.exists(path))


def test_new_mail_appears(box):
    first = os.stat(box.path("INBOX", "new")).st_mtime_ns
    assert len(names(box, "INBOX", "new")) == 1
    box.fill("INBOX", 11, message(11))
    until(lambda: len(names(box, "INBOX", "cur")) == 4)
    box.run("mail", "INBOX", 12, 100, "")
    until(lambda: len(names(box, "INBOX", "new")) == 2)
    assert os.stat(box.path("INBOX", "new")).st_mtime_ns > first


def test_directory_times(box):
    """They move with a change of flags, in either layout's sense, and with nothing else."""
    def times():
        return [os.stat(box.path("INBOX", d)).st_mtime_ns for d in ("cur", "new")]
    before = times()
    with open(cur(box, 1), "rb") as f:
        f.read()
    box.run("flags", "INBOX", 1, "\\Seen $Work")  # no letter for it
    time.sleep(0.2)
    assert times() == before
    box.run("flags", "INBOX", 1, "\\Seen \\Draft")
    until(lambda: times() > before)
    assert all(t > b for t, b in zip(times(), before))


def test_edit_in_place(box):
    """A message that is rewritten is one replace, in LF here and CRLF there."""
    path = cur(box, 1)
    with open(path, "r+b") as f:
        f.seek(0, os.SEEK_END)
        f.write(b"more\n")
    want = lf(message(1)) + b"more\n"
    for _ in range(2):
        with open(path, "rb") as f:
            assert f.read() == want
        assert os.stat(path).st_size == len(want)
        box.settle()
        until(lambda: box.kinds() == [2])
    spool = os.path.join(box.dir, "state", "spool", box.ops()[0][4])
    with open(spool, "rb") as f:
        assert f.read() == message(1) + b"more\r\n"
    os.truncate(path, 0)
    with open(path, "wb") as f:
        f.write(want)
    box.settle()
    with open(path, "rb") as f:
        assert f.read() == want


def test_mailboxes(box):
    """Made and removed with their parts; one may be called cur."""
    os.mkdir(box.path("INBOX", "a"))
    assert names(box, "INBOX") == ["a", "cur", "new", "tmp"]
    for part in ("cur", "new", "tmp"):
        with pytest.raises(FileExistsError):
            os.mkdir(box.path("INBOX", "a", part))
    deliver(box, "INBOX/a", "x", b"A: b\n\n1\n")
    for name in ("cur", "tmp"):
        os.rmdir(box.path("INBOX", "a", name))
    with pytest.raises(OSError) as error:
        os.rmdir(box.path("INBOX", "a", "new"))
    assert error.value.errno == errno.ENOTEMPTY
    with pytest.raises(OSError) as error:
        os.rmdir(box.path("INBOX", "a"))
    assert error.value.errno == errno.ENOTEMPTY
    os.unlink(box.path("INBOX", "a", "new", "x"))
    os.rename(box.path("INBOX", "a"), box.path("INBOX", "b"))
    subprocess.run(["rm", "-r", box.path("INBOX", "b")], check=True, timeout=20)
    assert names(box, "INBOX") == ["cur", "new", "tmp"]
    box.run("list", "INBOX", "Sent", "Trash", "Sent/cur")
    until(lambda: "%63ur" in names(box, "Sent"))
    assert names(box, "Sent") == ["%63ur", "cur", "new", "tmp"]
    assert names(box, "Sent", "%63ur") == ["cur", "new", "tmp"]


def test_what_is_refused(box):
    for path, number in ((("INBOX", "file"), errno.EPERM), (("INBOX", "cur", "d"), errno.EPERM)):
        with pytest.raises(OSError) as error:
            if path[-1] == "d":
                os.mkdir(box.path(*path))
            else:
                open(box.path(*path), "x").close()
        assert error.value.errno == number
    with pytest.raises(OSError) as error:
        os.rename(box.path("INBOX", "cur"), box.path("Sent", "other"))
    assert error.value.errno == errno.EBUSY
    with pytest.raises(OSError) as error:
        os.stat(box.path("INBOX", "cur", "n" * 256))
    assert error.value.errno == errno.ENAMETOOLONG


def test_local_directories(box):
    """Indexes of programs stay here."""
    os.mkdir(box.path(".notmuch"))
    with open(box.path(".notmuch", "db"), "wb") as f:
        f.write(b"index")
    box.settle()
    assert box.ops() == [] and box.read(".notmuch", "db") == b"index"
    assert stat.S_ISDIR(os.stat(box.path(".notmuch")).st_mode)


def test_xattrs_of_the_parts(box):
    assert os.getxattr(box.path("INBOX", "cur"), "user.imap.uidvalidity") == b"7"
    os.setxattr(cur(box, 2), "user.imap.flag.Flagged", b"")
    until(lambda: names(box, "INBOX", "cur")[1].endswith(":2,FS"))
    assert os.listxattr(cur(box, 2)) == ["user.imap.flags"]


def test_sequential_reader(probe):
    """What is pushed ahead of a reader is the form that he would have read."""
    probe.fill("INBOX", 1, *[message(i, f"line {i}\r\n" * (i % 50)) for i in range(1, 301)])
    probe.mount("maildir")
    found = names(probe, "INBOX", "cur")
    assert len(found) == 300
    for i, name in enumerate(found, 1):
        assert probe.read("INBOX", "cur", name) == lf(message(i, f"line {i}\r\n" * (i % 50)))


def test_both_layouts_share_the_store(box):
    deliver(box, "INBOX", "mine", b"A: b\n\n1\n", to="cur")
    box.settle()
    until(lambda: UPLOAD in box.kinds())
    name = names(box, "INBOX", "cur")[0]
    assert box.stop() == 0
    box.mount()
    assert names(box, "INBOX") == ["1.eml", "2.eml", "3.eml", "9.eml", "mine"]
    assert box.read("INBOX", "mine") == b"A: b\r\n\r\n1\r\n"
    os.rename(box.path("INBOX", "2.eml"), box.path("INBOX", "two.eml"))
    assert box.stop() == 0
    box.mount("maildir", "separator=;")
    assert names(box, "INBOX", "cur")[0] == name.replace(":", ";")
    assert sorted(bases(box, "INBOX", "cur"))[-2:] == ["mine;2,", "two.eml;2,S"]


def test_many_readers_and_renames(box):
    """Renames while others list and read: nothing is lost, nothing is there twice."""
    stop, wrong = threading.Event(), []

    def watch():
        while not stop.is_set():
            seen = [n.split(":2,")[0] for n in os.listdir(box.path("INBOX", "cur"))]
            if len(set(seen)) != len(seen) or len(seen) > 3:
                wrong.append(seen)
    threads = [threading.Thread(target=watch) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        for turn in range(60):
            path = cur(box, 1 + turn % 3)
            base, _, letters = path.partition(":2,")
            os.rename(path, base + ":2," + ("S" if "F" in letters else "FS"))
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert wrong == [] and len(names(box, "INBOX", "cur")) == 3


def test_replaced_by_rename(box):
    """A file renamed over a message is its new content; who reads by either name gets LF."""
    path = cur(box, 2)
    with open(box.path("INBOX", "tmp", "n"), "wb") as f:
        f.write(b"From: a@b\n\nsecond\n")
    os.rename(box.path("INBOX", "tmp", "n"), path)
    box.settle()
    until(lambda: 2 in box.kinds())
    assert len(names(box, "INBOX", "cur")) == 3
    for _ in range(2):
        with open(path, "rb") as f:
            assert f.read() == b"From: a@b\n\nsecond\n"
        assert os.stat(path).st_size == 18
        assert box.stop() == 0
        box.mount("maildir")
