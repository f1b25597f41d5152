# SPDX-License-Identifier: MIT
"""Real programs on the mount; what each of them meant is looked up on the server by a client that
knows nothing of imapfs.  A save is at most one upload, and nothing of theirs becomes a mailbox."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest

from tools.terminal import drive

pytestmark = pytest.mark.extension("KEYWORDS")

UPLOAD = "^(UID REPLACE|APPEND)"


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"NOT SHOWN: {program} is not installed (scripts/setup --full)")


@pytest.fixture(name="account")
def _account(make_server, make_proxy, make_client, make_mount, generator):
    server = make_server([("Drafts", generator.mail(i, size=4000)) for i in range(4)])
    client = make_client(server.port)
    client.select("Drafts")
    client.store([2], "+FLAGS.SILENT", ["\\Flagged", "$Work"])
    proxy = make_proxy(server.port, record=True)
    mount = make_mount(proxy.port, hold="1s")
    mount.sync()
    mount.wait_bodies()
    yield client, proxy, mount
    assert not proxy.seen("^CREATE"), "a program's litter became a mailbox"


def held(client, mailbox):
    client.select(mailbox)
    return client.fetch()


def run(*command, cwd=None, home=None, stdin=None):
    env = {**os.environ, "HOME": home or "/nonexistent", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, stdin=stdin or subprocess.DEVNULL, capture_output=True, cwd=cwd,
                          env=env, check=False, timeout=120)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


# ---- editors: each puts a line at the end ----

LINE = b"a line of mine\r\n"


def vim(path, place, copy):
    """backupskip holds /tmp, where the test is: emptied, so that it works as in a home."""
    run("vim", "-N", "-u", "NONE", "-i", "NONE", "-es", "-c", "set fileformat=dos backupskip= writebackup",
        "-c", f"set backupcopy={copy}", "-c", f"call append('$', '{LINE.decode().strip()}')", "-c", "wq",
        path, home=place)


def vim_moves(path, place):
    vim(path, place, "no")


def vim_copies(path, place):
    vim(path, place, "yes")


def vim_on_a_terminal(path, place):
    drive(["vim", "-N", "-u", "NONE", "-i", "NONE", "-c", "set backupskip= backupcopy=no", path],
          [(b"dos", b"Goa line of mine\x1b"), (b"mine", b":wq\r")], env={"HOME": place})


def nano(path, place):
    """It keeps the line ends of what it read."""
    needs("nano")
    drive(["nano", path], [(b"DOS", b"\x1b/a line of mine\x0f"), (b"Write", b"\r"), (b"Wrote", b"\x18")],
          env={"HOME": place})


def nano_with_backup(path, place):
    needs("nano")
    drive(["nano", "-B", path],
          [(b"DOS", b"\x1b/a line of mine\x0f"), (b"Write", b"\r"), (b"Wrote", b"\x18")],
          env={"HOME": place})


def emacs(path, place):
    needs("emacs")
    run("emacs", "-Q", "--batch", path, "--eval",
        "(progn (goto-char (point-max)) (insert \"a line of mine\\n\") (save-buffer))", home=place)


def sed(path, place):
    run("sed", "-i", r"$a a line of mine\r", path, home=place)


def perl(path, place):
    run("perl", "-i", "-pe", r'$_ .= "a line of mine\r\n" if eof', path, home=place)


def shell_append(path, place):
    run("sh", "-c", r'printf "a line of mine\r\n" >>"$1"', "sh", path, home=place)


EDITORS = [vim_moves, vim_copies, vim_on_a_terminal, nano, nano_with_backup, emacs, sed, perl,
           shell_append]


@pytest.mark.parametrize("edit", EDITORS, ids=lambda e: e.__name__)
def test_editors(account, place, edit):
    """The edit is the message's new content: flags, date, name and inode stay; one upload, no litter on
    the server.  R045"""
    client, proxy, mount = account
    before = held(client, "Drafts")[2]
    path = mount.message("Drafts", 2)
    shown = os.stat(path)
    edit(path, place)
    with open(path, "rb") as f:
        assert f.read() == before.data + LINE
    mount.sync()
    assert len(proxy.seen(UPLOAD)) == 1
    after = held(client, "Drafts")
    assert len(after) == 4
    edited = [m for m in after.values() if m.data == before.data + LINE]
    assert len(edited) == 1
    assert (edited[0].flags, edited[0].date) == (before.flags, before.date)
    now = os.stat(path)
    assert (now.st_ino, now.st_mtime_ns, now.st_size) == \
        (shown.st_ino, shown.st_mtime_ns, shown.st_size + len(LINE))


# ---- tools that write ----

def files(place, mails, name="source"):
    source = os.path.join(place, name)
    os.mkdir(source)
    for n, mail in enumerate(mails):
        path = os.path.join(source, f"m{n}.eml")
        with open(path, "wb") as f:
            f.write(mail.data)
        os.utime(path, (mail.date, mail.date))
    return source


def test_find_install_and_links(account, place, generator):
    """install, ln, find -exec: as files elsewhere, and as mail on the server."""
    client, proxy, mount = account
    mail = generator.mail(70, size=3000)
    source = files(place, [mail])
    run("install", "-m", "600", os.path.join(source, "m0.eml"), mount.path("Sent", "installed.eml"))
    run("ln", mount.message("Drafts", 1), mount.path("Sent", "linked.eml"))
    run("find", mount.path("Drafts"), "-name", "[34].eml", "-exec", "mv", "-t", mount.path("Trash"), "{}", "+")
    mount.sync()
    drafts = held(client, "Drafts")
    assert sorted(drafts) == [1, 2]
    assert sorted(m.data for m in held(client, "Sent").values()) == sorted([mail.data, drafts[1].data])
    assert len(held(client, "Trash")) == 2
    assert len(proxy.seen(UPLOAD)) == 1, "a link, and a move, are no uploads"
    run("find", mount.path("Trash"), "-name", "*.eml", "-delete")
    mount.sync()
    assert not held(client, "Trash")


@pytest.mark.parametrize("options", ["-a", "-aX"])
def test_rsync_out_and_in(account, place, options):
    """Out to a disk and into another mailbox; a second run moves nothing, in either direction."""
    client, proxy, mount = account
    copy = os.path.join(place, "copy") + "/"
    drafts = mount.path("Drafts") + "/"
    os.mkdir(copy)
    run("rsync", options, drafts, copy)
    assert run("rsync", options, "-i", drafts, copy) == b""
    os.utime(copy, (1_300_000_000, 1_300_000_000))
    run("rsync", options, copy, mount.path("Sent") + "/")
    mount.sync()
    assert os.stat(mount.path("Sent")).st_mtime == 1_300_000_000, "uploads change no name"
    source, target = held(client, "Drafts"), held(client, "Sent")
    keep = (lambda m: (m.data, m.date, m.flags)) if "X" in options else lambda m: (m.data, m.date)
    assert sorted(map(keep, source.values()), key=lambda t: t[0]) == \
        sorted(map(keep, target.values()), key=lambda t: t[0])
    uploads = len(proxy.seen("^APPEND"))
    assert run("rsync", options, "-i", copy, mount.path("Sent") + "/") == b""
    mount.sync()
    assert len(proxy.seen("^APPEND")) == uploads
    assert sorted(os.listdir(mount.path("Sent"))) == ["1.eml", "2.eml", "3.eml", "4.eml"]


def test_tar_out_and_in(account, place):
    client, _, mount = account
    archive = os.path.join(place, "drafts.tar")
    run("tar", "--xattrs", "--xattrs-include=user.*", "-cf", archive, "-C", mount.path("Drafts"), ".")
    run("tar", "--xattrs", "--xattrs-include=user.*", "-xf", archive, "-C", mount.path("Sent"))
    run("tar", "-df", archive, "-C", mount.path("Drafts"))
    mount.sync()
    key = lambda m: (m.data, m.date, sorted(m.flags))  # noqa: E731
    assert sorted(map(key, held(client, "Drafts").values())) == sorted(map(key, held(client, "Sent").values()))


def test_copies_are_made_on_the_server(account, place):
    """cp in its kinds, shutil.copy2 and a way round by the disk: COPY, and no body on the wire.  The flags
    given to a copy are the copy's; one with another date is another message."""
    client, proxy, mount = account
    path = mount.message("Drafts", 2)
    run("cp", path, mount.path("Sent", "cp.eml"))
    run("cp", "-p", path, mount.path("Sent", "cp-p.eml"))
    run("cp", "-a", path, mount.path("Sent", "cp-a.eml"))
    shutil.copy2(path, mount.path("Sent", "copy2.eml"))
    run("cp", "-p", path, os.path.join(place, "out.eml"))
    run("cp", "-p", os.path.join(place, "out.eml"), mount.path("Sent", "in.eml"))
    run("cp", "-p", path, mount.path("Sent", "flagged.eml"))
    os.setxattr(mount.path("Sent", "flagged.eml"), "user.imap.flags", b"Answered")
    names = sorted(os.listdir(mount.path("Sent")))
    shown = {n: os.stat(mount.path("Sent", n)) for n in names}
    mount.sync()
    source = held(client, "Drafts")[2]
    copies = held(client, "Sent")
    assert len(copies) == len(names) == 6
    assert all((m.data, m.date) == (source.data, source.date) for m in copies.values())
    assert sorted(sorted(m.flags) for m in copies.values()) == [sorted(source.flags)] * 5 + [["\\Answered"]]
    assert not proxy.seen("^APPEND") and proxy.seen("^UID COPY")
    for n in names:
        now = os.stat(mount.path("Sent", n))
        assert (now.st_ino, now.st_mtime, now.st_size) == (shown[n].st_ino, source.date, len(source.data))
        assert now.st_mtime == shown[n].st_mtime
    run("cp", "-p", path, mount.path("Trash", "old.eml"))
    os.utime(mount.path("Trash", "old.eml"), (1_000_000_000, 1_000_000_000))
    mount.sync()
    assert [m.date for m in held(client, "Trash").values()] == [1_000_000_000]


def test_attributes_travel(account, place):
    """cp -a within the account and by way of a disk, getfattr and setfattr --restore: flags arrive, UIDs
    do not."""
    client, _, mount = account
    flags = held(client, "Drafts")[2].flags
    run("cp", "-a", mount.message("Drafts", 2), mount.path("Sent", "copy.eml"))
    dump = run("getfattr", "-d", "-m", "^user\\.", "--absolute-names", mount.message("Drafts", 2))
    assert b"user.imap.flags" in dump and b"uid" not in dump
    saved = os.path.join(place, "flags")
    with open(saved, "wb") as f:
        f.write(dump)
    os.setxattr(mount.message("Drafts", 2), "user.imap.flags", b"Seen")
    run("setfattr", f"--restore={saved}", cwd="/")
    elsewhere = os.path.join(place, "elsewhere.eml")
    run("cp", "-a", mount.message("Drafts", 2), elsewhere)
    if os.listxattr(elsewhere):  # not every file system keeps them
        assert os.listxattr(elsewhere) == ["user.imap.flags"]
        run("mv", elsewhere, mount.path("Sent", "back.eml"))
    mount.sync()
    wanted = held(client, "Drafts")[2]
    assert wanted.flags == flags
    for m in held(client, "Sent").values():
        assert (m.data, m.date, m.flags) == (wanted.data, wanted.date, wanted.flags)


def test_readers(account, place):
    """grep, ripgrep, find, wc and diff see what the server has, and set nothing."""
    client, proxy, mount = account
    before = held(client, "Drafts")
    needle = before[3].message_id
    where = mount.path("Drafts")
    assert run("grep", "-rlF", needle, where).split() == [mount.message("Drafts", 3).encode()]
    if shutil.which("rg"):
        assert run("rg", "-lF", needle, where).split() == [mount.message("Drafts", 3).encode()]
    total = run("sh", "-c", 'cat "$1"/*.eml | wc -c', "sh", where)
    assert int(total) == sum(len(m.data) for m in before.values())
    newest = run("find", where, "-name", "*.eml", "-newermt", "@0", "-size", "+0", "-printf", "%f %s\\n")
    assert sorted(newest.split(b"\n")[:-1]) == sorted(f"{u}.eml {len(m.data)}".encode() for u, m in before.items())
    run("cp", "-r", where, os.path.join(place, "copy"))
    run("diff", "-r", where, os.path.join(place, "copy"))
    mount.sync()
    assert {u: m.flags for u, m in held(client, "Drafts").items()} == {u: m.flags for u, m in before.items()}
    assert not proxy.seen("^UID STORE")


# ---- what is no mail at all ----

def test_git_and_sqlite_on_scratch(account, place):
    """In a local directory everything works that needs a file system, and the server hears nothing."""
    _, proxy, mount = account
    where = mount.path("Drafts", "work.tmp")
    os.mkdir(where)
    sent = len(proxy.commands)
    repository = os.path.join(where, "repo")
    run("git", "init", "-q", repository, home=place)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for n in range(3):
        with open(os.path.join(repository, f"f{n}"), "w", encoding="ascii") as f:
            f.write(f"content {n}\n" * 50)
        run("git", *identity, "-C", repository, "add", ".", home=place)
        run("git", *identity, "-C", repository, "commit", "-q", "-m", f"commit {n}", home=place)
    run("git", "-C", repository, "gc", "-q", home=place)
    run("git", "-C", repository, "fsck", "--strict", home=place)
    run("git", "clone", "-q", repository, os.path.join(where, "clone"), home=place)
    assert len(run("git", "-C", os.path.join(where, "clone"), "log", "--oneline", home=place).splitlines()) == 3
    with contextlib.closing(sqlite3.connect(os.path.join(where, "x.db"))) as db:
        db.execute("CREATE TABLE t (a, b)")
        for n in range(200):
            db.execute("INSERT INTO t VALUES (?, ?)", (n, "x" * n))
        db.commit()
        db.execute("DELETE FROM t WHERE a % 2")
        db.commit()
        db.execute("VACUUM")
        assert db.execute("SELECT count(*), sum(length(b)) FROM t").fetchone() == (100, 9900)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    mount.remount()
    with contextlib.closing(sqlite3.connect(os.path.join(where, "x.db"))) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    run("git", "-C", repository, "fsck", "--strict", home=place)
    shutil.rmtree(where)
    mount.sync()
    assert not [c for c in proxy.commands[sent:] if c[2] in ("APPEND", "CREATE", "DELETE", "RENAME")]


def test_desktop_trash(account, place):
    """gio trash and trash-put: a desktop's trash costs nothing on the server; a message put there is
    deleted from its mailbox as rm does."""
    client, proxy, mount = account
    path = mount.message("Drafts", 4)
    needs("gio")
    done = subprocess.run(["gio", "trash", path], stdin=subprocess.DEVNULL, capture_output=True,
                          env={**os.environ, "HOME": place}, check=False, timeout=60)
    mount.sync()
    drafts = held(client, "Drafts")
    if done.returncode == 0:
        assert 4 not in drafts and len(held(client, "Trash")) == 1
    else:
        assert len(drafts) == 4
    assert not [m for m in client.mailboxes() if "Trash-" in m]
    assert not proxy.seen("^APPEND")


@pytest.mark.parametrize("copy", [True, False])
def test_midnight_commander(account, place, copy):
    """F5 and F6 from one panel to the other."""
    needs("mc")
    client, proxy, mount = account
    drive(["mc", "-a", "-b", "-u", mount.path("Drafts"), mount.path("Sent")],
          [(b"[23;3H", b"\x1bOB"), (b"1.eml", b"\x1b[15~" if copy else b"\x1b[17~"),
           (b"ackground", b"\r"), (b"[23;3H", b"\x1b[21~")],
          env={"HOME": place})
    mount.sync()
    assert len(held(client, "Sent")) == 1
    assert len(held(client, "Drafts")) == (4 if copy else 3)
    assert len(proxy.seen("^APPEND")) == 0
