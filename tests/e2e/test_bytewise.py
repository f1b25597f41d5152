# SPDX-License-Identifier: MIT
"""A session whose every byte comes in a packet of its own ends as one that comes in large pieces."""

import os

import pytest

from lies import mail, read, write

ITEMS = "user.imap.flags", "user.imap.internaldate", "user.imap.size"


def a_day(mount, client, name):
    """Every kind of command and answer there is in a plain day; ends in step."""
    inbox = mount.messages("INBOX")
    for uid in inbox:
        read(mount.message("INBOX", uid))
    os.setxattr(mount.message("INBOX", inbox[0]), "user.imap.flags", b"+Flagged -Seen")
    os.setxattr(mount.message("INBOX", inbox[1]), "user.imap.flag.$Work", b"1")
    os.rename(mount.message("INBOX", inbox[2]), mount.path("Sent", "moved.eml"))
    os.unlink(mount.message("INBOX", inbox[3]))
    write(mount.path("Sent", "new.eml"), mail(50, 2000))
    os.mkdir(mount.path(name))
    write(mount.path(name, "x.eml"), mail(51))
    mount.sync()
    client.select("INBOX")
    uids = client.uids()
    client.store(uids[:2], "+FLAGS", ["Foreign"])
    client.expunge(uids[-2:])
    client.append("INBOX", mail(52), date=1_600_000_000)
    mount.sync()
    mount.wait_bodies()


def tree(mount):
    """What can be seen of the account, names made of UIDs apart."""
    found = []
    for where, below, files in os.walk(mount.point):
        for name in below:
            found.append((os.path.relpath(os.path.join(where, name), mount.point),))
        for name in files:
            path = os.path.join(where, name)
            facts = [os.getxattr(path, item) for item in ITEMS if item != "user.imap.internaldate"
                     or not name.endswith(("new.eml", "x.eml"))]
            found.append((os.path.relpath(where, mount.point), read(path), *facts))
    return sorted(found, key=repr)


def contents(client):
    """{mailbox: [(body, flags)]} as the server has it."""
    return {name: sorted(((m.data, sorted(m.flags)) for m in found.values()), key=repr)
            for name, found in client.account().items()}


@pytest.mark.extension("KEYWORDS")
@pytest.mark.parametrize("secured", ["plain", "tls"])
def test_every_byte_a_packet(secured, make_server, make_proxy, make_client, make_mount, generator):
    """R096, R113: how bytes are cut on the wire changes nothing, with TLS or without."""
    ends = []
    for bytewise in (False, True):
        server = make_server([(box, m) for box, m in generator.account(40) if len(m.data) < 4000])
        proxy = make_proxy(server.port if secured == "plain" else server.tls_port, bytewise=bytewise)
        secure = {"tls": "implicit", "cafile": server.cafile} if secured == "tls" else {}
        mount = make_mount(proxy.port, name=f"m{int(bytewise)}", poll="2s", **secure)
        mount.sync()
        client = make_client(server.port)
        a_day(mount, client, generator.legal("Größe {5}"))
        ends.append((tree(mount), contents(client)))
        assert mount.run("status", mount.point, check=False).returncode == 0
        mount.unmount()
    (whole, on_server), (cut, cut_on_server) = ends
    assert [x for x in whole if x not in cut] == [x for x in cut if x not in whole] == []
    assert whole == cut and on_server == cut_on_server
    assert proxy.bytes["down"] > 20_000
