# SPDX-License-Identifier: MIT
"""What editors, cp, rsync and tar do, call by call.  One save is one upload at most, and the
message keeps its flags and its date."""

import os
import subprocess

import pytest

from tools.mount import wait_until


def put(path, data, sync=False):
    with open(path, "wb") as f:
        f.write(data)
        if sync:
            f.flush()
            os.fsync(f.fileno())


def vim(path, data):
    """backupcopy=auto: swap file, write test, rename away, create again."""
    where, name = os.path.split(path)
    swap = os.path.join(where, f".{name}.swp")
    for probe in (swap, os.path.join(where, f".{name}.swx")):
        put(probe, b"b0VIM 9.0" + b"\0" * 4087)
    os.unlink(swap)
    os.unlink(os.path.join(where, f".{name}.swx"))
    put(swap, b"b0VIM 9.0" + b"\0" * 4087)
    os.chmod(swap, 0o600)
    put(os.path.join(where, "4913"), b"")
    os.unlink(os.path.join(where, "4913"))
    mode = os.stat(path).st_mode & 0o777
    os.rename(path, path + "~")
    put(path, data, sync=True)
    os.chmod(path, mode)
    os.unlink(path + "~")
    os.unlink(swap)


def vim_copy(path, data):
    """backupcopy=yes: the old bytes to f~, the file rewritten in place."""
    with open(path, "rb") as f:
        put(path + "~", f.read())
    os.truncate(path, 0)
    put(path, data, sync=True)
    os.unlink(path + "~")


def nano(path, data):
    """A lock file, then written in place."""
    lock = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.swp")
    put(lock, b"b0nano" + b"\0" * 1018)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    os.unlink(lock)


def sed(path, data):
    """sed -i: a temporary name, then over the file."""
    temporary = os.path.join(os.path.dirname(path), "sedAbC123")
    put(temporary, data)
    os.rename(temporary, path)


def replace(path, data):
    """What programs do that know their craft: temporary file, fsync, rename."""
    temporary = os.path.join(os.path.dirname(path), ".goutputstream-X1Y2Z3")
    put(temporary, data, sync=True)
    os.rename(temporary, path)


@pytest.fixture(name="account")
def _account(make_server, make_proxy, make_client, make_mount, generator):
    server = make_server([("Drafts", generator.mail(i, size=4000)) for i in range(4)])
    client = make_client(server.port)
    client.select("Drafts")
    client.store([2], "+FLAGS.SILENT", ["\\Flagged", "$Work"])
    proxy = make_proxy(server.port, record=True)
    mount = make_mount(proxy.port, hold="1h")
    mount.sync()
    mount.wait_bodies()
    return client, proxy, mount


@pytest.mark.parametrize("editor", [vim, vim_copy, nano, sed, replace], ids=lambda e: e.__name__)
def test_save_is_one_replace(account, editor):
    """R045: three saves of one message."""
    client, proxy, mount = account
    client.select("Drafts")
    before = client.fetch([2])[2]
    path = mount.message("Drafts", 2)
    for n in range(3):
        uploads = len(proxy.seen("^(UID REPLACE|APPEND)"))
        data = before.data + f"edited {n}\r\n".encode() * (n + 1)
        editor(path, data)
        with open(path, "rb") as f:
            assert f.read() == data
        mount.sync()
        assert len(proxy.seen("^(UID REPLACE|APPEND)")) - uploads == 1
        client.select("Drafts")
        held = client.fetch()
        assert len(held) == 4
        edited = [m for m in held.values() if m.data == data]
        assert len(edited) == 1
        assert edited[0].flags == before.flags and edited[0].date == before.date
        with open(path, "rb") as f:
            assert f.read() == data
        # the kernel is told of names from a thread of its own
        wait_until(lambda: len(os.listdir(mount.path("Drafts"))) == 4, 30, "four names")


def test_rewritten_many_times(account):
    """Twenty saves within the hold are one upload, and the last one wins."""
    client, proxy, mount = account
    path = mount.message("Drafts", 1)
    with open(path, "rb") as f:
        base = f.read()
    for n in range(20):
        put(path, base + b"x" * n + b"\r\n")
    mount.sync()
    client.select("Drafts")
    held = client.fetch()
    assert len(held) == 4
    assert base + b"x" * 19 + b"\r\n" in [m.data for m in held.values()]
    assert len(proxy.seen("^(UID REPLACE|APPEND)")) == 1


def test_litter_stays_here(account):
    """Nothing of editors, desktops and rsync reaches the server, and it works as files do."""
    client, proxy, mount = account
    where = mount.path("Drafts")
    for name in (".2.eml.swp", "4913", "2.eml~", ".#2.eml", "#2.eml#", "x.tmp", ".DS_Store",
                 ".goutputstream-ABC", ".~lock.2.eml#", "._2.eml", ".2.eml.aB3xYz"):
        put(os.path.join(where, name), b"litter " + name.encode())
        with open(os.path.join(where, name), "rb") as f:
            assert f.read() == b"litter " + name.encode()
    mount.sync()
    assert not proxy.seen("^(APPEND|CREATE)")
    for name in os.listdir(where):
        if not name.endswith(".eml") or name.startswith("."):
            os.unlink(os.path.join(where, name))
    mount.sync()
    assert not proxy.seen("^(APPEND|CREATE|UID STORE|UID MOVE|UID EXPUNGE)")
    client.select("Drafts")
    assert len(client.uids()) == 4


def run(*command, cwd=None):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd)


@pytest.mark.parametrize("tool", ["cp", "rsync", "tar", "mv"])
def test_tools_write_messages(account, place, generator, tool):
    """cp -p, rsync -a (with its temporary names), tar and mv: bytes and dates arrive. R045, R059"""
    client, proxy, mount = account
    source = os.path.join(place, "source")
    os.mkdir(source)
    mails = [generator.mail(100 + n, size=5000) for n in range(6)]
    for n, mail in enumerate(mails):
        put(os.path.join(source, f"m{n}.eml"), mail.data)
        os.utime(os.path.join(source, f"m{n}.eml"), (mail.date, mail.date))
    target = mount.path("Sent")
    files = [os.path.join(source, f"m{n}.eml") for n in range(6)]
    if tool == "cp":
        run("cp", "-p", *files, target)
    elif tool == "rsync":
        run("rsync", "-a", source + "/", target + "/")
    elif tool == "tar":
        run("tar", "-cf", os.path.join(place, "x.tar"), "-C", source, ".")
        run("tar", "-xf", os.path.join(place, "x.tar"), "-C", target)
    else:
        run("mv", *files, target)
    mount.sync()
    client.select("Sent")
    held = client.fetch()
    assert sorted((m.data, m.date) for m in held.values()) == \
        sorted((m.data, m.date) for m in mails)
    assert sorted(os.listdir(target)) == [f"m{n}.eml" for n in range(6)]
    if tool == "rsync":
        uploads = len(proxy.seen("APPEND"))
        run("rsync", "-a", source + "/", target + "/")
        mount.sync()
        assert len(proxy.seen("APPEND")) == uploads, "a second rsync sent something"
