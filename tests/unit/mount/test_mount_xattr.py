# SPDX-License-Identifier: MIT
"""Extended attributes of messages and mailboxes."""

import ctypes
import errno
import os
import subprocess

import pytest
from conftest import until

FLAGS_OP = "6"


def get(path, name):
    return os.getxattr(path, "user.imap." + name)


def errno_of(call, *args):
    with pytest.raises(OSError) as e:
        call(*args)
    return e.value.errno


def test_values_of_a_message(mounted):
    """R070"""
    path = mounted.path("INBOX", "9.eml")
    assert set(get(path, "flags").split()) == {b"Seen", b"$Work"}
    assert get(path, "uid") == b"9"
    assert get(path, "uidvalidity") == b"7"
    assert get(path, "modseq") == b"5"
    assert get(path, "size") == b"5000"
    assert get(path, "body") == b"absent"
    assert get(path, "pending") == b"0"
    assert get(path, "message-id") == b"<probe@example.org>"
    assert get(path, "internaldate") == b"2023-11-14T23:13:20+01:00"
    for unknown in ("emailid", "threadid", "error", "labels", "nothing", "uidnext"):
        assert errno_of(get, path, unknown) == errno.ENODATA


def test_values_of_a_mailbox(mounted):
    assert get(mounted.path("INBOX"), "uidvalidity") == b"7"
    assert get(mounted.path("Trash"), "special-use") == b"Trash"
    assert errno_of(get, mounted.path("INBOX"), "special-use") == errno.ENODATA
    assert errno_of(get, mounted.path("INBOX"), "uid") == errno.ENODATA
    assert get(mounted.path("INBOX"), "pending") == b"0"
    os.unlink(mounted.path("INBOX", "1.eml"))
    assert get(mounted.path("INBOX"), "pending") == b"1"


def test_profile_and_subscription(mounted):
    """R006"""
    box = mounted.path("INBOX")
    assert get(box, "sync") == b"default"
    os.setxattr(box, "user.imap.sync", b"headers")
    assert get(box, "sync") == b"headers"
    assert errno_of(os.setxattr, box, "user.imap.sync", b"nonsense") == errno.EINVAL
    os.setxattr(box, "user.imap.subscribed", b"1")
    assert get(box, "subscribed") == b"1"
    assert errno_of(os.setxattr, box, "user.imap.uidnext", b"4") == errno.EPERM


def test_only_what_a_copy_should_carry_is_listed(mounted):
    assert os.listxattr(mounted.path("INBOX", "1.eml")) == ["user.imap.flags"]
    assert os.listxattr(mounted.path("INBOX")) == []
    assert os.listxattr(mounted.point) == []


def test_writing_flags(mounted):
    """R069, R071"""
    path = mounted.path("INBOX", "9.eml")
    os.setxattr(path, "user.imap.flags", b"+Flagged -Seen")
    assert set(get(path, "flags").split()) == {b"Flagged", b"$Work"}
    os.setxattr(path, "user.imap.flags", b"Answered seen\n")
    assert set(get(path, "flags").split()) == {b"Answered", b"Seen"}
    assert {op[0] for op in mounted.ops()} == {FLAGS_OP}
    os.setxattr(path, "user.imap.flags", b"Seen $Work")
    assert mounted.ops() == [], "back to what the server has: nothing to send"
    os.setxattr(path, "user.imap.flags", b"")
    assert get(path, "flags") == b""
    for bad in (b"+Seen Flagged", b"a(b", b"+", b"Recent"):
        assert errno_of(os.setxattr, path, "user.imap.flags", bad) == errno.EINVAL
    assert errno_of(os.setxattr, path, "user.imap.uid", b"1") == errno.EPERM


def test_one_flag(mounted):
    path = mounted.path("INBOX", "9.eml")
    flag = "user.imap.flag."
    assert os.getxattr(path, flag + "Seen") == b""
    assert os.getxattr(path, flag + "seen") == b""
    assert errno_of(os.getxattr, path, flag + "Flagged") == errno.ENODATA
    os.setxattr(path, flag + "Flagged", b"1")
    assert os.getxattr(path, flag + "Flagged") == b""
    os.removexattr(path, flag + "Seen")
    assert set(get(path, "flags").split()) == {b"Flagged", b"$Work"}
    assert errno_of(os.removexattr, path, flag + "Seen") == errno.ENODATA
    assert errno_of(os.setxattr, path, flag + "Flagged", b"", os.XATTR_CREATE) == errno.EEXIST
    assert errno_of(os.setxattr, path, flag + "Draft", b"", os.XATTR_REPLACE) == errno.ENODATA
    assert errno_of(os.setxattr, path, flag + "a b", b"") == errno.EINVAL


def test_size_probing(mounted):
    libc = ctypes.CDLL(None, use_errno=True)
    path = os.fsencode(mounted.path("INBOX", "9.eml"))
    buf = ctypes.create_string_buffer(100)
    value = get(path.decode(), "flags")
    assert libc.getxattr(path, b"user.imap.flags", None, 0) == len(value)
    assert libc.getxattr(path, b"user.imap.flags", buf, 3) == -1
    assert ctypes.get_errno() == errno.ERANGE
    assert libc.getxattr(path, b"user.imap.flags", buf, len(value)) == len(value)
    assert libc.listxattr(path, None, 0) == len("user.imap.flags") + 1
    assert libc.listxattr(path, buf, 4) == -1
    assert ctypes.get_errno() == errno.ERANGE


def test_what_was_measured_is_not_old(mounted):
    """Between the two requests for one value it may change, by this mount and by another client."""
    libc = ctypes.CDLL(None, use_errno=True)
    path = mounted.path("INBOX", "9.eml")
    other = mounted.path("INBOX", "1.eml")
    buf = ctypes.create_string_buffer(100)

    def both(between):
        value = get(path, "flags")
        assert libc.getxattr(os.fsencode(path), b"user.imap.flags", None, 0) == len(value)
        between()
        n = libc.getxattr(os.fsencode(path), b"user.imap.flags", buf, 100)
        return buf.raw[:n], value

    now, before = both(lambda: None)
    assert now == before
    now, before = both(lambda: os.setxattr(path, "user.imap.flags", b"Seen"))
    assert (now, before != now) == (b"Seen", True)
    assert both(lambda: get(other, "flags"))[0] == b"Seen"
    assert libc.getxattr(os.fsencode(path), b"user.imap.flags", None, 0) == 4
    assert libc.getxattr(os.fsencode(path), b"user.imap.uid", buf, 100) == 1
    assert buf.raw[:1] == b"9"
    mounted.run("flags", "INBOX", "1", "\\Answered")
    until(lambda: libc.getxattr(os.fsencode(other), b"user.imap.flags", None, 0) == 8
          and libc.getxattr(os.fsencode(other), b"user.imap.flags", buf, 100) == 8)
    assert buf.raw[:8] == b"Answered"


def test_names_outside_user(mounted):
    path = mounted.path("INBOX", "1.eml")
    for name in ("security.capability", "trusted.x", "system.posix_acl_access"):
        assert errno_of(os.getxattr, path, name) == errno.EOPNOTSUPP
    assert errno_of(os.setxattr, path, "trusted.x", b"") == errno.EOPNOTSUPP
    assert errno_of(os.setxattr, path, "user.other", b"") == errno.EOPNOTSUPP
    assert errno_of(os.getxattr, path, "user.other") == errno.ENODATA
    assert errno_of(os.removexattr, path, "user.other") == errno.ENODATA


def test_copying_carries_flags(mounted):
    """R060"""
    done = subprocess.run(["cp", "-a", mounted.path("INBOX", "1.eml"), mounted.path("Sent", "c.eml")],
                          timeout=20)
    assert done.returncode == 0
    assert get(mounted.path("Sent", "c.eml"), "flags") == b"Seen"
