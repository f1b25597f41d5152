# SPDX-License-Identifier: MIT
"""Where a case of the POSIX suite works, and calls that Python does not have."""

import contextlib
import ctypes
import errno
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
MAIL = b"From: a@example.org\r\nSubject: a draft\r\nMessage-ID: <%d@example.org>\r\n\r\ntext\r\n"


def mail(number=1, more=b""):
    return MAIL % number + more


class Place:
    """Where a case works, and how much it asserted."""

    def __init__(self, directory, other, messages, mailbox):
        self.dir, self.other, self.messages, self.mailbox = directory, other, messages, mailbox
        self.local = "Local.tmp" in directory
        self.count = 0

    def at(self, *names):
        return os.path.join(self.dir, *names)

    def same(self, got, wanted, what=""):
        self.count += 1
        assert got == wanted, f"{what}: {got!r}, not {wanted!r}"

    def true(self, value, what=""):
        self.count += 1
        assert value, what

    def fails(self, number, call, *args, **named):
        """One errno, or one of several."""
        numbers = number if isinstance(number, tuple) else (number,)
        self.count += 1
        try:
            got = call(*args, **named)
        except OSError as e:
            assert e.errno in numbers, \
                f"{call.__name__}{args}: {errno.errorcode[e.errno]}, not {errno.errorcode[numbers[0]]}"
        else:
            assert False, f"{call.__name__}{args} gave {got!r}, not {errno.errorcode[numbers[0]]}"

    def holds(self, path, data):
        with open(path, "rb") as f:
            self.same(f.read(), data, path)
        self.same(os.stat(path).st_size, len(data), f"size of {path}")

    def put(self, name, data=b""):
        path = self.at(name)
        with open(path, "wb") as f:
            f.write(data)
        return path


@contextlib.contextmanager
def opened(path, flags=os.O_RDONLY, mode=0o666):
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def libc(name, *args):
    if getattr(LIBC, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def renameat2(old, new, flags):
    libc("renameat2", AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)


def utimensat(path, atime, mtime, flags=0):
    times = struct.pack("qqqq", *atime, *mtime)
    libc("utimensat", AT_FDCWD, os.fsencode(path), times, flags)


def scratch(name):
    return name.endswith((".tmp", "~")) or name.startswith(".#")
