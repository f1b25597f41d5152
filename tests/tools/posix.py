# SPDX-License-Identifier: MIT
"""What POSIX and Linux promise of files and directories, asked of a directory in the mount.

Each case gets an empty directory of its own (`Place.dir`) and counts what it asserted.  Places are
mailboxes and local directories; `messages` holds files that are messages the server has.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
import stat
import subprocess
import threading
import time

from .posix_names import (directories, hard_links, many_unlinked, name_limits, rename_across,
                          rename_directories, rename_files, rename_flags, rename_while_open,
                          symlinks, unlink_while_open, unlinking)
from .posix_place import (EXCHANGE, LIBC, NOREPLACE, UTIME_NOW, UTIME_OMIT, mail, opened, renameat2,
                          utimensat)


# ---- open, read, write ----

def open_and_create(p):
    path = p.at("new.eml")
    p.fails(errno.ENOENT, os.open, path, os.O_RDONLY)
    p.fails(errno.ENOENT, os.open, p.at("none", "new.eml"), os.O_CREAT | os.O_WRONLY)
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600) as fd:
        st = os.fstat(fd)
        p.true(stat.S_ISREG(st.st_mode))
        p.same((st.st_mode & 0o777, st.st_size, st.st_nlink), (0o600, 0, 1))
        p.same((st.st_uid, st.st_gid), (os.getuid(), os.getgid()))
        p.same(os.read(fd, 10), b"")
        p.same(os.write(fd, b"abc"), 3)
        p.same(os.fstat(fd).st_size, 3)
        p.same(os.pread(fd, 10, 0), b"abc")
        p.same(os.stat(path).st_ino, st.st_ino)
    p.fails(errno.EEXIST, os.open, path, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    p.fails(errno.ENOTDIR, os.open, path, os.O_RDONLY | os.O_DIRECTORY)
    p.fails(errno.ENOTDIR, os.open, path + "/x", os.O_RDONLY)
    p.fails((errno.ENOTDIR, errno.EISDIR), os.open, path + "/", os.O_RDONLY)
    p.fails(errno.EISDIR, os.open, p.dir, os.O_WRONLY)
    p.fails(errno.EISDIR, os.open, p.dir, os.O_RDWR | os.O_CREAT)
    p.holds(path, b"abc")
    with opened(path, os.O_RDONLY) as fd:
        p.fails(errno.EBADF, os.write, fd, b"x")
    with opened(path, os.O_WRONLY) as fd:
        p.fails(errno.EBADF, os.read, fd, 1)
    with opened(path, os.O_WRONLY | os.O_TRUNC) as fd:
        p.same(os.fstat(fd).st_size, 0)
    p.holds(path, b"")
    with opened(path, os.O_PATH) as fd:
        p.fails(errno.EBADF, os.read, fd, 1)
        p.same(os.fstat(fd).st_size, 0)
    p.fails((errno.EOPNOTSUPP, errno.ENOENT), os.open, p.dir, os.O_TMPFILE | os.O_RDWR)


def append(p):
    path = p.put("a.eml", b"one ")
    with opened(path, os.O_WRONLY | os.O_APPEND) as a, opened(path, os.O_WRONLY | os.O_APPEND) as b:
        for fd, word in ((a, b"two "), (b, b"three "), (a, b"four ")):
            p.same(os.write(fd, word), len(word))
    p.holds(path, b"one two three four ")
    with opened(path, os.O_RDWR | os.O_APPEND) as fd:
        p.same(os.lseek(fd, 0, os.SEEK_CUR), 0)
        os.write(fd, b"five")
        p.same(os.lseek(fd, 0, os.SEEK_CUR), 23)
    with open(path, "ab") as f:
        f.write(b"!")
    p.holds(path, b"one two three four five!")
    subprocess.run(["sh", "-c", 'echo six >>"$1"', "sh", path], check=True)
    p.holds(path, b"one two three four five!six\n")


def positions(p):
    path = p.put("pos.eml", b"0123456789")
    with opened(path, os.O_RDWR) as fd:
        p.same(os.lseek(fd, 0, os.SEEK_END), 10)
        p.same(os.lseek(fd, -3, os.SEEK_CUR), 7)
        p.same(os.read(fd, 10), b"789")
        p.same(os.read(fd, 10), b"")
        p.fails(errno.EINVAL, os.lseek, fd, -1, os.SEEK_SET)
        p.same(os.lseek(fd, 100, os.SEEK_SET), 100)
        p.same(os.read(fd, 10), b"")
        p.same(os.fstat(fd).st_size, 10)
        p.same(os.pwrite(fd, b"X", 20), 1)
        p.same(os.pread(fd, 30, 0), b"0123456789" + bytes(10) + b"X")
        p.same(os.pread(fd, 5, 18), bytes(2) + b"X")
        p.same(os.writev(fd, [b"ab", b"", b"cd"]), 4)
        p.same(os.fstat(fd).st_size, 104)
        p.same(os.pread(fd, 4, 100), b"abcd")
        os.lseek(fd, 0, os.SEEK_SET)
        first, second = bytearray(3), bytearray(4)
        p.same(os.readv(fd, [first, second]), 7)
        p.same(bytes(first + second), b"0123456")
        p.same(os.lseek(fd, 0, os.SEEK_DATA), 0)
        p.same(os.lseek(fd, 0, os.SEEK_HOLE) <= 104, True)
        p.fails(errno.ENXIO, os.lseek, fd, 104, os.SEEK_DATA)
        twin = os.dup(fd)
        os.lseek(fd, 5, os.SEEK_SET)
        p.same(os.read(twin, 1), b"5")
        os.close(twin)
    p.same(os.stat(path).st_size, 104)


def truncating(p):
    path = p.put("t.eml", b"0123456789")
    for size in (10, 4, 4, 0, 7, 4097, 3):
        os.truncate(path, size)
        p.same(os.stat(path).st_size, size)
    p.holds(path, bytes(3))
    with opened(path, os.O_RDWR) as fd:
        os.pwrite(fd, b"abcdefgh", 0)
        os.ftruncate(fd, 5)
        p.same(os.pread(fd, 100, 0), b"abcde")
        os.ftruncate(fd, 8)
        p.same(os.pread(fd, 100, 0), b"abcde\0\0\0")
        p.fails(errno.EINVAL, os.ftruncate, fd, -1)
    with opened(path, os.O_RDONLY) as fd:
        p.fails((errno.EINVAL, errno.EBADF), os.ftruncate, fd, 0)
    p.fails(errno.EINVAL, os.truncate, path, -1)
    p.fails(errno.ENOENT, os.truncate, p.at("none.eml"), 0)
    p.fails(errno.EISDIR, os.truncate, p.dir, 0)
    p.fails(errno.ENOTDIR, os.truncate, path + "/x", 0)
    p.holds(path, b"abcde\0\0\0")


def too_big(p):
    """No message is longer than 32 bits can say."""
    path = p.put("big.eml", b"small")
    p.fails(errno.EFBIG, os.truncate, path, 1 << 32)
    with opened(path, os.O_RDWR) as fd:
        p.fails(errno.EFBIG, os.pwrite, fd, b"x", 1 << 32)
        p.fails(errno.EFBIG, os.ftruncate, fd, 1 << 40)
        p.fails(errno.EFBIG, os.pwrite, fd, b"xx", (1 << 32) - 1)
    p.holds(path, b"small")


def allocate(p):
    path = p.put("f.eml", b"12345")
    with opened(path, os.O_RDWR) as fd:
        os.posix_fallocate(fd, 0, 10)
        p.same(os.fstat(fd).st_size, 10)
        p.same(os.pread(fd, 20, 0), b"12345" + bytes(5))
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        p.same(os.pread(fd, 20, 0), b"12345" + bytes(5))


def mapping(p):
    path = p.put("m.eml", b"a" * 10000)
    with opened(path, os.O_RDWR) as fd:
        with mmap.mmap(fd, 10000) as m:
            p.same(m[9990:], b"a" * 10)
            m[0:5] = b"hello"
            m[5000:5003] = b"MID"
            m.flush()
            p.same(os.pread(fd, 6, 0), b"helloa")
            p.same(os.pread(fd, 5, 4999), b"aMIDa")
            os.pwrite(fd, b"WRITE", 100)
            p.same(m[100:105], b"WRITE")
        with mmap.mmap(fd, 10000, flags=mmap.MAP_PRIVATE) as m:
            m[0:5] = b"xxxxx"
            p.same(os.pread(fd, 5, 0), b"hello")
    with opened(path) as fd, mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
        p.same(len(m), 10000)
        p.same(m[:5] + m[100:105], b"helloWRITE")
    p.same(os.stat(path).st_size, 10000)


def big_pieces(p):
    """Across pages, blocks and requests."""
    path = p.at("p.eml")
    data = bytearray(os.urandom(300_000))
    with opened(path, os.O_CREAT | os.O_RDWR) as fd:
        p.same(os.write(fd, data), len(data))
        for at, n in ((0, 1), (4095, 2), (4096, 4096), (131071, 3), (131072, 131072), (299_999, 1)):
            piece = os.urandom(n)
            data[at:at + n] = piece
            p.same(os.pwrite(fd, piece, at), n)
            p.same(os.pread(fd, n, at), piece)
        p.same(os.pread(fd, 400_000, 0), bytes(data[:]))
    p.holds(path, bytes(data))


def syncing(p):
    path = p.put("s.eml", mail())
    with opened(path, os.O_RDWR) as fd:
        os.fsync(fd)
        os.fdatasync(fd)
        p.true(True)
    with opened(p.dir, os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.fsync(fd)
        p.true(True)
    with opened(path, os.O_RDWR | os.O_SYNC) as fd:
        p.same(os.pwrite(fd, b"F", 0), 1)
    with opened(path, os.O_RDWR | os.O_DSYNC | os.O_APPEND) as fd:
        p.same(os.write(fd, b"more\r\n"), 6)
    p.holds(path, mail() + b"more\r\n")


def locks(p):
    path = p.put("l.eml", b"locked")
    with opened(path, os.O_RDWR) as a, opened(path, os.O_RDWR) as b:
        fcntl.flock(a, fcntl.LOCK_EX)
        p.fails(errno.EWOULDBLOCK, fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(a, fcntl.LOCK_UN)
        fcntl.flock(b, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(a, fcntl.LOCK_SH | fcntl.LOCK_NB)
        p.true(True)
    with opened(path, os.O_RDWR) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 3)
        code = ("import fcntl,os,sys\nfd=os.open(sys.argv[1],os.O_RDWR)\n"
                "try: fcntl.lockf(fd,fcntl.LOCK_EX|fcntl.LOCK_NB,1)\n"
                "except OSError: sys.exit(7)\n")
        p.same(subprocess.run(["/usr/bin/python3", "-c", code, path]).returncode, 7)
        fcntl.lockf(fd, fcntl.LOCK_UN)
        p.same(subprocess.run(["/usr/bin/python3", "-c", code, path]).returncode, 0)


def no_special_files(p):
    p.fails(errno.EPERM, os.mkfifo, p.at("fifo"))
    p.fails(errno.EPERM, os.mknod, p.at("null"), 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as s, opened(p.dir, os.O_RDONLY) as fd:
        p.fails(errno.EPERM, s.bind, f"/proc/self/fd/{fd}/sock")
    os.mknod(p.at("plain.eml"), 0o640 | stat.S_IFREG)
    p.same(os.stat(p.at("plain.eml")).st_size, 0)
    p.fails(errno.EEXIST, os.mknod, p.at("plain.eml"), 0o600 | stat.S_IFREG)
    p.same(sorted(os.listdir(p.dir)), ["plain.eml"])


# ---- attributes ----

def times(p):
    path = p.put("t.eml", b"T")
    os.utime(path, (1_000_000_000, 1_100_000_000))
    p.same(int(os.stat(path).st_mtime), 1_100_000_000)
    utimensat(path, (0, UTIME_OMIT), (1_200_000_000, 123_456_789))
    p.same(os.stat(path).st_mtime_ns, 1_200_000_000_123_456_789)
    utimensat(path, (5, 0), (0, UTIME_OMIT))
    p.same(os.stat(path).st_mtime_ns, 1_200_000_000_123_456_789)
    before = time.time()
    utimensat(path, (0, UTIME_OMIT), (0, UTIME_NOW))
    p.true(before - 5 < os.stat(path).st_mtime < before + 60)
    utimensat(path, (0, 0), (-1000, 500))
    p.same(os.stat(path).st_mtime_ns, -1000 * 10**9 + 500)
    utimensat(path, (0, 0), (1 << 33, 7))
    p.same(os.stat(path).st_mtime_ns, (1 << 33) * 10**9 + 7)
    p.fails(errno.EINVAL, utimensat, path, (0, 0), (1, 1_000_000_000))
    p.fails(errno.ENOENT, utimensat, p.at("none"), (0, 0), (1, 1))
    change = os.stat(path).st_ctime_ns
    with opened(path, os.O_WRONLY) as fd:
        os.write(fd, b"now")
        p.true(os.fstat(fd).st_mtime > before - 5)
        os.utime(fd, (77, 78))
        p.same(os.fstat(fd).st_mtime, 78)
    p.same(os.stat(path).st_mtime, 78)
    p.true(os.stat(path).st_ctime_ns > change)
    os.symlink("gone", p.at(".#l"))
    os.utime(p.at(".#l"), (3, 4), follow_symlinks=False)
    p.same(os.lstat(p.at(".#l")).st_mtime, 4)


def directory_times(p):
    def moved(call):
        before = os.stat(p.dir)
        call()
        after = os.stat(p.dir)
        p.true(after.st_mtime_ns > before.st_mtime_ns, "mtime moves")
        p.true(after.st_ctime_ns > before.st_ctime_ns, "ctime moves")
    moved(lambda: p.put("a.eml", b"A"))
    moved(lambda: os.rename(p.at("a.eml"), p.at("b.eml")))
    moved(lambda: os.mkdir(p.at(".#d.tmp")))
    moved(lambda: os.rmdir(p.at(".#d.tmp")))
    moved(lambda: os.symlink("x", p.at(".#s")))
    moved(lambda: os.unlink(p.at("b.eml")))
    before = os.stat(p.dir).st_mtime_ns
    os.listdir(p.dir)
    os.lstat(p.at(".#s"))
    p.same(os.stat(p.dir).st_mtime_ns, before)


def modes(p):
    path = p.put("m.eml", b"M")
    for mode in (0o600, 0o400, 0o700, 0o600):
        os.chmod(path, mode)
        p.same(os.stat(path).st_mode & 0o7777, mode)
        p.same(os.access(path, os.X_OK), mode == 0o700)
    change = os.stat(path).st_ctime_ns
    os.chmod(path, 0o400)
    p.true(os.stat(path).st_ctime_ns > change)
    with opened(path, os.O_RDONLY) as fd:
        os.fchmod(fd, 0o600)
        p.same(os.fstat(fd).st_mode & 0o777, 0o600)
    os.chown(path, os.getuid(), os.getgid())
    os.chown(path, -1, -1)
    p.same(os.stat(path).st_uid, os.getuid())
    p.fails(errno.EPERM, os.chown, path, os.getuid() + 1, -1)
    p.fails(errno.ENOENT, os.chmod, p.at("none"), 0o600)
    p.true(os.access(path, os.R_OK | os.W_OK))
    p.true(not os.access(p.at("none"), os.F_OK))
    os.chmod(p.dir, os.stat(p.dir).st_mode & 0o7777)
    p.same(os.stat(p.dir).st_mode & 0o700, 0o700)
    p.holds(path, b"M")


def attributes_of_files(p):
    path = p.put("x.eml", mail())
    p.same(os.listxattr(path), [])
    p.fails(errno.ENODATA, os.getxattr, path, "user.none")
    p.fails(errno.EOPNOTSUPP, os.setxattr, path, "user.none", b"x")
    for name in ("trusted.x", "system.x", "os.x"):
        p.fails(errno.EOPNOTSUPP, os.getxattr, path, name)
        p.fails((errno.EOPNOTSUPP, errno.EPERM), os.setxattr, path, name, b"x")
    p.fails((errno.ENODATA, errno.EOPNOTSUPP), os.getxattr, path, "security.capability")
    p.fails(errno.ENODATA, os.removexattr, path, "user.none")
    p.same(os.getxattr(path, "user.imap.flags"), b"")
    os.setxattr(path, "user.imap.flags", b"Seen $Work")
    p.same(os.listxattr(path), ["user.imap.flags"])
    p.same(set(os.getxattr(path, "user.imap.flags").split()), {b"Seen", b"$Work"})
    p.same(os.getxattr(path, "user.imap.flag.Seen"), b"")
    p.fails(errno.ENODATA, os.getxattr, path, "user.imap.flag.Flagged")
    os.setxattr(path, "user.imap.flags", b"+Flagged -Seen")
    p.same(set(os.getxattr(path, "user.imap.flags").split()), {b"Flagged", b"$Work"})
    os.setxattr(path, "user.imap.flag.Draft", b"")
    p.fails(errno.EEXIST, os.setxattr, path, "user.imap.flag.Draft", b"", os.XATTR_CREATE)
    p.fails(errno.ENODATA, os.setxattr, path, "user.imap.flag.Seen", b"", os.XATTR_REPLACE)
    os.removexattr(path, "user.imap.flag.Draft")
    p.fails(errno.ENODATA, os.removexattr, path, "user.imap.flag.Draft")
    os.removexattr(path, "user.imap.flags")
    p.same(os.getxattr(path, "user.imap.flags"), b"")
    p.fails(errno.EINVAL, os.setxattr, path, "user.imap.flags", b"bad(flag")
    p.fails(errno.EPERM, os.setxattr, path, "user.imap.uid", b"7")
    p.fails((errno.EPERM, errno.ENODATA), os.removexattr, path, "user.imap.uid")
    p.fails(errno.ENODATA, os.getxattr, path, "user.imap.uid")


# ---- listing ----

class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_ushort),
                ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]


class Stream:
    """opendir(3) with its positions."""

    def __init__(self, path):
        for name in ("opendir", "readdir"):
            getattr(LIBC, name).restype = ctypes.c_void_p
        LIBC.telldir.restype = ctypes.c_long
        self.d = ctypes.c_void_p(LIBC.opendir(os.fsencode(path)))
        assert self.d

    def read(self):
        entry = LIBC.readdir(self.d)
        return os.fsdecode(ctypes.cast(entry, ctypes.POINTER(Dirent)).contents.name) if entry else None

    def rest(self):
        return list(iter(self.read, None))

    def tell(self):
        return LIBC.telldir(self.d)

    def seek(self, position):
        LIBC.seekdir(self.d, ctypes.c_long(position))

    def rewind(self):
        LIBC.rewinddir(self.d)

    def close(self):
        LIBC.closedir(self.d)


def listing(p):
    names = sorted(f"f{n}.eml" for n in range(300))
    for name in names:
        p.put(name)
    stream = Stream(p.dir)
    seen = stream.rest()
    p.same(sorted(seen), sorted([".", ".."] + names))
    p.same(stream.read(), None)
    stream.rewind()
    p.same(stream.rest(), seen)
    stream.rewind()
    for _ in range(100):
        stream.read()
    middle = stream.tell()
    following = stream.rest()
    p.same(following, seen[100:])
    stream.seek(middle)
    p.same(stream.rest(), following)
    stream.rewind()
    for at in (0, 1, 2, 3, 57, 150, 301):
        stream.rewind()
        for _ in range(at):
            stream.read()
        position = stream.tell()
        wanted = stream.read()
        stream.rest()
        stream.seek(position)
        p.same(stream.read(), wanted, f"entry {at}")
    stream.close()
    with os.scandir(p.dir) as entries:
        for entry in list(entries)[:20]:
            p.true(entry.is_file(follow_symlinks=False))
            p.same(entry.inode(), os.stat(entry.path).st_ino)


def listing_changes(p):
    """Names that stay come once, whatever comes and goes meanwhile."""
    stay = {f"stay{n}.eml" for n in range(400)}
    for n in range(400):
        p.put(f"stay{n}.eml")
        p.put(f"go{n}.eml")
    stream = Stream(p.dir)
    seen = []
    for n in range(400):
        seen += [stream.read(), stream.read()]
        os.unlink(p.at(f"go{n}.eml"))
        if n % 4 == 0:
            p.put(f"come{n}.eml")
    seen += stream.rest()
    stream.close()
    p.same(sorted(name for name in seen if name in stay), sorted(stay))
    p.same(len(set(seen)), len(seen), "no name twice")
    p.same({n for n in os.listdir(p.dir) if n.startswith("stay")}, stay)
    p.same(len(os.listdir(p.dir)), 500)
    stop = threading.Event()

    def churn():
        n = 0
        while not stop.is_set():
            path = p.put(f"churn{n % 7}.eml")
            os.rename(path, p.at("churned.eml"))
            os.unlink(p.at("churned.eml"))
            n += 1
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(10):
            p.true(stay <= set(os.listdir(p.dir)))
    finally:
        stop.set()
        thread.join()


def remove_while_listing(p):
    """As rm -r does, and with a stream that was open before."""
    for n in range(500):
        p.put(f"r{n}.eml")
    with os.scandir(p.dir) as entries:
        for entry in entries:
            os.unlink(entry.path)
    p.same(os.listdir(p.dir), [])


# ---- several at once ----

def two_writers(p):
    path = p.put("w.eml", bytes(4096 * 8))

    def write(which):
        with opened(path, os.O_RDWR) as fd:
            for block in range(which, 8, 2):
                os.pwrite(fd, bytes([65 + which]) * 4096, block * 4096)
    threads = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    p.holds(path, b"".join(bytes([65 + n % 2]) * 4096 for n in range(8)))


def exclusive_create(p):
    """Of many that create one name exactly one succeeds."""
    wins = []

    def create():
        with contextlib.suppress(FileExistsError):
            os.close(os.open(p.at("one.eml"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            wins.append(1)
    threads = [threading.Thread(target=create) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    p.same(len(wins), 1)
    p.same(os.listdir(p.dir), ["one.eml"])


def killed_writer(p):
    """What a writer had written before it was killed is there."""
    path = p.at("k.eml")
    code = ("import os,sys,time\nfd=os.open(sys.argv[1],os.O_CREAT|os.O_WRONLY)\n"
            "os.write(fd,b'part')\nprint('x',flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen(["/usr/bin/python3", "-c", code, path], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        p.same(child.wait(10), -signal.SIGKILL)
    p.holds(path, b"part")


CASES = (open_and_create, append, positions, truncating, too_big, allocate, mapping, big_pieces,
         syncing, locks, no_special_files, rename_files, rename_flags, rename_across,
         rename_while_open, rename_directories, unlinking, unlink_while_open, many_unlinked,
         directories, symlinks, hard_links, name_limits, times, directory_times, modes,
         attributes_of_files, listing, listing_changes, remove_while_listing, two_writers,
         exclusive_create, killed_writer)


# ---- messages that the server has ----

def message_attributes(p):
    path = p.messages[0]
    st = os.stat(path)
    os.utime(path, (st.st_mtime, st.st_mtime))
    p.same(os.stat(path).st_mtime_ns, st.st_mtime_ns)
    p.fails(errno.EPERM, os.utime, path, (1, 1))
    os.chmod(path, st.st_mode & 0o7777)
    os.chown(path, st.st_uid, st.st_gid)
    os.chmod(path, 0o644)  # what the mount's umask takes away is no error: tar and rsync ask for it
    p.same(os.stat(path).st_mode & 0o777, 0o600)
    p.true(os.access(path, os.R_OK | os.W_OK) and not os.access(path, os.X_OK))
    p.fails(errno.EPERM, os.chown, path, st.st_uid + 1, -1)
    p.same(os.stat(path), os.stat(path))
    p.same(os.listxattr(path), ["user.imap.flags"])
    for name in ("uid", "internaldate", "size", "message-id", "body", "pending"):
        p.true(os.getxattr(path, "user.imap." + name), name)
        p.fails(errno.EPERM, os.setxattr, path, "user.imap." + name, b"1")
    p.fails(errno.ERANGE, lambda: libc_getxattr(path, "user.imap.message-id", 1))
    p.same(len(open(path, "rb").read()), st.st_size)


def libc_getxattr(path, name, size):
    buffer = ctypes.create_string_buffer(size)
    if LIBC.getxattr(os.fsencode(path), name.encode(), buffer, size) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw


def message_names(p):
    path = p.messages[1]
    with open(path, "rb") as f:
        data = f.read()
    ino = os.stat(path).st_ino
    renamed = os.path.join(os.path.dirname(path), "called by me.eml")
    os.rename(path, renamed)
    p.holds(renamed, data)
    p.same(os.stat(renamed).st_ino, ino)
    p.fails(errno.EEXIST, renameat2, renamed, p.messages[2], NOREPLACE)
    p.fails(errno.EINVAL, renameat2, renamed, p.messages[2], EXCHANGE)
    os.rename(renamed, path)
    p.holds(path, data)


def message_unlinked_open(p):
    """Deleted while it is read: the reader has it all."""
    path = p.messages[3]
    with open(path, "rb") as f:
        data = f.read()
    with opened(path) as fd:
        os.unlink(path)
        p.fails(errno.ENOENT, os.stat, path)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        p.same(os.pread(fd, len(data) + 1, 0), data)


def mailbox_directories(p):
    box = p.mailbox
    p.fails((errno.ENOTEMPTY, errno.EPERM, errno.EACCES), os.rmdir, box)
    p.fails(errno.EPERM, os.setxattr, box, "user.imap.messages", b"1")
    p.true(int(os.getxattr(box, "user.imap.messages")) >= len(p.messages))
    p.same(os.listxattr(box), [])
    p.fails(errno.EXDEV, os.rename, p.messages[0], os.path.join(p.dir, "x.eml"))
    p.fails((errno.EPERM, errno.EXDEV), os.rename, box, os.path.join(p.dir, "box"))
    root = os.path.dirname(box)
    p.fails(errno.EEXIST, os.mkdir, os.path.join(root, ".imapfs"))
    p.fails((errno.EPERM, errno.EACCES), os.rmdir, os.path.join(root, ".imapfs"))
    p.fails((errno.EPERM, errno.EACCES), os.unlink, os.path.join(root, ".imapfs", "status"))
    p.fails((errno.EPERM, errno.EACCES), os.rename, os.path.join(root, ".imapfs"), os.path.join(root, "x"))


MESSAGE_CASES = (message_attributes, message_names, message_unlinked_open, mailbox_directories)
