# SPDX-License-Identifier: MIT
"""Backups of the mount, and what they go by: number, name, date and size of a file never change of
themselves."""

import os
import shutil
import subprocess

import pytest

from tools.mount import wait_until


def run(*command, env=None, cwd=None):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd, timeout=300,
                          env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}, check=False, text=True)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def objects(top):
    """{path: what a backup program compares}"""
    found = {}
    for where, _, files in os.walk(top):
        for name in files:
            st = os.lstat(os.path.join(where, name))
            found[os.path.relpath(os.path.join(where, name), top)] = (st.st_ino, st.st_mtime_ns, st.st_size)
        found[os.path.relpath(where, top)] = os.lstat(where).st_ino
    return found


def contents(account):
    """What matters of an account: {mailbox: sorted (bytes, date, flags)}, without what is empty."""
    return {name: sorted((m.data, m.date, sorted(m.flags)) for m in held.values())
            for name, held in account.items() if held}


@pytest.fixture(name="account")
def _account(make_server, make_client, make_mount, generator):
    server = make_server([("INBOX", generator.mail(n, size=4000)) for n in range(15)]
                         + [("Work", generator.mail(n, size=9000)) for n in range(20, 25)])
    client = make_client(server.port)
    deep = generator.legal("Work/Deep/Entwürfe & 100%")
    client.create(deep)
    client.append(deep, generator.mail(30).data, ["\\Draft", "$Label"], 1_500_000_000)
    mount = make_mount(server.port, hold="1s")
    mount.sync()
    mount.wait_bodies()
    return server, client, mount


def restic(place, top):
    env = {"RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": os.path.join(place, "restic"), "HOME": place}
    if not os.path.exists(env["RESTIC_REPOSITORY"]):
        run("restic", "init", env=env)
    out = run("restic", "backup", ".", env=env, cwd=top)
    files = [line for line in out.splitlines() if line.startswith("Files:")][0]
    return "0 new" in files and "0 changed" in files


def borg(place, top):
    """It never trusts the newest file of a run: one of no account is made to be that."""
    env = {"BORG_REPO": os.path.join(place, "borg"), "HOME": place,
           "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
    if not os.path.exists(env["BORG_REPO"]):
        run("borg", "init", "-e", "none", env=env)
    newest = os.path.join(place, "newest")
    with open(newest, "wb") as f:
        f.write(os.urandom(8))
    out = run("borg", "create", "--list", "--filter", "AMCE", "::{now:%H%M%S%f}", ".", newest, env=env, cwd=top)
    listed = [line for line in out.splitlines() if line[:2] in ("A ", "M ", "C ", "E ")]
    return not [line for line in listed if "newest" not in line]


@pytest.mark.extension("KEYWORDS")
@pytest.mark.parametrize("program", [restic, borg], ids=lambda p: p.__name__)
def test_second_backup_reads_nothing(account, place, program):
    """Of the whole mount, the server gone; the second time, and after a remount, no file is read again."""
    if shutil.which(program.__name__) is None:
        pytest.skip(f"NOT SHOWN: {program.__name__} is not installed (scripts/setup --full)")
    server, _, mount = account
    server.stop()
    assert not program(place, mount.point), "the first one has to read"
    assert program(place, mount.point)
    mount.remount()
    assert program(place, mount.point)


@pytest.mark.extension("KEYWORDS")
def test_restore_into_an_empty_account(account, place, make_server, make_client, make_mount):
    """A backup made offline, brought back by rsync or tar: every message with its date and flags, once."""
    server, client, mount = account
    wanted = contents(client.account())
    server.stop()
    copy = os.path.join(place, "copy")
    os.mkdir(copy)
    run("rsync", "-a", mount.point + "/", copy + "/")
    archive = os.path.join(place, "account.tar")
    run("tar", "--xattrs", "--xattrs-include=user.*", "-cf", archive, "-C", mount.point, ".")
    for way in ("rsync", "tar"):
        empty = make_server()
        other = make_mount(empty.port, name=way, hold="1s")
        other.sync()
        if way == "rsync":
            run("rsync", "-a", copy + "/", other.point + "/")
        else:
            run("tar", "--xattrs", "--xattrs-include=user.*", "-xf", archive, "-C", other.point)
        other.sync()
        got = contents(make_client(empty.port).account())
        if way == "rsync":  # without -X it carries no flags
            assert {box: [m[:2] for m in held] for box, held in got.items()} == \
                {box: [m[:2] for m in held] for box, held in wanted.items()}
            again = run("rsync", "-ai", copy + "/", other.point + "/").splitlines()
            assert not [line for line in again if line[1:2] == "f"], "a file was moved again"
            other.sync()
            assert contents(make_client(empty.port).account()) == got
        else:
            assert got == wanted


@pytest.mark.extension("KEYWORDS")
def test_identity_stays(account, make_client, generator):
    """Number, name, date and size are the same before and after the upload, a sync, a remount, and with the
    cache of bodies gone."""
    server, _, mount = account
    server.stop()
    for n in range(5):
        path = mount.path("Work", f"draft {n}.eml")
        with open(path, "wb") as f:
            f.write(generator.mail(50 + n, size=3000).data)
        os.utime(path, (1_400_000_000 + n, 1_400_000_000 + n))
    shutil.copy2(mount.message("INBOX", 3), mount.path("Work", "copied.eml"))
    os.rename(mount.message("INBOX", 4), mount.path("Work", "moved.eml"))
    os.mkdir(mount.path("Work") + "/New")
    before = objects(mount.point)

    def same(when):
        now = objects(mount.point)
        assert now == before, f"{when}: {set(now.items()) ^ set(before.items())}"
    same("at once")
    server.start()
    mount.sync()
    same("uploaded")
    assert len(make_client(server.port).account()["Work"]) == 12
    mount.sync()
    same("synced")
    mount.remount()
    same("mounted again")
    mount.unmount()
    shutil.rmtree(mount.options["cache-dir"])
    mount.start()
    same("without the cache")
    mount.sync()
    mount.wait_bodies()
    wait_until(lambda: objects(mount.point) == before, 30, "the same with the cache made anew")
