# SPDX-License-Identifier: MIT
"""What much work at once costs on the wire, counted by the proxy between."""

import os
import shutil

import pytest

COPIES = 100
MARKS = 1000
UPLOAD = "^APPEND"
BODY = r"BODY(\.PEEK)?\["

pytestmark = pytest.mark.dovecot  # the counts are those of its extensions, or of what the proxy leaves


def account(make, mails, mailbox="INBOX", **hide):
    """make: (make_server, make_proxy, make_client, make_mount)."""
    server = make[0]([(mailbox, mail) for mail in mails])
    client = make[2](server.port)
    client.create("Kept")
    proxy = make[1](server.port, record=True, **hide)
    mount = make[3](proxy.port, hold="1s")
    mount.sync()
    mount.wait_bodies()
    proxy.commands.clear()
    return client, proxy, mount


@pytest.fixture(name="make")
def _make(make_server, make_proxy, make_client, make_mount):
    return make_server, make_proxy, make_client, make_mount


def test_many_files_one_append(make, place, generator):
    """A hundred files that are copied into a mailbox go up by one command. R063, R065"""
    client, proxy, mount = account(make, [generator.mail(1)])
    source = os.path.join(place, "source")
    os.mkdir(source)
    mails = [generator.mail(100 + n, size=3000) for n in range(COPIES)]
    for n, mail in enumerate(mails):
        with open(os.path.join(source, f"m{n}.eml"), "wb") as f:
            f.write(mail.data)
    shutil.copytree(source, mount.path("Kept"), dirs_exist_ok=True)
    mount.sync()
    assert len(proxy.seen(UPLOAD)) == 1
    client.select("Kept")
    assert sorted(m.data for m in client.fetch().values()) == sorted(m.data for m in mails)


def test_many_marks_few_stores(make, generator):
    """A thousand messages that are marked one by one: three STOREs at the most. R041, R162"""
    client, proxy, mount = account(make, [generator.mail(n, size=500) for n in range(MARKS)])
    for uid in mount.messages("INBOX"):
        os.setxattr(mount.message("INBOX", uid), "user.imap.flags", b"+Flagged")
    mount.sync()
    assert 1 <= len(proxy.seen("^UID STORE")) <= 3
    client.select("INBOX")
    assert all("\\Flagged" in m.flags for m in client.fetch(body=False).values())


@pytest.mark.parametrize("hide", [(), ("MOVE",), ("MOVE", "UIDPLUS")], ids=["MOVE", "UIDPLUS", "bare"])
def test_many_moves_no_body(make, generator, hide):
    """A thousand cached messages that are moved: no byte of a body comes down, and none goes up. R057"""
    mails = [generator.mail(n, size=500) for n in range(MARKS)]
    client, proxy, mount = account(make, mails, hide=hide)
    down = proxy.bytes["down"]
    for uid in mount.messages("INBOX"):
        os.rename(mount.message("INBOX", uid), os.path.join(mount.path("Kept"), f"{uid}.eml"))
    mount.sync()
    assert proxy.bytes["down"] - down < 500 * MARKS, "less than the bodies"
    assert proxy.seen(BODY) == []
    assert proxy.seen(UPLOAD) == []
    client.select("INBOX")
    assert client.uids() == []
    client.select("Kept")
    assert sorted(m.data for m in client.fetch().values()) == sorted(m.data for m in mails)
    for name in os.listdir(mount.path("Kept"))[:20]:
        with open(os.path.join(mount.path("Kept"), name), "rb") as f:
            assert f.read() in {m.data for m in mails}
    assert proxy.seen(BODY) == []
