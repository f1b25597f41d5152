# SPDX-License-Identifier: MIT
"""Servers with fewer extensions: slower, and the same in the end."""

import os

import pytest

MODERN = ("QRESYNC", "CONDSTORE")
BARE = MODERN + ("UIDPLUS", "MOVE", "IDLE", "NOTIFY", "MULTIAPPEND", "LITERAL+", "LIST-EXTENDED",
                 "LIST-STATUS", "SPECIAL-USE", "ESEARCH", "SEARCHRES", "ENABLE", "UNSELECT", "ID",
                 "NAMESPACE", "SASL-IR", "BINARY", "QUOTA", "ACL", "STATUS=SIZE", "CHILDREN",
                 "RIGHTS=texk", "METADATA", "WITHIN", "SORT", "ESORT", "SAVEDATE", "PARTIAL")
LEVELS = {"qresync": (), "condstore": ("QRESYNC",), "plain": MODERN, "bare": BARE}


def as_level(make_proxy, port, level):
    hide = LEVELS[level]
    codes = ("APPENDUID", "COPYUID", "HIGHESTMODSEQ") if level == "bare" else \
        ("HIGHESTMODSEQ",) if level == "plain" else ()
    proxy = make_proxy(port, hide=hide, strip_codes=codes, record=True)
    if level == "bare":
        for name in ("UID EXPUNGE", "UID MOVE", "UNSELECT", "ENABLE", "IDLE", "NOTIFY", "ID",
                     "NAMESPACE", "COMPRESS", "GETQUOTAROOT", "MYRIGHTS"):
            proxy.refuse(name, "BAD unknown command")
    return proxy


@pytest.mark.extension("KEYWORDS")
@pytest.mark.parametrize("level", LEVELS)
def test_same_end_state(make_server, make_client, make_proxy, make_mount, generator, level):
    """New, changed and expunged messages by another client and by the mount, in turn.
    R027, R031, R098, R100, R104, R132, R179, R223, R259, R268"""
    mails = [("INBOX", generator.mail(i, size=2500)) for i in range(60)]
    server = make_server(mails)
    other = make_client(server.port)
    proxy = as_level(make_proxy, server.port, level)
    mount = make_mount(proxy.port, poll="5s")
    mount.sync()
    mount.wait_bodies()
    proxy.stop()
    for uid in range(1, 11):
        os.setxattr(mount.message("INBOX", uid), "user.imap.flags", b"+Flagged +Later")
    for uid in range(11, 16):
        os.unlink(mount.message("INBOX", uid))
    for uid in range(16, 21):
        os.rename(mount.message("INBOX", uid), mount.path("Sent", f"{uid} moved.eml"))
    for n in range(5):
        with open(mount.path("Drafts", f"new {n}.eml"), "wb") as f:
            f.write(generator.mail(900 + n, size=2500).data)
    other.select("INBOX")
    other.store(range(5, 9), "+FLAGS", ["Foreign"])
    other.store(range(1, 3), "-FLAGS", ["\\Seen"])
    other.expunge([10, 41, 42, 60])
    arrived = other.append("INBOX", generator.mail(950).data, ["\\Seen"])
    proxy.start()
    mount.sync()
    check_server(other, mails, generator)
    check_mount(mount, make_client(server.port).account(), arrived)
    if level == "bare":
        assert not proxy.seen("^(ENABLE|IDLE|UNSELECT|UID MOVE|UID EXPUNGE|ID |NAMESPACE)")
        assert not proxy.seen("CONDSTORE|QRESYNC|CHANGEDSINCE|MODSEQ|UNCHANGEDSINCE")
    if level == "plain":
        assert not proxy.seen("CONDSTORE|QRESYNC|CHANGEDSINCE|VANISHED|UNCHANGEDSINCE")
    if level == "condstore":
        assert not proxy.seen("QRESYNC|VANISHED")


def check_server(client, mails, generator):
    client.select("INBOX")
    held = client.fetch()
    assert sorted(held) == [*range(1, 10), *range(21, 41), *range(43, 60), 61]
    for uid in range(1, 10):
        assert {"\\Flagged", "Later"} <= held[uid].flags
        assert ("Foreign" in held[uid].flags) == (5 <= uid < 9)
    for box, uids in (("Sent", range(16, 21)), ("Trash", range(11, 16))):
        client.select(box)
        assert sorted(m.data for m in client.fetch().values()) == \
            sorted(mails[uid - 1][1].data for uid in uids), box
    client.select("Drafts")
    assert sorted(m.data for m in client.fetch().values()) == \
        sorted(generator.mail(900 + n, size=2500).data for n in range(5))


def check_mount(mount, account, arrived):
    """The mount shows what the server has: as many files, each flag, each byte."""
    for box, messages in account.items():
        names = os.listdir(mount.path(box))
        files = [n for n in names if os.path.isfile(mount.path(box, n))]
        assert len(files) == len(messages), box
        for name in files:
            path = mount.path(box, name)
            message = messages[int(os.getxattr(path, "user.imap.uid"))]
            assert mount.flags(path) == message.flags, path
            with open(path, "rb") as f:
                assert f.read() == message.data, path
    assert os.path.exists(mount.message("INBOX", arrived))


@pytest.mark.extension("SHARED")
@pytest.mark.parametrize("step", ["UID SEARCH", "UID STORE", "EXPUNGE"])
def test_expunge_without_uidplus(make_server, make_client, make_proxy, make_mount, generator, step):
    """Five steps as one, cut in each: what others marked is neither erased nor unmarked.
    R074, R076, R078, R079, R080, R081, R139"""
    server = make_server([("INBOX", generator.mail(i, size=1500)) for i in range(70)])
    other = make_client(server.port)
    other.select("INBOX")
    other.store([34, 35], "+FLAGS.SILENT", ["\\Deleted"])
    proxy = as_level(make_proxy, server.port, "bare")
    proxy.cut_reply(step, 2)
    mount = make_mount(proxy.port, delete="expunge", poll="5s")
    mount.sync()
    for uid in (7, 27, 65):
        os.unlink(mount.message("INBOX", uid))
    mount.sync()
    other.select("INBOX")
    held = other.fetch(body=False)
    assert sorted(held) == [u for u in range(1, 71) if u not in (7, 27, 65)]
    assert {u for u, m in held.items() if "\\Deleted" in m.flags} == {34, 35}


def test_cut_pull_deletes_nothing(make_server, make_client, make_proxy, make_mount, generator):
    """R099, R260: the link breaks at many points of the pull, again and again."""
    server = make_server([("INBOX", generator.mail(i, size=1500)) for i in range(200)])
    for level in ("plain", "qresync"):
        proxy = as_level(make_proxy, server.port, level)
        mount = make_mount(proxy.port, name=level)
        mount.sync()
        count = len(mount.messages("INBOX"))
        for at in (1500, 2500, 4000, 6000, 9000):
            proxy.drop()
            proxy.cut_after("down", at)
            mount.run("sync", "--timeout", "5s", mount.point, check=False)
            assert len(mount.messages("INBOX")) == count
        proxy.cut_at.clear()
        mount.sync()
        assert len(mount.messages("INBOX")) == count
        mount.unmount()
