# SPDX-License-Identifier: MIT
"""A whole account through the ordinary tools: online, offline, and after a remount offline."""

import os
import subprocess
import time

import pytest

NEEDLE = "needle"
SINCE = "2022-06-01"
BIG = 20000


@pytest.fixture(name="account", scope="module")
def _account(request, generator):
    return list(generator.account(request.config.getoption("--messages")))


def run(*command, ok=(0,), **options):
    """Output of an ordinary tool, run as a user would."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}, **options)
    assert done.returncode in ok, f"{command}: {done.returncode}\n{done.stderr.decode()[-2000:]}"
    return done.stdout


def identities(mount, truth):
    """{path: inode}, and that the tree holds exactly the messages."""
    found = {}
    expected = set()
    for box, messages in truth.items():
        directory = mount.path(box)
        for uid in messages:
            path = os.path.join(directory, f"{uid}.eml")
            expected.add(path)
            found[path] = os.stat(path).st_ino
    listed = run("find", mount.point, "-type", "f").decode().splitlines()
    assert set(listed) == expected and len(listed) == len(expected)
    assert len(set(found.values())) == len(found), "an inode number is given twice"
    return found


def check_files(mount, truth):
    """Every byte, size and date is the server's."""
    for box, messages in truth.items():
        directory = mount.path(box)
        for uid, message in messages.items():
            path = os.path.join(directory, f"{uid}.eml")
            before = os.stat(path)
            with open(path, "rb") as f:
                data = f.read()
            after = os.stat(path)
            assert data == message.data, f"{path} differs from the server's bytes"
            assert before.st_size == after.st_size == len(message.data), path
            assert int(after.st_mtime) == message.date, path


def check_tools(mount, truth, work):
    """grep, find, ls and rsync see the same as the server told another client."""
    paths = {os.path.join(mount.path(box), f"{uid}.eml"): message
             for box, messages in truth.items() for uid, message in messages.items()}
    hits = run("grep", "-rlaF", NEEDLE, mount.point).decode().splitlines()
    assert sorted(hits) == sorted(p for p, m in paths.items() if NEEDLE.encode() in m.data)

    since = time.mktime(time.strptime(SINCE + " UTC", "%Y-%m-%d %Z")) - time.timezone
    hits = run("find", mount.point, "-type", "f", "-newermt", SINCE, "-size", f"+{BIG}c")
    assert sorted(hits.decode().splitlines()) == sorted(
        p for p, m in paths.items() if m.date > since and len(m.data) > BIG)

    listing = run("ls", "-lR", "--time-style=+%s", mount.point).decode().splitlines()
    rows = [line.split() for line in listing if line.startswith("-")]
    assert sorted((int(r[4]), int(r[5])) for r in rows) == sorted(
        (len(m.data), m.date) for m in paths.values())

    copy = os.path.join(work, "copy")
    first = run("rsync", "-a", "--stats", mount.point + "/", copy + "/").decode()
    assert f"Number of regular files transferred: {len(paths):,}" in first
    second = run("rsync", "-a", "--stats", mount.point + "/", copy + "/").decode()
    assert "Number of regular files transferred: 0\n" in second
    checked = run("rsync", "-anc", "--delete", "--out-format=%n", mount.point + "/", copy + "/")
    assert not [n for n in checked.decode().splitlines() if not n.endswith("/")]
    run("rm", "-rf", copy)


def test_whole_account(account, make_server, make_client, make_mount, place):
    """Bytes, sizes, dates, names and inodes, through a stop of the server and a remount.
    R021, R022, R058, R302, R307"""
    server = make_server(account)
    client = make_client(server.port)
    truth = client.account()
    assert sum(map(len, truth.values())) == len(account)

    mount = make_mount(server.port)
    start = time.monotonic()
    mount.sync(600)
    mount.wait_bodies()
    print(f"first sync of {len(account)} messages: {time.monotonic() - start:.1f} s")
    inodes = identities(mount, truth)
    check_files(mount, truth)
    check_tools(mount, truth, place)
    after = make_client(server.port).account(body=False)
    assert {(b, u): m.flags for b, box in after.items() for u, m in box.items()} == \
        {(b, u): m.flags for b, box in truth.items() for u, m in box.items()}, \
        "reading has changed flags on the server"

    server.stop()
    check_files(mount, truth)
    check_tools(mount, truth, place)

    mount.remount()
    assert identities(mount, truth) == inodes, "inode numbers changed over a remount"
    check_files(mount, truth)
    check_tools(mount, truth, place)
    mount.unmount()


def test_killed_first_sync_goes_on(make_server, make_client, make_mount, generator):
    """kill -9 in the middle of the first sync, twice: the next mount completes it. R099"""
    server = make_server(list(generator.account(400)))
    truth = make_client(server.port).account()
    mount = make_mount(server.port)
    for pause in (0.15, 0.5):
        time.sleep(pause)
        mount.kill()
        mount.start()
    mount.sync()
    mount.wait_bodies()
    identities(mount, truth)
    check_files(mount, truth)
