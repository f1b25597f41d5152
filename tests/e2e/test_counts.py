# SPDX-License-Identifier: MIT
"""What much work at once costs on the wire, counted by the proxy between."""

import os
import shutil

import pytest

from lies import UIDPLUS, mail, parked, wait_parked, write
from tools.imapd_parse import Reply
from tools.mount import wait_until

COPIES = 100
MARKS = 1000
UPLOAD = "^APPEND"
BODY = r"BODY(\.PEEK)?\["

dovecot = pytest.mark.dovecot  # the counts are those of its extensions, or of what the proxy leaves
unhindered = pytest.mark.unhindered("counts, and what is refused is sent once more")


def account(make, mails, mailbox="INBOX", **hide):
    """make: (make_server, make_proxy, make_client, make_mount)."""
    server = make[0]([(mailbox, mail) for mail in mails])
    client = make[2](server.port)
    client.create("Kept")
    proxy = make[1](server.port, record=True, **hide)
    mount = make[3](proxy.port, hold="1h")
    mount.sync()
    mount.wait_bodies()
    proxy.commands.clear()
    return client, proxy, mount


@pytest.fixture(name="make")
def _make(make_server, make_proxy, make_client, make_mount):
    return make_server, make_proxy, make_client, make_mount


@dovecot
@unhindered
@pytest.mark.extension("MULTIAPPEND")
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


@dovecot
def test_many_marks_few_stores(make, generator):
    """A thousand messages that are marked one by one: three STOREs at the most. R041, R162"""
    client, proxy, mount = account(make, [generator.mail(n, size=500) for n in range(MARKS)])
    for uid in mount.messages("INBOX"):
        os.setxattr(mount.message("INBOX", uid), "user.imap.flags", b"+Flagged")
    mount.sync()
    assert 1 <= len(proxy.seen("^UID STORE")) <= 3
    client.select("INBOX")
    assert all("\\Flagged" in m.flags for m in client.fetch(body=False).values())


@dovecot
@unhindered
@pytest.mark.extension("OBJECTID")  # else copies that are not told are looked for by headers
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


@dovecot
@unhindered
@pytest.mark.extension("LITERAL+", "MULTIAPPEND")
def test_an_upload_waits_for_nothing(make, generator):
    """Twenty messages take as many turns on the wire as one: no wait for a "+". R063"""
    _, proxy, mount = account(make, [generator.mail(1)])
    turns = []
    for n, count in enumerate((1, 20)):
        proxy.until_quiet()
        before = proxy.turnarounds
        for i in range(count):
            write(os.path.join(mount.path("Kept"), f"{n} {i}.eml"), generator.mail(100 * n + i, size=6000).data)
        mount.sync()
        turns.append(proxy.turnarounds - before)
    assert len(proxy.seen(UPLOAD)) == 2
    assert turns[1] <= turns[0] + 2, "as much as chance may add"


@dovecot
@unhindered
def test_changes_do_not_wait_for_each_other(make, generator):
    """Sixty changes of sixty kinds are on their way together, and what is noted here between two
    answers costs no turn. R005, R095"""
    _, proxy, mount = account(make, [generator.mail(n, size=500) for n in range(60)])
    before = proxy.turnarounds
    for n, uid in enumerate(mount.messages("INBOX")):
        os.setxattr(mount.message("INBOX", uid), "user.imap.flags", f"+Word{n}".encode())
    mount.sync()
    assert len(proxy.seen("^UID STORE")) == 60
    assert proxy.turnarounds - before <= 30


@dovecot
def test_the_next_mailbox_does_not_wait(make, generator):
    """While one mailbox answers the next is selected already. R095"""
    server = make[0]([(f"Box{n}", generator.mail(n, size=500)) for n in range(6)])
    trace = []
    proxy = make[1](server.port, delay=0.05,
                    on_command=lambda link, tag, name, line: trace.append((link.number, tag, name)),
                    on_reply=lambda link, tag, name, line, command: trace.append((link.number, tag, "reply")))
    mount = make[3](proxy.port)
    mount.sync()
    early = 0
    for n, (link, tag, name) in enumerate(trace):
        if name == "SELECT":
            answer = (link, tag, "reply")
            until = trace.index(answer, n) if answer in trace[n:] else len(trace)
            early += any(t[0] == link and t[2] == "SELECT" for t in trace[n + 1:until])
    assert early >= 3


def test_one_poisoned_message_of_many(lying, place):
    """A MULTIAPPEND is all or nothing: the message that the server will not have is singled out, the
    others arrive, each once, and it stays here with the reason. R064"""
    server, mount = lying([*UIDPLUS, "MULTIAPPEND"])

    def squeamish(_session, command, proceed):
        return Reply(tagged="NO [CANNOT] poison") if any(b"poison" in d for d in command.literals) else proceed()
    server.lie("^APPEND", squeamish)
    bodies = [mail(100 + n) for n in range(4)]
    for n, body in enumerate([*bodies[:2], mail(200) + b"poison\r\n", *bodies[2:]]):
        write(os.path.join(place, f"{n}.eml"), body)
        shutil.copy(os.path.join(place, f"{n}.eml"), os.path.join(mount.path("Work"), f"{n}.eml"))
    wait_parked(mount)
    wait_until(lambda: len(server.bodies("Work")) == 4, 30, "the others arrived")
    assert sorted(server.bodies("Work")) == sorted(bodies)
    rows = parked(mount)
    assert len(rows) == 1 and "2.eml" in rows[0][2] and "poison" in rows[0][6]
    with open(os.path.join(mount.path("Work"), "2.eml"), "rb") as f:
        assert b"poison" in f.read()
    mount.run("queue", mount.point, "drop", rows[0][0])


def test_a_move_where_a_copy_has_no_room(lying):
    """Over quota MOVE may go where COPY does not: it is used where it is offered, else the move waits for
    the user with the server's reason, and the message stays. R278"""
    for n, offers in enumerate(([*UIDPLUS, "MOVE"], UIDPLUS)):
        server, mount = lying(offers, name=f"m{n}")
        server.lie("^UID COPY", lambda *_: Reply(tagged="NO [OVERQUOTA] no room for a copy"))
        os.rename(mount.message("INBOX", 1), os.path.join(mount.path("Work"), "1.eml"))
        if n == 0:
            mount.sync()
            assert server.bodies("Work") == [mail(1)]
            assert server.seen("^UID COPY") == []
        else:
            wait_parked(mount)
            assert "no room for a copy" in parked(mount)[0][6]
            assert mail(1) in server.bodies("INBOX")
