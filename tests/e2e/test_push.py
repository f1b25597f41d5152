# SPDX-License-Identifier: MIT
"""What another client does is seen on the mount by itself, by IDLE or NOTIFY.  The aim is two
seconds; the limit here leaves room for a busy machine, the seconds seen are printed."""

import os

import pytest

from tools.mount import wait_until

LIMIT = 5


@pytest.fixture(name="pair")
def _pair(make_server, make_client, make_mount, generator):
    server = make_server([("INBOX", generator.mail(i)) for i in range(30)])
    mount = make_mount(server.port)
    mount.sync()
    other = make_client(server.port)
    other.select("INBOX")
    os.listdir(mount.path("INBOX"))
    return mount, other


def seen(what, condition):
    print(f"{what} seen after {wait_until(condition, LIMIT, what):.2f} s")


@pytest.mark.extension("IDLE")
def test_new_mail(pair, generator):
    """R021: three arrivals one after another, each in the listing and readable."""
    mount, other = pair
    for n in range(3):
        mail = generator.mail(100 + n)
        uid = other.append("INBOX", mail.data, (), mail.date)
        path = mount.message("INBOX", uid)
        seen("new mail", lambda name=f"{uid}.eml": name in os.listdir(mount.path("INBOX")))
        with open(path, "rb") as f:
            assert f.read() == mail.data
        assert int(os.stat(path).st_mtime) == mail.date


@pytest.mark.extension("IDLE")
def test_flag_change(pair):
    """R100: set and removed, although the kernel had looked at the file before."""
    mount, other = pair
    path = mount.message("INBOX", 7)
    mount.flags(path)
    before = os.stat(path)
    other.store([7], "+FLAGS.SILENT", ["\\Flagged", "$Work"])
    seen("flags", lambda: mount.flags(path) >= {"\\Flagged", "$Work"})
    other.store([7], "-FLAGS.SILENT", ["$Work"])
    seen("flag removed", lambda: "$Work" not in mount.flags(path))
    after = os.stat(path)
    assert after.st_ctime_ns > before.st_ctime_ns and after.st_mtime_ns == before.st_mtime_ns


@pytest.mark.extension("IDLE")
def test_expunge(pair):
    """R031, R256: gone from listing and from stat."""
    mount, other = pair
    path = mount.message("INBOX", 9)
    os.stat(path)
    other.expunge([9])
    seen("expunge", lambda: not os.path.exists(path))
    assert "9.eml" not in os.listdir(mount.path("INBOX"))


def test_new_mailbox_and_other_mailbox(pair, generator):
    """A mailbox made elsewhere is found by the next pass at the latest. R011"""
    mount, other = pair
    other.create("Neu/Kind")
    other.append("Neu/Kind", generator.mail(200).data)
    mount.sync()
    [uid] = mount.messages("Neu/Kind")
    with open(mount.message("Neu/Kind", uid), "rb") as f:
        assert f.read() == generator.mail(200).data
