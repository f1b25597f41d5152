# SPDX-License-Identifier: MIT
"""The test servers themselves, asked by Python's own client: what they say is what they should."""

import imaplib
import socket
import time

import pytest

from tools import imapd
from tools.imapd import Imapd
from tools.scripted import Scripted

MAIL = b"From: a@example.org\r\nMessage-ID: <one@example.org>\r\nSubject: one\r\n\r\nbody\r\n"


@pytest.fixture(name="server")
def _server():
    with Imapd(["INBOX", "Work"], ["UIDPLUS", "MOVE", "UNSELECT", "IDLE", "LITERAL+"]) as server:
        yield server


def connect(server, mailbox=None):
    client = imaplib.IMAP4("127.0.0.1", server.port, timeout=20)
    client.login("test", "secret")
    if mailbox:
        assert client.select(mailbox)[0] == "OK"
    return client


def test_sign_in(server):
    client = imaplib.IMAP4("127.0.0.1", server.port, timeout=20)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login("test", "wrong")
    with pytest.raises(imaplib.IMAP4.error):
        client.select("INBOX")
    answer = client.authenticate("PLAIN", lambda _: b"\0test\0secret")
    assert answer[0] == "OK"


def test_mailboxes(server):
    client = connect(server)
    assert client.create("Work/Old")[0] == "OK"
    assert b"ALREADYEXISTS" in client.create("Work")[1][0]
    assert [line.decode() for line in client.list('""', "%")[1]] == \
        ['() "/" "INBOX"', '() "/" "Work"']
    assert client.rename("Work", "Play")[0] == "OK"
    assert sorted(server.mailboxes) == ["INBOX", "Play", "Play/Old"]
    assert client.delete("Play/Old")[0] == "OK"
    assert client.delete("Play/Old")[0] == "NO"
    assert b"UIDNEXT 1" in client.status("Play", "(MESSAGES UIDNEXT)")[1][0]


def test_append_and_fetch(server):
    client = connect(server)
    text = client.append("INBOX", r"(\Seen $Work)", '" 1-Jun-2020 10:00:00 +0200"', MAIL)[1][0]
    assert b"APPENDUID 1000 1" in text
    client.select("INBOX")
    line, data = client.uid("FETCH", "1", "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")[1][0]
    assert data == MAIL
    assert b'INTERNALDATE " 1-Jun-2020 08:00:00 +0000"' in line
    assert b"RFC822.SIZE %d" % len(MAIL) in line
    _, part = client.uid("FETCH", "1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0]
    assert part == b"Subject: one\r\n\r\n"
    _, part = client.uid("FETCH", "1", "(BODY.PEEK[]<5.3>)")[1][0]
    assert part == MAIL[5:8]
    assert b"UID 1" in client.uid("FETCH", "9:*", "(FLAGS)")[1][0]  # as real ones
    assert b"TRYCREATE" in client.append("None", None, None, MAIL)[1][0]


def test_store_search_copy_move_expunge(server):
    for i in range(4):
        server.append("INBOX", MAIL.replace(b"one@", b"%d@" % i))
    client = connect(server, "INBOX")
    client.uid("STORE", "2:3", "+FLAGS.SILENT", r"(\Deleted)")
    assert client.uid("SEARCH", "DELETED")[1] == [b"2 3"]
    assert client.uid("SEARCH", "UNDELETED", "HEADER", "Message-ID", '"<3@example.org>"')[1] \
        == [b"4"]
    assert client.uid("SEARCH", "UID", "2:3", "SMALLER", str(len(MAIL)))[1] == [b"2 3"]
    assert client.uid("COPY", "1", "Work")[0] == "OK"
    assert client.response("COPYUID")[1] == [b"1001 1 1"]
    assert client.uid("EXPUNGE", "3")[0] == "OK"
    assert [m.uid for m in server.mailboxes["INBOX"].messages] == [1, 2, 4]
    assert client.uid("MOVE", "4", "Work")[0] == "OK"
    assert len(server.bodies("Work")) == 2
    assert client.expunge()[0] == "OK"
    assert [m.uid for m in server.mailboxes["INBOX"].messages] == [1]


def test_others_are_told(server):
    server.append("INBOX", MAIL)
    client = connect(server, "INBOX")
    server.append("INBOX", MAIL)
    client.noop()
    assert client.response("EXISTS")[1][-1] == b"2"
    server.remove("INBOX", 1)
    client.noop()
    assert client.response("EXPUNGE")[1] == [b"1"]


def test_idle(server):
    client = connect(server, "INBOX")
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+")
    server.append("INBOX", MAIL)
    assert client.readline() == b"* 1 EXISTS\r\n"
    client.send(b"DONE\r\n")
    assert client.readline() == b"x OK idled\r\n"


def test_only_what_is_offered():
    with Imapd() as server:
        server.strict = True
        server.append("INBOX", MAIL)
        client = connect(server, "INBOX")
        for call in (lambda: client.uid("MOVE", "1", "INBOX"), lambda: client.fetch("1", "(FLAGS)"),
                     lambda: client.uid("COPY", "0", "INBOX"),
                     lambda: client.uid("STORE", "1", "FLAGS", r"(\Seen)"), client.close):
            with pytest.raises(imaplib.IMAP4.error, match="BAD"):
                call()


def test_lies(server):
    message = server.append("INBOX", MAIL)
    message.size = 5
    client = connect(server, "INBOX")
    assert b"RFC822.SIZE 5 " in client.uid("FETCH", "1", "(RFC822.SIZE BODY.PEEK[])")[1][0][0]
    message.body = None
    assert b"BODY[] NIL" in client.uid("FETCH", "1", "(BODY.PEEK[])")[1][0]
    rule = server.lie("^UID COPY", imapd.refuse("[LIMIT] no"), times=1)
    assert client.uid("COPY", "1", "Work") == ("NO", [b"[LIMIT] no"])
    assert (rule.told, server.bodies("Work")) == (1, [])
    server.lie("^UID COPY", imapd.half_done(), times=1)
    assert client.uid("COPY", "1", "Work")[0] == "NO"
    assert server.bodies("Work") == [MAIL]
    server.lie("^UID EXPUNGE", imapd.pretend())
    server.append("INBOX", MAIL)
    client.noop()
    server.lie("^UID SEARCH", imapd.twice, times=1)
    assert client.uid("SEARCH", "ALL")[1] == [b"2 2 1 1"]
    server.lie("^LIST", imapd.hide("Work"), times=1)
    assert len(client.list()[1]) == 1 and len(client.list()[1]) == 2
    server.lie("^SELECT", imapd.hide("UIDNEXT"), times=1)
    client.select("INBOX")
    assert client.response("UIDNEXT")[1] == [None]


def test_quota(server):
    server.quota_bytes = 10
    client = connect(server)
    assert b"OVERQUOTA" in client.append("INBOX", None, None, MAIL)[1][0]


def test_noise_is_legal(server):
    server.noise = True
    server.append("INBOX", MAIL)
    client = connect(server, "INBOX")
    assert client.uid("SEARCH", "ALL")[1] == [b"1"]
    assert client.noop()[0] == "OK"


@pytest.mark.parametrize("lie", [imapd.truncated(1), imapd.truncated(0, b"* 1 FE"), imapd.bye()])
def test_cuts(server, lie):
    server.append("INBOX", MAIL)
    server.append("INBOX", MAIL)
    client = connect(server, "INBOX")
    server.lie("^UID FETCH", lie)
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        client.uid("FETCH", "1:*", "(FLAGS)")


def test_uidvalidity_change(server):
    server.append("INBOX", MAIL)
    before = server.mailboxes["INBOX"].uidvalidity
    server.new_uidvalidity("INBOX")
    client = connect(server, "INBOX")
    assert int(client.response("UIDVALIDITY")[1][0]) > before
    assert client.uid("SEARCH", "ALL")[1] == [b"101"]


SCRIPT = """
    S: * OK [CAPABILITY IMAP4rev1] hello
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1
    S: TAG OK done
    C: LOGIN test "secret"
    S: TAG OK welcome
    C: /NOOP|CHECK/
    S: * 3 EXISTS
    S: TAG OK done
    cut
    S: * BYE not again
"""


def test_script_kept():
    script = Scripted(SCRIPT)
    client = imaplib.IMAP4("127.0.0.1", script.port, timeout=20)
    client.login("test", "secret")
    assert client.noop()[0] == "OK"
    with socket.create_connection(("127.0.0.1", script.port)) as second:
        assert second.makefile("rb").readline().startswith(b"* BYE")
        script.finish()


def test_script_broken():
    script = Scripted(SCRIPT, deadline=5)
    with socket.create_connection(("127.0.0.1", script.port)) as client:
        client.sendall(b"1 NOOP\r\n")
        with pytest.raises(AssertionError, match="step 2: expected 'CAPABILITY'"):
            script.finish()


def test_script_not_finished():
    began = time.monotonic()
    script = Scripted(SCRIPT, deadline=1)
    with pytest.raises(AssertionError, match="step 1"):
        script.finish()
    assert time.monotonic() - began < 15


def lines_of(client, command):
    """The untagged lines of a raw command, and the tagged one."""
    client.send(b"z " + command + b"\r\n")
    lines = []
    while not lines or not lines[-1].startswith(b"z "):
        lines.append(client.readline().rstrip(b"\r\n"))
    return lines[:-1], lines[-1]


def test_modseq():
    """CONDSTORE and QRESYNC as RFC 7162 has them."""
    with Imapd(["INBOX"], ["UIDPLUS", "ENABLE", "CONDSTORE", "QRESYNC"]) as server:
        for _ in range(3):
            server.append("INBOX", MAIL)
        client = connect(server)
        assert lines_of(client, b"SELECT INBOX (QRESYNC (1000 1))")[1].startswith(b"z BAD")
        assert lines_of(client, b"ENABLE QRESYNC")[0] == [b"* ENABLED QRESYNC"]
        assert b"* OK [HIGHESTMODSEQ 4] highest" in lines_of(client, b"SELECT INBOX")[0]
        server.flag("INBOX", 2, ["\\Seen"])
        server.remove("INBOX", 1)
        assert lines_of(client, b"NOOP")[0] == \
            [b"* VANISHED 1", b"* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (5))"]
        assert lines_of(client, b"UID FETCH 1:3 (FLAGS) (CHANGEDSINCE 4 VANISHED)")[0] == \
            [b"* VANISHED (EARLIER) 1", b"* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (5))"]
        lines = lines_of(client, b"SELECT INBOX (QRESYNC (1000 4 1:3))")[0]
        assert lines[0].startswith(b"* OK [CLOSED]")
        assert lines[-2:] == [b"* VANISHED (EARLIER) 1",
                              b"* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (5))"]
        assert lines_of(client, b"UID STORE 3 +FLAGS.SILENT (\\Deleted)")[0] == \
            [b"* 2 FETCH (UID 3 MODSEQ (7))"]
        assert lines_of(client, b"UID EXPUNGE 3") == \
            ([b"* VANISHED 3"], b"z OK [HIGHESTMODSEQ 8] expunged")
        assert b"HIGHESTMODSEQ 8" in lines_of(client, b"STATUS INBOX (HIGHESTMODSEQ)")[0][0]
        server.mailboxes["INBOX"].highestmodseq = None
        assert b"* OK [NOMODSEQ] none here" in lines_of(client, b"SELECT INBOX")[0]
        assert lines_of(client, b"UID FETCH 2 (FLAGS) (CHANGEDSINCE 1)")[1].startswith(b"z BAD")
