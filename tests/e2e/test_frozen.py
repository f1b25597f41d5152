# SPDX-License-Identifier: MIT
"""A server that is up and silent: nothing on the mount waits for it."""

import os
import signal
import subprocess
import time

import pytest

from tools.mount import wait_until

LIMIT = 5
CALLS = 200


@pytest.fixture(name="pair")
def _pair(make_server, make_client, make_mount, generator):
    server = make_server([("INBOX", generator.mail(i)) for i in range(50)])
    mount = make_mount(server.port, sync="headers", poll="20s")
    mount.sync()
    return server, mount


def start(*command):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def end(processes):
    for process in processes:
        if process.poll() is None:
            process.kill()


def test_metadata_does_not_wait(pair):
    """200 stat, ls, df and getfattr at once, while a reader waits for a body."""
    server, mount = pair
    server.freeze()
    reader = start("cat", mount.message("INBOX", 5))
    began = time.monotonic()
    commands = (("stat", mount.message("INBOX", 3)), ("ls", "-l", mount.path("INBOX")),
                ("df", mount.point), ("getfattr", "-n", "user.imap.flags",
                                      mount.message("INBOX", 4)))
    running = [start(*commands[n % 4]) for n in range(CALLS)]
    try:
        wait_until(lambda: all(p.poll() is not None for p in running), LIMIT, "all answered")
        print(f"{CALLS} calls on a frozen server: {time.monotonic() - began:.2f} s")
        assert [p.returncode for p in running] == [0] * CALLS
    finally:
        end([*running, reader])


def test_killed_reader_is_gone(pair):
    """SIGKILL ends a reader that waits for a body at once, and a second one too."""
    server, mount = pair
    server.freeze()
    readers = [start("cat", mount.message("INBOX", uid)) for uid in (5, 5, 6)]
    try:
        time.sleep(1)
        assert all(p.poll() is None for p in readers), "a body came from a frozen server"
        for process in readers:
            process.kill()
        took = wait_until(lambda: all(p.poll() is not None for p in readers), 2, "readers gone")
        print(f"killed readers gone after {took:.2f} s")
        assert {p.returncode for p in readers} == {-signal.SIGKILL}
    finally:
        end(readers)


def test_interrupted_reader(pair):
    """SIGINT, as ^C, ends it too."""
    server, mount = pair
    server.freeze()
    reader = start("cat", mount.message("INBOX", 5))
    try:
        time.sleep(0.5)
        reader.send_signal(signal.SIGTERM)
        wait_until(lambda: reader.poll() is not None, 2, "reader gone")
    finally:
        end([reader])


def test_reader_gets_an_error_in_time(make_server, make_mount, generator):
    """A read that cannot be served ends with an errno after timeout=, never later."""
    server = make_server([("INBOX", generator.mail(i)) for i in range(5)])
    mount = make_mount(server.port, sync="headers", timeout="3s")
    mount.sync()
    server.freeze()
    began = time.monotonic()
    with pytest.raises(OSError):
        with open(mount.message("INBOX", 2), "rb") as f:
            f.read()
    took = time.monotonic() - began
    print(f"error after {took:.2f} s")
    assert took < 20


def test_changes_are_taken_and_unmount_is_quick(pair):
    """Writing works while the server is silent, and unmounting takes no time."""
    server, mount = pair
    server.freeze()
    os.setxattr(mount.message("INBOX", 3), "user.imap.flag.Flagged", b"")
    os.unlink(mount.message("INBOX", 4))
    assert "\\Flagged" in mount.flags(mount.message("INBOX", 3))
    took = mount.unmount(LIMIT)
    print(f"unmounted after {took:.2f} s")


@pytest.mark.extension("KEYWORDS")
@pytest.mark.parametrize("how", ["thaw", "new server"])
def test_catches_up_by_itself(pair, make_client, generator, how):
    """As soon as the server answers again, both directions go on without a hand."""
    server, mount = pair
    server.freeze()
    os.setxattr(mount.message("INBOX", 3), "user.imap.flag.Later", b"")
    mail = generator.mail(300)
    with open(mount.path("INBOX", "written.eml"), "wb") as f:
        f.write(mail.data)
    time.sleep(1)
    if how == "thaw":
        server.thaw()
    else:
        server.kill()
        server.start()
    other = make_client(server.port)
    arrived = other.append("INBOX", generator.mail(301).data)

    def in_step():
        other.select("INBOX", readonly=True)
        held = other.fetch(body=False)
        return "Later" in held[3].flags and len(held) == 52 and \
            f"{arrived}.eml" in os.listdir(mount.path("INBOX"))
    print(f"{how}: in step after {wait_until(in_step, 60, 'in step'):.1f} s")
    other.select("INBOX")
    assert [m.data for m in other.fetch().values()].count(mail.data) == 1
