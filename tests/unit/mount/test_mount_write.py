# SPDX-License-Identifier: MIT
"""New files: when they become messages, and which never do."""

import errno
import mmap
import os
import shutil
import signal
import subprocess
import time

import pytest
from conftest import message, until

APPEND = 1
REPLACE = 2
COPY = 3
TEXT = "Subject: draft\nMessage-ID: <draft@example.org>\n\nhello\n"
WIRE = TEXT.replace("\n", "\r\n").encode()
SEVERAL_HOLDS = 1.0  # seconds; the hold of these mounts is 0.2


def write(path, text=TEXT):
    with open(path, "w") as f:
        f.write(text)


def error_of(path):
    try:
        return os.getxattr(path, "user.imap.error").decode()
    except OSError as e:
        assert e.errno == errno.ENODATA
        return None


def appended(probe, count=1):
    return until(lambda: [op for op in probe.ops() if int(op[0]) == APPEND][count - 1:],
                 what="append")


def test_new_file_becomes_a_message(mounted):
    """R041, R045: written with LF line ends, sent with CRLF, under the name it was given."""
    path = mounted.path("INBOX", "draft.eml")
    with open(path, "w") as f:
        f.write(TEXT)
        f.flush()
        assert os.stat(path).st_size == len(TEXT)
        ino = os.stat(path).st_ino
    appended(mounted)
    assert mounted.read("INBOX", "draft.eml") == WIRE
    assert os.stat(path).st_size == len(WIRE)
    assert os.stat(path).st_ino == ino
    assert "draft.eml" in os.listdir(mounted.path("INBOX"))
    assert os.getxattr(path, "user.imap.pending") == b"1"
    with pytest.raises(OSError) as e:
        os.getxattr(path, "user.imap.uid")
    assert e.value.errno == errno.ENODATA
    assert os.getxattr(path, "user.imap.message-id") == b"<draft@example.org>"


def test_large_file_is_converted_whole(mounted):
    """Line ends are made CRLF across the pieces that the conversion works in."""
    text = "Subject: large\n\n" + "".join(f"{'z' * (i % 97)}\n" for i in range(40000))
    write(mounted.path("INBOX", "large.eml"), text)
    appended(mounted)
    assert mounted.read("INBOX", "large.eml") == text.replace("\n", "\r\n").encode()


def test_crlf_and_mixed_ends(mounted):
    data = b"Subject: mixed\r\n\r\none\r\ntwo\nthree\rfour"
    with open(mounted.path("INBOX", "mixed.eml"), "wb") as f:
        f.write(data)
    appended(mounted)
    assert mounted.read("INBOX", "mixed.eml") == b"Subject: mixed\r\n\r\none\r\ntwo\r\nthree\rfour"


def test_not_while_a_writer_holds_it(mounted):
    """R003"""
    path = mounted.path("INBOX", "slow.eml")
    with open(path, "w") as f:
        f.write(TEXT)
        f.flush()
        time.sleep(SEVERAL_HOLDS)
        assert mounted.kinds() == []
        assert mounted.status()["open"] == "1\n".strip()
        f.write("more\n")
    appended(mounted)
    assert mounted.read("INBOX", "slow.eml") == WIRE + b"more\r\n"


def test_not_while_a_mapping_can_write_it(mounted):
    path = mounted.path("INBOX", "mapped.eml")
    write(path)
    fd = os.open(path, os.O_RDWR)
    m = mmap.mmap(fd, 0)
    os.close(fd)
    m[-6:-1] = b"HELLO"
    time.sleep(SEVERAL_HOLDS)
    assert mounted.kinds() == []
    m.close()
    appended(mounted)
    assert mounted.read("INBOX", "mapped.eml").endswith(b"HELLO\r\n")


def test_settle_ends_the_hold(probe):
    probe.mount("hold=60000")
    write(probe.path("INBOX", "draft.eml"))
    assert probe.kinds() == []
    probe.settle()
    appended(probe)


def test_settle_ends_the_hold_of_all(probe):
    """However many they are.  R003"""
    probe.mount("hold=60000")
    for i in range(300):
        write(probe.path("INBOX", f"n{i}.eml"), f"Subject: {i}\n\nbody {i}\n")
    probe.settle()
    until(lambda: probe.kinds() == [APPEND] * 300)


def test_settled_again_after_a_crash(probe):
    """R003: what a killed daemon had not queued is queued by the next one."""
    probe.mount("hold=60000")
    write(probe.path("INBOX", "draft.eml"))
    half = os.open(probe.path("INBOX", "half.eml"), os.O_WRONLY | os.O_CREAT)
    os.write(half, b"Subject: half\n\n")
    assert probe.stop(signal.SIGKILL) == -signal.SIGKILL
    try:
        os.close(half)
    except OSError:
        pass
    probe.mount()
    appended(probe, 2)
    assert probe.read("INBOX", "draft.eml") == WIRE
    assert probe.read("INBOX", "half.eml") == b"Subject: half\r\n\r\n"


@pytest.mark.parametrize("text,reason", [
    ("just some notes\n", "header"), ("", "empty"), ("From me Thu Jan  1\nSubject: x\n\n", "mbox"),
    ("\nSubject: x\n\n", "header"), ("Subject: x\n\nnul \0 byte\n", "NUL"),
])
def test_what_is_no_message_stays_here(mounted, text, reason):
    path = mounted.path("INBOX", "notes.txt")
    write(path, text)
    assert reason in until(lambda: error_of(path))
    assert mounted.kinds() == []
    assert mounted.read("INBOX", "notes.txt") == text.encode()
    write(path)
    appended(mounted)
    assert mounted.read("INBOX", "notes.txt") == WIRE


def test_cut_while_it_is_looked_at(probe):
    """A file is read to see what it is, once nobody holds it; whoever cuts it just then harms nobody."""
    probe.fill("INBOX", 1, message(1))
    mounted = probe.mount("hold=20")
    path = mounted.path("INBOX", "1.eml")
    for n in range(12):
        write(path, f"Subject: {n}\n\n" + "long line\n" * 400000)
        time.sleep(0.02 + n * 0.004)
        os.truncate(path, 100)
        assert os.stat(path).st_size == 100
    write(path)
    mounted.settle()
    replaced(mounted)
    until(lambda: mounted.read("INBOX", "1.eml") == WIRE, what="the last content")
    assert mounted.stop() == 0


def test_fsync(mounted):
    fd = os.open(mounted.path("INBOX", "good.eml"), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"Subj")
    os.fsync(fd)
    os.write(fd, b"ect: good\n\nfine\n")
    os.fsync(fd)
    os.close(fd)
    fd = os.open(mounted.path("INBOX", "bad.txt"), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"no header here\n")
    with pytest.raises(OSError) as e:
        os.fsync(fd)
    assert e.value.errno == errno.EINVAL
    os.close(fd)
    fd = os.open(mounted.path("INBOX", ".bad.swp"), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"no header here\n")
    os.fsync(fd)
    os.close(fd)
    fd = os.open(mounted.path("INBOX"), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_files_in_the_root_stay_here(mounted):
    write(mounted.path("README"))
    time.sleep(SEVERAL_HOLDS)
    assert mounted.kinds() == []
    assert mounted.read("README") == TEXT.encode()
    os.rename(mounted.path("README"), mounted.path("INBOX", "read.eml"))
    appended(mounted)


def test_date_of_the_file_is_the_date_of_the_message(probe):
    """R058, R059, R060: cp -p, touch and flags before the upload."""
    mounted = probe.mount("hold=60000")
    source = mounted.file(WIRE, "source.eml")
    os.utime(source, (1600000000, 1600000000))
    subprocess.run(["cp", "-p", source, mounted.path("INBOX", "dated.eml")], check=True, timeout=20)
    os.setxattr(mounted.path("INBOX", "dated.eml"), "user.imap.flags", b"Seen $Work")
    mounted.settle()
    op, = appended(mounted)
    assert op[1].split() == ["$Work", "\\Seen"]
    path = mounted.path("INBOX", "dated.eml")
    assert os.stat(path).st_mtime == 1600000000
    assert os.getxattr(path, "user.imap.internaldate").startswith(b"2020-09-13T")


def test_truncate_append_and_holes(mounted):
    path = mounted.path("INBOX", ".scratch.swp")
    write(path, "0123456789")
    with open(path, "a") as f:
        f.write("abc")
    os.truncate(path, 5)
    assert mounted.read("INBOX", ".scratch.swp") == b"01234"
    os.truncate(path, 8)
    assert mounted.read("INBOX", ".scratch.swp") == b"01234\0\0\0"
    write(path, "new")
    assert mounted.read("INBOX", ".scratch.swp") == b"new"
    assert os.stat(path).st_size == 3
    assert mounted.stop() == 0
    mounted.mount()
    assert mounted.read("INBOX", ".scratch.swp") == b"new"
    assert mounted.kinds() == []


def replaced(probe, count=1):
    return until(lambda: [op for op in probe.ops() if int(op[0]) == REPLACE][count - 1:],
                 what="replace")


def saved_in_place(path, text):
    with open(path, "r+") as f:
        f.truncate(0)
        f.write(text)


def saved_over(path, text):
    other = os.path.join(os.path.dirname(path), ".goutputstream-ABCDEF")
    write(other, text)
    os.rename(other, path)


def saved_anew(path, text):
    """vim"""
    os.rename(path, path + "~")
    write(path, text)
    os.unlink(path + "~")


def saved_beside(path, text):
    """emacs: the backup stays."""
    os.rename(path, path + "~")
    write(path, text)


@pytest.mark.parametrize("save", [saved_in_place, saved_over, saved_anew, saved_beside],
                         ids=lambda s: s.__name__)
def test_an_edit_is_one_replace(probe, save):
    """R130: the message stays itself, whatever way its editor goes; the last save wins."""
    probe.fill("INBOX", 1, message(1), message(2))
    mounted = probe.mount("hold=60000")
    path = mounted.path("INBOX", "1.eml")
    before, old, names = os.stat(path), mounted.read("INBOX", "1.eml"), os.listdir(os.path.dirname(path))
    for n in range(3):
        save(path, f"Subject: edited {n}\n\nbody {n}\n")
        mounted.settle()
        replaced(mounted)
        until(lambda: mounted.read("INBOX", "1.eml") == f"Subject: edited {n}\r\n\r\nbody {n}\r\n".encode(),
              what="the new content")
        until(lambda: os.stat(path).st_ino == before.st_ino, what="the same inode")
    after = os.stat(path)
    assert (after.st_mtime, after.st_size) == (before.st_mtime, len(mounted.read("INBOX", "1.eml")))
    assert os.getxattr(path, "user.imap.uid") == b"1"
    assert [int(op[0]) for op in mounted.ops()] == [REPLACE]
    if save is saved_beside:
        assert mounted.read("INBOX", "1.eml~") != mounted.read("INBOX", "1.eml")
        os.unlink(path + "~")
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(names)
    assert old != mounted.read("INBOX", "1.eml")


def test_backup_has_the_old_bytes(mounted):
    path = mounted.path("INBOX", "1.eml")
    old = mounted.read("INBOX", "1.eml")
    saved_beside(path, "Subject: new\n\n")
    replaced(mounted)
    until(lambda: mounted.read("INBOX", "1.eml") == b"Subject: new\r\n\r\n", what="the new content")
    assert mounted.read("INBOX", "1.eml~") == old


def test_an_edit_is_not_sent_half(mounted):
    """Nothing is logged while the writer holds it, and what was there is still the server's."""
    path = mounted.path("INBOX", "1.eml")
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"Subject: half\r\n\r\n")
    time.sleep(SEVERAL_HOLDS)
    assert mounted.ops() == []
    os.write(fd, b"whole\r\n")
    os.close(fd)
    replaced(mounted)
    assert mounted.read("INBOX", "1.eml") == b"Subject: half\r\n\r\nwhole\r\n"


def test_an_edit_survives_a_crash(probe):
    """R003: bytes written and not yet logged are there, and logged, after kill -9."""
    probe.fill("INBOX", 1, message(1), message(2))
    probe.mount("hold=60000")
    saved_in_place(probe.path("INBOX", "1.eml"), "Subject: in place\n\n")
    saved_over(probe.path("INBOX", "2.eml"), "Subject: over\n\n")
    assert probe.stop(signal.SIGKILL) == -signal.SIGKILL
    probe.mount()
    replaced(probe, 2)
    assert probe.read("INBOX", "1.eml") == b"Subject: in place\r\n\r\n"
    assert probe.read("INBOX", "2.eml") == b"Subject: over\r\n\r\n"


def test_an_edit_into_no_message_stays_here(mounted):
    path = mounted.path("INBOX", "1.eml")
    saved_in_place(path, "notes\n")
    assert "header" in until(lambda: error_of(path))
    assert mounted.ops() == []
    assert mounted.read("INBOX", "1.eml") == b"notes\n"


def test_attributes_of_messages(mounted):
    path = mounted.path("INBOX", "1.eml")
    with pytest.raises(PermissionError):
        os.utime(path, (1, 1))
    os.utime(path, (1700000000, 1700000000))
    os.chmod(path, 0o400)
    assert os.stat(path).st_mode & 0o777 == 0o400
    with pytest.raises(PermissionError):
        os.chmod(path, 0o644)
    os.chown(path, os.getuid(), os.getgid())
    with pytest.raises(PermissionError):
        os.chown(path, os.getuid() + 1, -1)
    assert mounted.read("INBOX", "1.eml") == message(1)


def test_removed_while_held(mounted):
    path = mounted.path("INBOX", ".held.tmp")
    with open(path, "w+b", buffering=0) as f:
        f.write(b"abcdef")
        os.unlink(path)
        f.write(b"ghi")
        f.seek(0)
        assert f.read() == b"abcdefghi"
        assert os.fstat(f.fileno()).st_nlink == 0
    assert not os.path.exists(path)


def test_more_files_than_descriptors(mounted):
    """R045: every one of many new files arrives, and each with its own content."""
    count = 300
    for i in range(count):
        write(mounted.path("INBOX", f"n{i}.eml"), f"Subject: {i}\n\nbody {i}\n")
    until(lambda: mounted.kinds() == [APPEND] * count, seconds=60)
    for i in range(count):
        assert mounted.read("INBOX", f"n{i}.eml") == f"Subject: {i}\r\n\r\nbody {i}\r\n".encode()


def test_rsync(mounted):
    """R045: rsync's temporary name is never sent; a second run has nothing to do."""
    folder = os.path.join(mounted.dir, "from")
    os.mkdir(folder)
    for i in range(5):
        with open(os.path.join(folder, f"m{i}.eml"), "wb") as f:
            f.write(message(i))
        os.utime(os.path.join(folder, f"m{i}.eml"), (1600000000 + i, 1600000000 + i))
    rsync = ["rsync", "-rt", "-i", folder + "/", mounted.path("Sent/")]
    subprocess.run(rsync, check=True, timeout=60, stdout=subprocess.DEVNULL)
    until(lambda: mounted.kinds() == [APPEND] * 5)
    again = subprocess.run(rsync, check=True, timeout=60, stdout=subprocess.PIPE).stdout
    assert b"m" not in again
    for i in range(5):
        assert mounted.read("Sent", f"m{i}.eml") == message(i)


def test_copy_out_and_back(mounted):
    """What comes back as it was is copied on the server.  R045"""
    out = os.path.join(mounted.dir, "out.eml")
    shutil.copy2(mounted.path("INBOX", "1.eml"), out)
    shutil.copy2(out, mounted.path("Sent", "back.eml"))
    until(lambda: mounted.kinds() == [COPY])
    assert mounted.read("Sent", "back.eml") == message(1)
