# SPDX-License-Identifier: MIT
"""Others change the same messages meanwhile: nothing of anybody is lost."""

import os
import random

import pytest

from tools.mount import wait_until


@pytest.fixture(name="offline")
def _offline(make_server, make_proxy, make_client, make_mount, generator):
    """(client of the server, proxy, mount without a network)."""
    server = make_server([("INBOX", generator.mail(i, size=2000)) for i in range(10)])
    proxy = make_proxy(server.port, record=True)
    client = make_client(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    mount.wait_bodies()
    proxy.stop()
    client.select("INBOX")
    return client, proxy, mount


def online(proxy, mount):
    """Until nothing is pending that could still be sent."""
    proxy.start()
    wait_until(lambda: mount.run("status", mount.point, check=False).returncode in (0, 2), 60,
               "replayed")
    mount.run("sync", "--timeout", "20s", mount.point, check=False)


@pytest.mark.extension("KEYWORDS")
def test_flags_of_an_expunged_message(offline):
    """R147: forgotten in silence."""
    client, proxy, mount = offline
    os.setxattr(mount.message("INBOX", 3), "user.imap.flag.Later", b"")
    client.expunge([3])
    online(proxy, mount)
    assert mount.run("status", mount.point, check=False).returncode == 0
    assert not os.path.exists(mount.message("INBOX", 3))


def test_delete_of_what_is_gone(offline):
    """R145"""
    client, proxy, mount = offline
    os.unlink(mount.message("INBOX", 3))
    client.expunge([3])
    online(proxy, mount)
    assert mount.run("status", mount.point, check=False).returncode == 0
    assert len(client.uids()) == 9


@pytest.mark.extension("SHARED")
def test_undeleted_meanwhile(make_server, make_proxy, make_client, make_mount, generator):
    """R075, R083: UID EXPUNGE of exactly ours; a foreign \\Deleted stays where it is."""
    server = make_server([("INBOX", generator.mail(i, size=2000)) for i in range(10)])
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port, delete="expunge")
    mount.sync()
    proxy.stop()
    os.unlink(mount.message("INBOX", 2))
    client = make_client(server.port)
    client.select("INBOX")
    client.store([5, 6], "+FLAGS.SILENT", ["\\Deleted"])
    online(proxy, mount)
    assert client.status("Drafts") == 0
    client.select("INBOX")
    held = client.fetch(body=False)
    assert sorted(held) == [1, 3, 4, 5, 6, 7, 8, 9, 10]
    assert {u for u, m in held.items() if "\\Deleted" in m.flags} == {5, 6}


def test_move_of_what_is_gone_elsewhere(offline):
    """R148, R154: OK without COPYUID is no copy; the bytes that were here are not thrown away."""
    client, proxy, mount = offline
    with open(mount.message("INBOX", 4), "rb") as f:
        data = f.read()
    os.rename(mount.message("INBOX", 4), mount.path("Sent", "kept.eml"))
    client.expunge([4])
    online(proxy, mount)
    client.select("Sent")
    on_server = [m.data for m in client.fetch().values()]
    here = []
    for path, _, files in os.walk(mount.point):
        for name in files:
            with open(os.path.join(path, name), "rb") as f:
                here.append(f.read())
    assert data in on_server or data in here or \
        mount.run("status", mount.point, check=False).returncode == 2


@pytest.mark.extension("KEYWORDS")
def test_order_of_the_users_actions(make_server, make_proxy, make_client, make_mount, generator):
    """R026, R134: flag, move, flag again and upload in an order that matters."""
    server = make_server([("INBOX", generator.mail(i, size=2000)) for i in range(4)])
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    proxy.stop()
    os.setxattr(mount.message("INBOX", 1), "user.imap.flag.First", b"")
    os.mkdir(mount.path("New"))
    os.rename(mount.message("INBOX", 1), mount.path("New", "a.eml"))
    os.setxattr(mount.path("New", "a.eml"), "user.imap.flag.Second", b"")
    os.removexattr(mount.path("New", "a.eml"), "user.imap.flag.First")
    with open(mount.path("New", "b.eml"), "wb") as f:
        f.write(generator.mail(70, size=2000).data)
    os.setxattr(mount.path("New", "b.eml"), "user.imap.flag.Flagged", b"")
    os.rename(mount.path("New", "b.eml"), mount.path("Drafts", "b.eml"))
    os.rename(mount.path("New"), mount.path("Newer"))
    mount.kill()
    mount.start()
    online(proxy, mount)
    client = make_client(server.port)
    client.select("Newer")
    held = list(client.fetch().values())
    assert [m.data for m in held] == [generator.mail(0, size=2000).data]
    assert "Second" in held[0].flags and "First" not in held[0].flags
    client.select("Drafts")
    held = list(client.fetch().values())
    assert [m.data for m in held] == [generator.mail(70, size=2000).data]
    assert "\\Flagged" in held[0].flags
    assert "New" not in client.mailboxes()


def test_copy_then_remove_the_mailbox(make_server, make_proxy, make_client, make_mount, generator):
    """R135: the copy out of a mailbox comes before that mailbox's end."""
    server = make_server([("Old", generator.mail(i, size=2000)) for i in range(3)])
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    mount.wait_bodies()
    proxy.stop()
    os.link(mount.message("Old", 2), mount.path("INBOX", "kept.eml"))
    for name in os.listdir(mount.path("Old")):
        os.unlink(mount.path("Old", name))
    os.rmdir(mount.path("Old"))
    online(proxy, mount)
    client = make_client(server.port)
    client.select("INBOX")
    assert [m.data for m in client.fetch().values()] == [generator.mail(1, size=2000).data]
    assert "Old" not in client.mailboxes()


def test_same_message_id_different_content(make_server, make_proxy, make_client, make_mount):
    """R054, R055, R227, R272: without UIDPLUS a Message-ID is all there is, and it may lie."""
    head = b"Message-ID: <same@example.org>\r\nFrom: a@example.org\r\nSubject: "
    server = make_server()
    proxy = make_proxy(server.port, hide=("UIDPLUS",), strip_codes=("APPENDUID", "COPYUID"))
    proxy.refuse("UID EXPUNGE", "BAD unknown command")
    mount = make_mount(proxy.port)
    mount.sync()
    texts = [head + b"%d\r\n\r\nbody %d\r\n" % (n, n) for n in range(4)]
    for n, text in enumerate(texts):
        with open(mount.path("Drafts", f"{n} same.eml"), "wb") as f:
            f.write(text)
    mount.sync()
    os.rename(mount.path("Drafts", "1 same.eml"), mount.path("Sent", "one.eml"))
    mount.sync()
    mount.remount()
    mount.sync()
    for n in (0, 2, 3):
        with open(mount.path("Drafts", f"{n} same.eml"), "rb") as f:
            assert f.read() == texts[n]
    with open(mount.path("Sent", "one.eml"), "rb") as f:
        assert f.read() == texts[1]
    client = make_client(server.port)
    client.select("Drafts")
    assert sorted(m.data for m in client.fetch().values()) == [texts[0], texts[2], texts[3]]


@pytest.mark.dovecot("is told another UIDVALIDITY")
def test_another_uidvalidity(make_server, make_proxy, make_client, make_mount, generator):
    """R015, R016, R017, R033, R034, R036: the tree follows the server, uploads go on, actions on
    old UIDs are not carried out on new ones."""
    server = make_server([("INBOX", generator.mail(i, size=2000)) for i in range(6)])
    proxy = make_proxy(server.port)
    client = make_client(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    mount.wait_bodies()
    proxy.stop()
    os.unlink(mount.message("INBOX", 2))
    os.setxattr(mount.message("INBOX", 3), "user.imap.flag.Later", b"")
    new = [generator.mail(80 + n, size=2000) for n in range(3)]
    for n, mail in enumerate(new):
        path = mount.path("INBOX", f"new {n}.eml")
        with open(path, "wb") as f:
            f.write(mail.data)
        os.setxattr(path, "user.imap.flag.Flagged", b"")
    client.close()
    server.doveadm("mailbox", "update", "-u", "test", "--uid-validity", "77777",
                   "--min-next-uid", "500", "INBOX")
    online(proxy, mount)
    client = make_client(server.port)
    client.select("INBOX")
    held = list(client.fetch().values())
    for mail in new:
        found = [m for m in held if m.data == mail.data]
        assert len(found) == 1 and "\\Flagged" in found[0].flags
    assert len(held) == 9, "a deletion was carried out on another generation of UIDs"
    mount.run("sync", "--timeout", "20s", mount.point, check=False)
    names = os.listdir(mount.path("INBOX"))
    assert len(names) == 9
    assert int(os.getxattr(mount.path("INBOX"), "user.imap.uidvalidity")) == 77777


@pytest.mark.extension("KEYWORDS")
def test_soak_of_two_clients(make_server, make_proxy, make_client, make_mount, generator):
    """R027, R132: random changes on both sides, links that break; both sides end up equal and
    nobody's message is lost or doubled."""
    rng = random.Random(7)
    server = make_server([("INBOX", generator.mail(i, size=1500)) for i in range(40)])
    proxy = make_proxy(server.port)
    other = make_client(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    uploaded, serial = [], 100
    for _ in range(60):
        other.select("INBOX")
        uids = other.uids()
        names = [n for n in os.listdir(mount.path("INBOX")) if n.endswith(".eml")]
        action = rng.choice(("flag", "foreign flag", "new", "foreign new", "cut", "move", "sync"))
        if action == "flag" and names:
            change(mount, rng, names)
        elif action == "foreign flag" and uids:
            other.store([rng.choice(uids)], rng.choice(("+FLAGS", "-FLAGS")), ["\\Answered"])
        elif action == "new":
            serial += 1
            uploaded.append(generator.mail(serial, size=1500))
            with open(mount.path("INBOX", f"up {serial}.eml"), "wb") as f:
                f.write(uploaded[-1].data)
        elif action == "foreign new":
            serial += 1
            uploaded.append(generator.mail(serial, size=1500))
            other.append("INBOX", uploaded[-1].data)
        elif action == "cut":
            proxy.drop()
        elif action == "move" and names:
            name = rng.choice(names)
            os.rename(mount.path("INBOX", name), mount.path("Sent", f"{serial} {name}"))
        elif action == "sync":
            mount.sync()
    mount.sync()
    account = make_client(server.port).account()
    everything = [m.data for box in account.values() for m in box.values()]
    expected = [generator.mail(i, size=1500).data for i in range(40)] + [m.data for m in uploaded]
    assert sorted(everything) == sorted(expected)
    for box, messages in account.items():
        files = os.listdir(mount.path(box))
        assert len([n for n in files if os.path.isfile(mount.path(box, n))]) == len(messages)
        for name in files:
            path = mount.path(box, name)
            if os.path.isfile(path):
                message = messages[int(os.getxattr(path, "user.imap.uid"))]
                assert mount.flags(path) == message.flags, path


def change(mount, rng, names):
    """A message may be expunged or renamed between the listing and this."""
    try:
        os.setxattr(mount.path("INBOX", rng.choice(names)), "user.imap.flags",
                    rng.choice((b"+Flagged", b"-Flagged", b"+Later -Seen", b"+Seen")))
    except FileNotFoundError:
        pass
