# SPDX-License-Identifier: MIT
"""A day's work on each server there is: what was done here is there, once, and the other way."""

import os

import pytest

from tools.kinds import KINDS, Flaky, rev1_proxy
from tools.proxy import Proxy

SIZE = 2000
HINDRANCES = {
    "dovecot": (), "cyrus": (), "courier": (), "imap4d": (), "rev1": ("dovecot", rev1_proxy, {}),
    "flaky": ("dovecot", Proxy, {"flaky": 10}),
}


class Place:
    """A server, what stands before it, a mount and another client."""

    def __init__(self, name, place, make_mount):
        what = HINDRANCES[name] or (name, None, {})
        self.kind = KINDS[what[0]]
        self.server = self.kind()
        self.proxy = Proxy(self.server.port)
        self.port = self.proxy.port
        self.hindrance = self.mount = self.other = None
        self.place = place
        self.make_mount = make_mount
        if what[1]:
            flaky = what[2].get("flaky")
            self.hindrance = what[1](self.proxy.port,
                                     **({"on_command": Flaky(flaky)} if flaky else {}))
            self.port = self.hindrance.port

    def start(self, mails, **options):
        self.server.fill(mails)
        self.server.start()
        self.other = self.server.client()
        self.mount = self.make_mount(self.port, **self.kind.way_in(), **options)
        self.mount.sync()

    def close(self):
        for end in (self.mount, self.other):
            if end:
                end.close()
        if self.hindrance:
            self.hindrance.stop()
        self.proxy.stop()
        self.server.close()


@pytest.fixture(name="at", params=sorted(HINDRANCES))
def _at(request, place, make_mount):
    at = Place(request.param, place, make_mount)
    yield at
    at.close()


def bodies(messages):
    """Servers add a last line end, and may not keep an empty one."""
    return sorted(m.data.rstrip(b"\r\n") for m in messages)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def same(at):
    """What the mount shows is what the server has: names, bytes and flags."""
    at.mount.sync()
    held = at.other.account()
    for name, messages in held.items():
        directory = at.mount.path(name)
        files = [f for f in os.listdir(directory) if os.path.isfile(os.path.join(directory, f))]
        shown = {}
        for file in files:
            path = os.path.join(directory, file)
            uid = int(os.getxattr(path, "user.imap.uid"))
            shown[uid] = (read(path), at.mount.flags(path))
        assert sorted(shown) == sorted(messages), name
        for uid, message in messages.items():
            assert shown[uid][0] == message.data, (name, uid)
            assert shown[uid][1] == message.flags, (name, uid)


def test_a_day(at, generator):
    """Every kind of action, offline, then online; and what another client did meanwhile.
    R027, R041, R046, R060, R074, R083, R149, R154, R157, R259"""
    mail = [generator.mail(i, size=SIZE) for i in range(30)]
    at.start([("INBOX", m) for m in mail[:12]])
    mount, other = at.mount, at.other
    same(at)
    uids = mount.messages("INBOX")
    assert len(uids) == 12
    other.select("INBOX")
    first = other.fetch()

    # everything there is, without a network
    mount.wait_bodies()
    at.proxy.stop()
    os.setxattr(mount.message("INBOX", uids[0]), "user.imap.flags", b"+Flagged -Seen")
    os.setxattr(mount.message("INBOX", uids[1]), "user.imap.flag.Answered", b"")
    os.rename(mount.message("INBOX", uids[2]), mount.path("Sent", "moved.eml"))
    os.link(mount.message("INBOX", uids[3]), mount.path("Sent", "copied.eml"))
    os.unlink(mount.message("INBOX", uids[4]))
    os.mkdir(mount.path("New"))
    for n in range(12, 15):
        write(mount.path("New", f"{n} new.eml"), mail[n].data)
    os.setxattr(mount.path("New", "12 new.eml"), "user.imap.flag.Flagged", b"")
    os.rename(mount.path("New", "13 new.eml"), mount.path("INBOX", "thirteen.eml"))
    os.rename(mount.path("New"), mount.path("Newer"))
    write(mount.message("INBOX", uids[5]), mail[20].data)
    os.mkdir(mount.path("Gone"))
    os.rmdir(mount.path("Gone"))
    # meanwhile
    other.store([uids[0], uids[6]], "+FLAGS.SILENT", ["\\Answered"])
    other.append("INBOX", mail[16].data, ["\\Seen"], mail[16].date)
    other.store([uids[7]], "+FLAGS.SILENT", ["\\Deleted"])
    other.imap.unselect()
    at.proxy.start()
    same(at)

    assert not os.path.exists(mount.path("New")) and not os.path.exists(mount.path("Gone"))
    assert {"Newer", "Sent", "Trash"} <= set(other.mailboxes())
    assert not {"New", "Gone"} & set(other.mailboxes())
    held = other.account()
    assert bodies(held["Newer"].values()) == bodies([mail[12], mail[14]])
    assert bodies(held["Sent"].values()) == bodies([first[uids[2]], first[uids[3]]])
    assert bodies(held["Trash"].values()) == bodies([first[uids[4]]])
    inbox = held["INBOX"]
    assert bodies(inbox.values()) == bodies(
        [first[u] for u in uids if u not in (uids[2], uids[4], uids[5])] +
        [mail[13], mail[16], mail[20]])
    assert {"\\Flagged", "\\Answered"} <= inbox[uids[0]].flags
    assert "\\Seen" not in inbox[uids[0]].flags
    assert "\\Answered" in inbox[uids[1]].flags and "\\Deleted" in inbox[uids[7]].flags
    flagged = [m for m in held["Newer"].values() if "\\Flagged" in m.flags]
    if at.kind.name != "imap4d":  # it forgets the flags of an APPEND
        assert bodies(flagged) == bodies([mail[12]])


@pytest.mark.parametrize("at", ("courier", "rev1"), indirect=True)
def test_deleted_by_flag_stays_away(at, generator):
    """Without UNSELECT both connections may have the mailbox selected: flags that one read before the
    other changed them do not bring the file back.  R233"""
    at.start([("INBOX", generator.mail(i, size=SIZE)) for i in range(6)], delete="flag")
    for uid in (2, 4):
        os.unlink(at.mount.message("INBOX", uid))
        at.mount.sync()
        assert f"{uid}.eml" not in os.listdir(at.mount.path("INBOX"))
    at.other.select("INBOX")
    held = at.other.fetch(body=False)
    assert {u for u, m in held.items() if "\\Deleted" in m.flags} == {2, 4}
