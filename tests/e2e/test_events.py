# SPDX-License-Identifier: MIT
"""What comes from elsewhere is told: .imapfs/events, directory times, the names and attributes themselves."""

import json
import os
import subprocess

import pytest

from lies import QRESYNC, mail
from tools.mount import wait_until


def lines(path):
    """What is there of them as a whole: they are being written."""
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


@pytest.mark.extension("KEYWORDS")
def test_events(make_server, make_client, make_mount, generator, place):
    """tail -f reads one JSON object a line: new mail, flags, removal, a new mailbox, each with its path."""
    server = make_server([("INBOX", generator.mail(i)) for i in range(3)])
    mount = make_mount(server.port, poll="1s")
    mount.sync()
    events = os.path.join(mount.point, ".imapfs", "events")
    assert "events" in os.listdir(os.path.dirname(events))
    assert lines(events) == []
    followed = os.path.join(place, "followed")
    with open(followed, "wb") as out, \
            subprocess.Popen(["tail", "-s", "0.1", "-f", events], stdout=out, stdin=subprocess.DEVNULL) as tail:
        try:
            client = make_client(server.port)
            before = os.stat(mount.path("INBOX")).st_mtime_ns
            client.append("INBOX", generator.mail(9).data, ["\\Flagged"])
            wait_until(lambda: "4.eml" in os.listdir(mount.path("INBOX")), 30, "new mail")
            wait_until(lambda: os.stat(mount.path("INBOX")).st_mtime_ns > before, 30, "the directory's time")
            client.select("INBOX")
            client.store([2], "+FLAGS.SILENT", ["$Work"])
            client.expunge([1])
            client.create("Brand new")
            new_box = os.path.relpath(mount.path("Brand new"), mount.point)

            def told():
                return {(e["event"], e["path"]) for e in lines(followed)}
            wait_until(lambda: {("added", "INBOX/4.eml"), ("changed", "INBOX/2.eml"), ("removed", "INBOX/1.eml"),
                                ("added", new_box)} <= told(), 40, "events")
        finally:
            tail.terminate()
    new = [e for e in lines(followed) if e["path"] == "INBOX/4.eml"][0]
    assert new["kind"] == "message" and new["uid"] == 4 and "\\Flagged" in new["flags"].split()
    assert new["time"].endswith("Z")
    assert lines(events)[:1] == lines(followed)[:1]


@pytest.mark.extension("KEYWORDS")
def test_many_events_start_a_new_file(make_server, make_client, make_mount, generator):
    """It is bounded: the name then means a new file, and who has the old one open keeps it."""
    server = make_server([("INBOX", generator.mail(n, size=500)) for n in range(1000)])
    mount = make_mount(server.port, poll="1s", sync="headers")
    mount.sync()
    events = os.path.join(mount.point, ".imapfs", "events")
    first = os.stat(events).st_ino
    client = make_client(server.port)
    client.select("INBOX")
    with open(events, "rb") as old:
        for n in range(20):
            client.store(["1:*"], "+-"[n % 2] + "FLAGS.SILENT", [f"$Keyword{n // 2}"])
            mount.sync()
            if os.stat(events).st_ino != first:
                break
        assert os.stat(events).st_ino != first
        assert len(old.read().splitlines()) > 1000
    assert 0 < os.stat(events).st_size < 1 << 20
    assert all(e["event"] == "changed" for e in lines(events))


def test_seen_once_in_step(lying):
    """What `imapfs sync` has waited for is seen by the next look, also when the kernel, which answers names
    and attributes from memory, had much to be told first.  R021, R256"""
    server, mount = lying(QRESYNC, prepare=lambda s: [s.append("INBOX", mail(n)) for n in range(4, 1500)])
    mount.wait_bodies()
    inbox = mount.path("INBOX")
    for gone in range(1, 6):
        before = os.stat(inbox).st_mtime_ns
        assert os.path.exists(os.path.join(inbox, f"{gone}.eml"))
        for uid in range(6, 1500):
            server.flag("INBOX", uid, ["$Odd"] if gone % 2 else [], [] if gone % 2 else ["$Odd"])
        server.remove("INBOX", gone)
        mount.sync()
        assert not os.path.exists(os.path.join(inbox, f"{gone}.eml"))
        assert f"{gone}.eml" not in os.listdir(inbox)
        assert os.stat(inbox).st_mtime_ns > before


def test_masks(make_server, make_mount, generator):
    """umask, fmask and dmask, uid and gid; a chmod that they hide is no error."""
    server = make_server([("INBOX", generator.mail(0))])
    mount = make_mount(server.port, umask="0", fmask="077", dmask="027", uid="12", gid="34")
    mount.sync()
    path = mount.message("INBOX", 1)
    file, directory = os.stat(path), os.stat(mount.path("INBOX"))
    assert (file.st_uid, file.st_gid, directory.st_uid, directory.st_gid) == (12, 34, 12, 34)
    assert file.st_mode & 0o777 & 0o077 == 0
    assert directory.st_mode & 0o777 & 0o027 == 0
    assert file.st_mode & 0o600 == 0o600 and directory.st_mode & 0o700 == 0o700
