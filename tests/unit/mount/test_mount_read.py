# SPDX-License-Identifier: MIT
"""Listing, attributes, reading, and reads of bodies that are not here."""

import errno
import mmap
import os
import signal
import subprocess
import threading
import time

import pytest
from conftest import message, until

GONE_SECONDS = 15.0  # half of the time after which a reader is given up


def test_lists_and_reads(mounted):
    """R058, R307"""
    assert sorted(os.listdir(mounted.point)) == ["INBOX", "Sent", "Trash"]
    assert sorted(os.listdir(mounted.path("INBOX"))) == ["1.eml", "2.eml", "3.eml", "9.eml"]
    for i in (1, 2, 3):
        assert mounted.read("INBOX", f"{i}.eml") == message(i)
    st = os.stat(mounted.path("INBOX", "2.eml"))
    assert st.st_size == len(message(2))
    assert st.st_mtime == 1700000000
    assert st.st_mode & 0o777 == 0o600
    assert os.stat(mounted.point).st_nlink == 5
    with pytest.raises(FileNotFoundError):
        os.stat(mounted.path("INBOX", "4.eml"))


def test_inodes_survive_remount(mounted):
    before = {n: os.stat(mounted.path("INBOX", n)).st_ino for n in os.listdir(mounted.path("INBOX"))}
    assert mounted.stop() == 0
    mounted.mount()
    after = {n: os.stat(mounted.path("INBOX", n)).st_ino for n in os.listdir(mounted.path("INBOX"))}
    assert before == after
    assert len(set(after.values())) == 4


@pytest.mark.parametrize("told", [0, 10, 4095, 4096, 100000, 300000])
def test_body_arrives_with_another_size(probe, told):
    """R106: the server's size may be wrong; who reads to the end gets exactly the message."""
    body = message(9, "x" * 70000)
    probe.run("mail", "INBOX", 9, told)
    probe.mount()
    path = probe.path("INBOX", "9.eml")
    assert os.getxattr(path, "user.imap.body") == b"absent"
    probe.steer("deliver", body)
    with open(path, "rb", buffering=0) as f:
        got = b""
        while part := f.read(10000):
            got += part
    assert got == body
    assert os.stat(path).st_size == len(body)
    assert os.getxattr(path, "user.imap.body") == b"cached"
    assert subprocess.run(["cat", path], stdout=subprocess.PIPE, timeout=20).stdout == body


def test_offline_and_deadline(mounted):
    mounted.steer("offline")
    with pytest.raises(OSError) as e:
        mounted.read("INBOX", "9.eml")
    assert e.value.errno == errno.ENETUNREACH
    os.unlink(os.path.join(mounted.dir, "offline"))
    assert mounted.stop() == 0
    mounted.mount("timeout=300")
    with pytest.raises(OSError) as e:
        mounted.read("INBOX", "9.eml")
    assert e.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_reader_is_gone_at_once(mounted, sig):
    cat = subprocess.Popen(["cat", mounted.path("INBOX", "9.eml")], stderr=subprocess.DEVNULL)
    until(lambda: int(mounted.status()["waiting"]) > 0)
    begin = time.monotonic()
    cat.send_signal(sig)
    assert cat.wait(20) == -sig
    assert time.monotonic() - begin < GONE_SECONDS
    until(lambda: mounted.status()["waiting"] == "0")


def test_caught_signal_interrupts_a_read(mounted):
    script = ("import os,signal,sys\n"
              "signal.signal(signal.SIGUSR1, lambda *a: sys.exit(7))\n"
              "os.read(os.open(sys.argv[1], os.O_RDONLY), 10)\n")
    reader = subprocess.Popen(["/usr/bin/python3", "-c", script, mounted.path("INBOX", "9.eml")])
    until(lambda: int(mounted.status()["waiting"]) > 0)
    begin = time.monotonic()
    reader.send_signal(signal.SIGUSR1)
    assert reader.wait(20) == 7
    assert time.monotonic() - begin < GONE_SECONDS


def test_nothing_else_waits_for_a_body(mounted):
    cats = [subprocess.Popen(["cat", mounted.path("INBOX", "9.eml")], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL) for _ in range(5)]
    until(lambda: int(mounted.status()["waiting"]) > 0)
    begin = time.monotonic()
    assert mounted.read("INBOX", "1.eml") == message(1)
    assert os.stat(mounted.path("INBOX", "9.eml")).st_size == 5000
    assert len(os.listdir(mounted.path("INBOX"))) == 4
    os.statvfs(mounted.point)
    os.setxattr(mounted.path("INBOX", "9.eml"), "user.imap.flag.Flagged", b"")
    assert time.monotonic() - begin < GONE_SECONDS
    body = message(9)
    mounted.steer("deliver", body)
    for cat in cats:
        assert cat.communicate(timeout=20)[0] == body


def test_mapped_reader(mounted):
    with open(mounted.path("INBOX", "3.eml"), "rb") as f:
        with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            assert m[:] == message(3)


def test_sequential_reader_names_what_is_missing(probe):
    for uid in range(1, 40):
        probe.run("mail", "INBOX", uid, 100)
    probe.mount()
    probe.steer("deliver", message(1))
    for uid in range(1, 6):
        probe.read("INBOX", f"{uid}.eml")
    until(lambda: int(probe.status()["ahead"]) >= 30)


def test_sequential_reader_gets_exact_bodies(probe):
    """Bodies pushed into the page cache are those of their messages."""
    bodies = [message(i, "line\r\n" * (i * 37 % 900)) for i in range(300)]
    probe.fill("INBOX", 1, *bodies)
    probe.mount()
    names = sorted(os.listdir(probe.path("INBOX")), key=lambda n: int(n.split(".")[0]))
    for _ in range(2):
        assert [probe.read("INBOX", n) for n in names] == bodies


def test_virtual_files(mounted):
    assert ".imapfs" not in os.listdir(mounted.point)
    assert sorted(os.listdir(mounted.path(".imapfs"))) == ["counter", "events", "lost+found", "partial", "status"]
    for tool in (["cat"], ["tail", "-n", "5"], ["grep", "-a", "number"]):
        last = 0
        for _ in range(3):
            out = subprocess.run([*tool, mounted.path(".imapfs", "counter")], timeout=20,
                                 stdout=subprocess.PIPE, check=True).stdout
            number = int(out.split()[1])
            assert out == b"number %d\n" % number and number > last
            last = number
    for change in (lambda p: os.unlink(p), lambda p: open(p, "w").write("x"),
                   lambda p: os.chmod(p, 0o777)):
        with pytest.raises(PermissionError):
            change(mounted.path(".imapfs", "status"))
    with pytest.raises(FileNotFoundError):
        os.stat(mounted.path(".imapfs", "other"))
    with pytest.raises(FileExistsError):
        os.mkdir(mounted.path(".imapfs"))


def test_statfs(mounted):
    st = os.statvfs(mounted.point)
    assert st.f_blocks > 0 and st.f_bavail > 0 and st.f_ffree > 0
    assert st.f_namemax == 255


def test_unmount_with_a_parked_reader(mounted):
    cat = subprocess.Popen(["cat", mounted.path("INBOX", "9.eml")], stderr=subprocess.DEVNULL)
    until(lambda: int(mounted.status()["waiting"]) > 0)
    begin = time.monotonic()
    assert mounted.stop() == 0
    assert time.monotonic() - begin < GONE_SECONDS
    assert cat.wait(30) == 1
    assert not os.path.ismount(mounted.point)


def test_unmount_from_outside(mounted):
    mounted.read("INBOX", "1.eml")
    subprocess.run(["fusermount3", "-u", mounted.point], check=True)
    assert mounted.process.wait(30) == 0
    mounted.process = None


def test_stale_mount_is_replaced(mounted):
    assert mounted.stop(signal.SIGKILL) == -signal.SIGKILL
    with pytest.raises(OSError) as e:
        os.stat(mounted.point)
    assert e.value.errno == errno.ENOTCONN
    mounted.mount()
    assert mounted.read("INBOX", "1.eml") == message(1)
    second = subprocess.run([os.environ["MOUNT_PROBE"], mounted.dir, "mount", mounted.point],
                            stderr=subprocess.PIPE, timeout=20)
    assert second.returncode == 3
    assert b"mounted already" in second.stderr


def test_many_readers_and_changes_at_once(mounted):
    """Readers, writers and a pull side by side; nothing hangs and nothing is mixed up."""
    wrong = []

    def read_all():
        for _ in range(30):
            for i in (1, 2, 3):
                if mounted.read("INBOX", f"{i}.eml") != message(i):
                    wrong.append(i)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for t in threads:
        t.start()
    for uid in range(20, 30):
        mounted.run("mail", "INBOX", uid, 100)
        mounted.run("flags", "INBOX", 1, "\\Seen" if uid % 2 else "")
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    assert not wrong
    until(lambda: len(os.listdir(mounted.path("INBOX"))) == 14)
