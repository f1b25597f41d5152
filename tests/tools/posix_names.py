# SPDX-License-Identifier: MIT
"""The POSIX suite: files and directories by name."""

import errno
import os
import stat

from .posix_place import EXCHANGE, NOREPLACE, opened, renameat2, WHITEOUT


def rename_files(p):
    a = p.put("a.eml", b"A")
    ino = os.stat(a).st_ino
    b = p.at("b.eml")
    os.rename(a, b)
    p.fails(errno.ENOENT, os.stat, a)
    p.holds(b, b"A")
    p.same(os.stat(b).st_ino, ino)
    a = p.put("a.eml", b"other")
    os.rename(b, a)
    p.holds(a, b"A")
    p.same(os.stat(a).st_ino, ino)
    p.same(os.listdir(p.dir), ["a.eml"])
    os.rename(a, a)
    p.holds(a, b"A")
    p.fails(errno.ENOENT, os.rename, b, a)
    p.fails(errno.ENOENT, os.rename, a, p.at("none", "a.eml"))
    p.fails(errno.ENOTDIR, os.rename, a, a + "/x")
    p.fails(errno.ENOENT, os.rename, a, "")
    p.holds(a, b"A")


def rename_flags(p):
    a, b = p.put("a.eml", b"A"), p.put("b.eml", b"B")
    p.fails(errno.EEXIST, renameat2, a, b, NOREPLACE)
    p.fails(errno.EINVAL, renameat2, a, b, EXCHANGE)
    p.fails(errno.EINVAL, renameat2, a, b, EXCHANGE | NOREPLACE)
    p.fails(errno.EINVAL, renameat2, a, b, 1 << 7)
    p.fails((errno.EINVAL, errno.EPERM), renameat2, a, b, WHITEOUT)
    p.holds(a, b"A")
    p.holds(b, b"B")
    renameat2(a, p.at("c.eml"), NOREPLACE)
    p.holds(p.at("c.eml"), b"A")
    p.fails(errno.ENOENT, renameat2, a, p.at("d.eml"), NOREPLACE)
    p.same(sorted(os.listdir(p.dir)), ["b.eml", "c.eml"])


def rename_across(p):
    a = p.put("a.eml", b"A")
    other = os.path.join(p.other, "moved.eml")
    ino = os.stat(a).st_ino
    os.rename(a, other)
    p.holds(other, b"A")
    p.same(os.stat(other).st_ino, ino)
    p.fails(errno.ENOENT, os.stat, a)
    b = p.put("b.eml", b"B")
    os.rename(b, other)
    p.holds(other, b"B")
    os.rename(other, p.at("back.eml"))
    p.holds(p.at("back.eml"), b"B")
    p.same(os.listdir(p.dir), ["back.eml"])


def rename_while_open(p):
    a = p.put("a.eml", b"A" * 10)
    with opened(a, os.O_RDWR) as fd:
        os.rename(a, p.at("b.eml"))
        p.same(os.write(fd, b"BB"), 2)
        p.same(os.pread(fd, 10, 0), b"BB" + b"A" * 8)
    p.holds(p.at("b.eml"), b"BB" + b"A" * 8)
    c = p.put("c.eml", b"C")
    with opened(p.at("b.eml"), os.O_RDWR) as fd:
        os.rename(c, p.at("b.eml"))
        p.same(os.pread(fd, 10, 0), b"BB" + b"A" * 8)
        p.same(os.pwrite(fd, b"late", 0), 4)
        p.same(os.pread(fd, 4, 0), b"late")
        p.same(os.fstat(fd).st_nlink, 0)
    p.holds(p.at("b.eml"), b"C")


def rename_directories(p):
    os.makedirs(p.at("d1", "sub"))
    inner = os.path.join(p.at("d1", "sub"), "in.eml")
    with open(inner, "wb") as f:
        f.write(b"inner")
    os.mkdir(p.at("d2"))
    file = p.put("file.eml", b"F")
    p.fails(errno.EINVAL, os.rename, p.at("d1"), p.at("d1", "sub", "d1"))
    p.fails(errno.EINVAL, os.rename, p.at("d1"), p.at("d1", "x"))
    p.fails(errno.EISDIR, os.rename, file, p.at("d2"))
    p.fails(errno.ENOTDIR, os.rename, p.at("d2"), file)
    p.fails((errno.ENOTEMPTY, errno.EEXIST), os.rename, p.at("d2"), p.at("d1"))
    p.fails(errno.EEXIST, renameat2, p.at("d1"), p.at("d2"), NOREPLACE)
    ino = os.stat(p.at("d1")).st_ino
    os.rename(p.at("d1"), p.at("d3"))
    p.same(os.stat(p.at("d3")).st_ino, ino)
    p.holds(p.at("d3", "sub", "in.eml"), b"inner")
    p.fails(errno.ENOENT, os.stat, p.at("d1"))
    p.fails(errno.ENOENT, os.stat, inner)
    os.rename(p.at("d3"), p.at("d2", "below"))
    p.holds(p.at("d2", "below", "sub", "in.eml"), b"inner")
    p.same(os.stat(p.at("d2")).st_nlink, 3)
    os.rename(p.at("d2", "below", "sub", "in.eml"), p.at("in.eml"))
    os.mkdir(p.at("empty"))
    if p.local:  # over an empty one
        os.rename(p.at("d2", "below", "sub"), p.at("empty"))
        p.same(os.listdir(p.at("d2", "below")), [])
    else:  # a mailbox is not removed on the way: others may have put something into it
        p.fails(errno.EEXIST, os.rename, p.at("d2", "below", "sub"), p.at("empty"))
        os.rmdir(p.at("d2", "below", "sub"))
    for name in ("empty", "d2/below", "d2"):
        os.rmdir(p.at(name))
    p.same(sorted(os.listdir(p.dir)), ["file.eml", "in.eml"])


def unlinking(p):
    a = p.put("a.eml", b"A")
    os.unlink(a)
    p.fails(errno.ENOENT, os.stat, a)
    p.fails(errno.ENOENT, os.unlink, a)
    p.fails(errno.EISDIR, os.unlink, p.dir)
    a = p.put("a.eml", b"new")
    p.fails(errno.ENOTDIR, os.unlink, a + "/x")
    p.fails(errno.ENOTDIR, os.unlink, a + "/")
    p.holds(a, b"new")


def unlink_while_open(p):
    a = p.put("a.eml", b"0123456789")
    with opened(a, os.O_RDWR) as fd:
        os.unlink(a)
        p.same(os.fstat(fd).st_nlink, 0)
        p.same(os.pread(fd, 20, 0), b"0123456789")
        p.same(os.pwrite(fd, b"abc", 8), 3)
        os.ftruncate(fd, 10)
        p.same(os.fstat(fd).st_size, 10)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        p.same(os.pread(fd, 20, 0), b"01234567ab")
        os.fsync(fd)
        os.fchmod(fd, 0o600)
        os.utime(fd, (1, 2))
        p.same(os.fstat(fd).st_mtime, 2)
        b = p.put("a.eml", b"another")
        p.same(os.pread(fd, 20, 0), b"01234567ab")
        p.holds(b, b"another")
        p.true(os.fstat(fd).st_ino != os.stat(b).st_ino)


def many_unlinked(p):
    """An open file keeps its bytes, however many of them there are."""
    fds = []
    for n in range(300):
        fds.append(os.open(p.at(f"u{n}.eml"), os.O_CREAT | os.O_RDWR, 0o600))
        os.write(fds[-1], b"bytes of %d" % n)
    for n in range(300):
        os.unlink(p.at(f"u{n}.eml"))
    p.same(os.listdir(p.dir), [])
    for n, fd in enumerate(fds):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pwrite(fd, b"B", 0)
    p.same([os.pread(fd, 99, 0) for fd in fds], [b"Bytes of %d" % n for n in range(300)])
    for fd in fds:
        os.close(fd)


def directories(p):
    d = p.at("dir")
    os.mkdir(d, 0o700)
    st = os.stat(d)
    p.true(stat.S_ISDIR(st.st_mode))
    p.same((st.st_mode & 0o777, st.st_nlink), (0o700, 2))
    p.fails(errno.EEXIST, os.mkdir, d)
    p.fails(errno.ENOENT, os.mkdir, p.at("none", "dir"))
    p.fails(errno.EEXIST, os.mkdir, p.at("."))
    before = os.stat(p.dir)
    os.mkdir(p.at("dir", "sub"))
    p.same(os.stat(d).st_nlink, 3)
    p.fails((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, d)
    p.fails(errno.EINVAL, os.rmdir, d + "/sub/.")
    p.fails((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, d + "/sub/..")
    os.rmdir(d + "/sub")
    p.same(os.stat(d).st_nlink, 2)
    p.fails(errno.ENOENT, os.rmdir, d + "/sub")
    f = p.put("dir/f.eml", b"F")
    p.fails((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, d)
    p.fails(errno.ENOTDIR, os.rmdir, f)
    p.fails(errno.ENOTDIR, os.mkdir, f + "/d")
    p.fails(errno.EEXIST, os.mkdir, f)
    os.unlink(f)
    os.rmdir(d)
    p.fails(errno.ENOENT, os.stat, d)
    p.same(os.stat(p.dir).st_nlink, before.st_nlink - 1)
    p.same(os.stat(p.at("..")).st_ino, os.stat(os.path.dirname(p.dir)).st_ino)
    os.mkdir(d)
    with opened(d, os.O_RDONLY) as fd:
        os.rmdir(d)
        p.fails(errno.ENOENT, os.listdir, fd)
        p.fails(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)


def symlinks(p):
    target = p.put("t.eml", b"T")
    link = p.at(".#link")
    os.symlink("t.eml", link)
    st = os.lstat(link)
    p.true(stat.S_ISLNK(st.st_mode))
    p.same(st.st_size, 5)
    p.same(os.readlink(link), "t.eml")
    p.same(os.stat(link).st_ino, os.stat(target).st_ino)
    p.fails(errno.ELOOP, os.open, link, os.O_RDONLY | os.O_NOFOLLOW)
    p.fails(errno.EEXIST, os.symlink, "x", link)
    p.fails(errno.EINVAL, os.readlink, target)
    p.fails(errno.EEXIST, os.open, link, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.symlink("nowhere", p.at(".#dangling"))
    p.fails(errno.ENOENT, os.stat, p.at(".#dangling"))
    p.same(os.readlink(p.at(".#dangling")), "nowhere")
    os.symlink(".#loop", p.at(".#loop"))
    p.fails(errno.ELOOP, os.stat, p.at(".#loop"))
    long = "x" * 1000
    os.symlink(long, p.at(".#long"))
    p.same(os.readlink(p.at(".#long")), long)
    p.same(os.lstat(p.at(".#long")).st_size, 1000)
    os.rename(link, p.at(".#moved"))
    p.same(os.readlink(p.at(".#moved")), "t.eml")
    os.unlink(p.at(".#moved"))
    p.holds(target, b"T")


def hard_links(p):
    a = p.put("a.eml", b"A")
    p.fails((errno.EPERM, errno.EOPNOTSUPP), os.link, a, p.at("b.eml"))
    p.fails(errno.EPERM, os.link, p.dir, p.at("c"))
    p.fails(errno.ENOENT, os.link, p.at("none"), p.at("c"))
    p.same(os.listdir(p.dir), ["a.eml"])


def name_limits(p):
    for name in ("n" * 255, "ä" * 127, "€" * 85, "🎉" * 63, "a b.eml", " lead", "trail ", "-rf",
                 "new\nline", "tab\there", "back\\slash", "%41", "~", "*?[x]", "quote\"'", ".hidden",
                 "..eml", "...", "#", "con", "a:b", "bell\x07"):
        path = p.put(name, b"N")
        p.same(os.listdir(p.dir), [name])
        p.holds(path, b"N")
        os.unlink(path)
    for name in ("n" * 256, "ä" * 128, "🎉" * 64):
        p.fails(errno.ENAMETOOLONG, os.open, p.at(name), os.O_CREAT | os.O_WRONLY)
        p.fails(errno.ENAMETOOLONG, os.mkdir, p.at(name))
        p.fails(errno.ENAMETOOLONG, os.stat, p.at(name))
        p.fails(errno.ENAMETOOLONG, os.symlink, "x", p.at(name))
    a = p.put("a.eml", b"A")
    p.fails(errno.ENAMETOOLONG, os.rename, a, p.at("n" * 256))
    p.fails(errno.ENAMETOOLONG, os.unlink, p.at("n" * 256))
    p.fails(errno.ENAMETOOLONG, os.stat, p.at("x/" * 2100 + "f"))
    p.same(os.statvfs(p.dir).f_namemax, 255)
    p.same(os.pathconf(p.dir, "PC_NAME_MAX"), 255)
    odd = os.fsencode(p.dir) + b"/latin-\xe9.eml"
    with open(odd, "wb") as f:
        f.write(b"L")
    p.true(b"latin-\xe9.eml" in os.listdir(os.fsencode(p.dir)))
    os.unlink(odd)
    p.fails(errno.ENOENT, os.stat, p.at("A.EML"))
