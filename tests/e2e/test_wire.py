# SPDX-License-Identifier: MIT
"""What is said on the wire, seen by a proxy: rules that hold whatever the user does."""

import os
import re

import pytest

from tools.mount import wait_until


@pytest.fixture(name="day")
def _day(make_server, make_proxy, make_client, make_mount, generator):
    """A mount after a day of everything: (server, proxy, mount, client)."""
    server = make_server(list(generator.account(150)))
    proxy = make_proxy(server.port, record=True)
    client = make_client(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    inbox = mount.messages("INBOX")
    for uid in inbox[:20]:
        os.setxattr(mount.message("INBOX", uid), "user.imap.flags", b"+Flagged -Seen")
    for uid in inbox[20:24]:
        os.rename(mount.message("INBOX", uid), mount.path("Sent", f"moved {uid}.eml"))
    for uid in inbox[24:27]:
        os.unlink(mount.message("INBOX", uid))
    for n in range(5):
        with open(mount.path("Drafts", f"new {n}.eml"), "wb") as f:
            f.write(generator.mail(500 + n, size=3000).data)
        os.setxattr(mount.path("Drafts", f"new {n}.eml"), "user.imap.flag.Draft", b"")
    os.mkdir(mount.path("Ablage"))
    os.rename(mount.message("INBOX", inbox[27]), mount.path("Ablage", "x.eml"))
    proxy.drop()
    mount.sync()
    client.select("INBOX")
    client.store(client.uids()[:3], "+FLAGS", ["Foreign"])
    client.expunge(client.uids()[-2:])
    client.append("INBOX", generator.mail(600).data)
    mount.sync()
    os.unlink(mount.path("Ablage", "x.eml"))
    mount.sync()
    os.rmdir(mount.path("Ablage"))
    mount.sync()
    return server, proxy, mount, client


@pytest.mark.extension("UIDPLUS")
def test_rules_of_the_wire(day):
    """R009, R068, R074, R084, R112, R230, R253, R258, R296, R297: forms that are never sent."""
    _, proxy, _, _ = day
    lines = [c[3].split(b" ", 1)[1].decode("latin-1") for c in proxy.commands]
    for forbidden in (r"(FETCH|STORE|COPY|MOVE|SEARCH|EXPUNGE)\b", r"CLOSE\b", r"CHECK\b",
                      r"UID STORE \S+ (\(UNCHANGEDSINCE \d+\) )?FLAGS", r".*\bBODY\[",
                      r"UID FETCH .*\bRFC822(\.HEADER|\.TEXT)?[ )]"):
        assert not [x for x in lines if re.match(forbidden, x)], forbidden
    assert max(map(len, lines)) <= 8192


@pytest.mark.extension("UNSELECT")
def test_connections(day):
    """R166, R167, R233, R241, R170, R168: two links, no mailbox selected on both, ENABLE first,
    no STATUS of what is selected."""
    _, proxy, _, _ = day
    selected, enabled = {}, set()
    for link, _, name, line in proxy.commands:
        words = line.decode("latin-1").split(" ", 2)
        if name == "ENABLE":
            assert link not in selected, "ENABLE after a SELECT"
            enabled.add(link)
        elif name in ("SELECT", "EXAMINE"):
            assert b"QRESYNC" not in line or link in enabled, "QRESYNC before ENABLE"
            selected[link] = re.match(r'"(?:[^"\\]|\\.)*"|\S+', words[2]).group().strip('"')
        elif name == "UNSELECT":
            selected.pop(link, None)
        elif name == "STATUS":
            box = re.match(r'"(?:[^"\\]|\\.)*"|\S+', words[2]).group().strip('"')
            assert selected.get(link) != box, "STATUS of the selected mailbox"
    assert len([k for k in proxy.links if not k.closed]) <= 2


def test_only_uids_that_the_server_gave(day):
    """R128: an invented UID is never sent."""
    _, proxy, _, client = day
    highest = max(client.status(box, "UIDNEXT") for box in client.mailboxes())
    for _, _, name, line in proxy.commands:
        if name in ("UID STORE", "UID MOVE", "UID COPY", "UID EXPUNGE"):
            for number in re.findall(rb"\d+", line.split(b" ")[3]):
                assert 0 < int(number) < highest, line


@pytest.mark.extension("CONDSTORE")
def test_nothing_changed_costs_nothing(day):
    """R004, R022, R094, R156, R216, R307: a pass without news, and a remount without."""
    _, proxy, mount, _ = day
    mount.wait_bodies()
    mount.sync()
    proxy.until_quiet()
    proxy.commands.clear()
    before = dict(proxy.bytes)
    mount.sync()
    assert not proxy.seen("^(UID|SELECT|EXAMINE|APPEND|CREATE)"), [c[3] for c in proxy.commands]
    assert proxy.bytes["down"] - before["down"] < 6000
    mount.unmount()
    proxy.commands.clear()
    before = dict(proxy.bytes)
    mount.start()
    mount.sync()
    assert not proxy.seen("BODY"), [c[3] for c in proxy.commands]
    assert len(proxy.seen("^(SELECT|EXAMINE)")) <= 1, "more than the mailbox that is watched"
    assert proxy.bytes["down"] - before["down"] < 15000


def test_flags_of_many_go_together(make_server, make_proxy, make_client, make_mount, generator):
    """R073: 1,000 messages marked as read are a few commands with ranges."""
    server = make_server([("INBOX", generator.mail(i, size=1200)) for i in range(1000)])
    make_client(server.port).select("INBOX")
    proxy = make_proxy(server.port, record=True)
    mount = make_mount(proxy.port, sync="headers")
    mount.sync()
    proxy.stop()
    for uid in range(1, 1001):
        os.setxattr(mount.message("INBOX", uid), "user.imap.flag.$Work", b"")
    proxy.start()
    mount.sync()
    stores = proxy.seen("^UID STORE")
    print(f"{len(stores)} STORE commands for 1000 messages")
    assert len(stores) <= 20
    client = make_client(server.port)
    client.select("INBOX")
    assert len(client.uids("KEYWORD $Work")) == 1000


def test_headers_profile_fetches_bodies_on_demand(make_server, make_proxy, make_mount, generator):
    """R106, R120: no body until somebody reads; then that one, and no other's body in full."""
    mails = [generator.mail(i, size=5000) for i in range(30)]
    server = make_server([("INBOX", m) for m in mails])
    proxy = make_proxy(server.port, record=True)
    mount = make_mount(proxy.port, sync="headers")
    mount.sync()
    assert not proxy.seen(r"BODY\.PEEK\[\]")
    path = mount.message("INBOX", 7)
    assert os.stat(path).st_size == len(mails[6].data)
    assert os.getxattr(path, "user.imap.body") == b"absent"
    with open(path, "rb") as f:
        assert f.read() == mails[6].data
    assert os.getxattr(path, "user.imap.body") == b"cached"
    assert proxy.seen(r"BODY\.PEEK\[\]")


def test_size_limit(make_server, make_proxy, make_mount, generator):
    """R106: a message over max-size is there with its size; its body comes when it is read."""
    mails = [generator.mail(0, size=3000), generator.mail(1, size=300000)]
    server = make_server([("INBOX", m) for m in mails])
    mount = make_mount(server.port, max_size="100000")
    mount.sync()
    wait_until(lambda: os.getxattr(mount.message("INBOX", 1), "user.imap.body") == b"cached", 30)
    path = mount.message("INBOX", 2)
    assert os.getxattr(path, "user.imap.body") != b"cached"
    assert os.stat(path).st_size == len(mails[1].data)
    with open(path, "rb") as f:
        assert f.read() == mails[1].data


def test_lost_link_is_one_event(make_server, make_proxy, make_mount, generator):
    """R140, R141: 300 actions wait while the network is away; the log says so once or so."""
    server = make_server([("INBOX", generator.mail(i, size=1500)) for i in range(300)])
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    proxy.stop()
    for uid in range(1, 301):
        os.setxattr(mount.message("INBOX", uid), "user.imap.flag.Later", b"")
    with open(mount.log_path, encoding="utf-8", errors="replace") as f:
        assert len(f.read().splitlines()) < 60
    proxy.start()
    mount.sync()
