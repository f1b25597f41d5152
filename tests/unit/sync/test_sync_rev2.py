# SPDX-License-Identifier: MIT
"""IMAP4rev2 (RFC 9051) and UTF8=ACCEPT (RFC 6855): the same account, named otherwise on the wire."""

import re

import pytest
from driven import Driven

from tools.imapd import Imapd
from tools.imapd_parse import Reply

KINDS = {
    "rev1": ["IMAP4rev1", "ENABLE"],
    "both": ["IMAP4rev1", "IMAP4rev2", "ENABLE"],
    "rev2": ["IMAP4rev2"],
    "utf8": ["IMAP4rev1", "ENABLE", "UTF8=ACCEPT", "UIDPLUS"],
    "not wanted": ["IMAP4rev1", "IMAP4rev2", "UTF8=ACCEPT", "ENABLE"],
}
NAMES = ["Entwürfe", "A&B", "日本語", "plain"]


def options(kind, **more):
    words = {"connections": 1, "poll": 600000, "profile": 1, "hold": 0, **more}
    if kind == "not wanted":
        words["disable"] = "IMAP4REV2 UTF8=ACCEPT"
    return words


def esearch(_session, command, proceed):
    """RFC 9051 6.4.4: the answer is an ESEARCH."""
    reply = proceed()
    for i, line in enumerate(reply.untagged):
        if line.startswith(b"SEARCH"):
            numbers = line.split()[1:]
            found = b" ALL " + b",".join(numbers) if numbers else b""
            reply.untagged[i] = b'ESEARCH (TAG "%s") UID' % command.tag.encode() + found
    return reply


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def server(kind):
    with Imapd(["INBOX"]) as s:
        s.capabilities = KINDS[kind]
        if kind in ("both", "rev2"):
            s.lie("^UID SEARCH", esearch)
        yield s


def test_names_there_and_back(server, kind, tmp_path):
    """Mailboxes with names beyond ASCII, made by others and here: the same names in each form, also after the
    server takes or gives up IMAP4rev2. R292, R294, R302, R305"""
    for name in NAMES:
        server.create(imap_name(name))
        server.append(imap_name(name), b"Subject: x\r\n\r\nx\r\n")
    with Driven(tmp_path, server.port, **options(kind)) as d:
        d.wait()
        assert d.mailboxes() >= set(NAMES)
        for name in NAMES:
            d.append(name, "new.eml", b"Subject: new\r\n\r\nnew\r\n")
        d.do("mkdir", "", "Ärger & Co")
        d.do("remove", "plain/1.eml", 2)
        d.wait()
        assert imap_name("Ärger & Co") in server.mailboxes
        assert all(len(server.bodies(imap_name(n))) == (1 if n == "plain" else 2) for n in NAMES)
        ids = {n: server.mailboxes[imap_name(n)].uidvalidity for n in NAMES}
    enabled = server.seen("^ENABLE")
    assert bool(enabled) == (kind in ("both", "utf8"))
    asked = len(server.transcript)
    server.capabilities = KINDS["rev1" if kind != "rev1" else "both"] + ["UIDPLUS"]
    with Driven(tmp_path, server.port, **options("rev1")) as d:
        d.wait()
        assert d.mailboxes() >= {*NAMES, "Ärger & Co"}
        assert {e.uidvalidity for p, e in d.tree().items() if p.startswith("Entw")} == {ids["Entwürfe"]}
    later = [line for _, line in server.transcript[asked:]]
    assert not [line for line in later if re.search("FETCH.*RFC822.SIZE", line)]  # nothing was forgotten


def imap_name(name):
    from tools.mutf7 import encode
    return encode(name)


def test_upload_with_utf8_header(server, kind, tmp_path):
    """A message with UTF-8 in its header: in UTF8 ( ) where that is enabled, as it is elsewhere; byte for
    byte in both. R302"""
    data = "Subject: Grüße\r\n\r\nÄ\r\n".encode()
    plain = "Subject: x\r\n\r\nÄ\r\n".encode()
    with Driven(tmp_path, server.port, **options(kind)) as d:
        d.wait()
        d.append("INBOX", "a.eml", data)
        d.append("INBOX", "b.eml", plain)
        if kind == "not wanted":  # this server refuses what it could take
            d.do("kick")
            d.until(lambda: len(server.bodies("INBOX")) == 1)
            return
        d.wait()
        assert sorted(server.bodies("INBOX")) == sorted([data, plain])
    wrapped = server.seen(r"^APPEND .*UTF8 \(")
    assert len(wrapped) == (1 if kind == "utf8" else 0)


def test_without_recent_and_unseen(tmp_path):
    """SELECT of IMAP4rev2: LIST comes, RECENT and UNSEEN do not. R295"""
    def lean(_session, _command, proceed):
        reply = proceed().without("RECENT|UNSEEN|FLAGS \\(")
        reply.untagged.append(b'LIST () "/" "INBOX"')
        return reply
    with Imapd(["INBOX"]) as server:
        server.capabilities = KINDS["rev2"]
        server.append("INBOX", b"Subject: x\r\n\r\nx\r\n")
        server.lie("^SELECT", lean)
        with Driven(tmp_path, server.port, **options("rev2")) as d:
            d.wait()
            assert list(d.tree()) == ["INBOX/1.eml"]


def test_what_rev2_absorbed(tmp_path):
    """CAPABILITY IMAP4rev2 and nothing else: UID MOVE, UID EXPUNGE, UNSELECT and the rest are used.
    R305, R298, R299"""
    with Imapd(["INBOX", "Work"]) as server:
        server.capabilities = KINDS["rev2"]
        server.subscribed.add("Work")
        for _ in range(3):
            server.append("INBOX", b"Subject: x\r\n\r\nx\r\n")
        with Driven(tmp_path, server.port, **options("rev2")) as d:
            d.wait()
            d.do("move", "INBOX/1.eml", "Work", "1.eml")
            d.do("remove", "INBOX/2.eml", 2)
            d.wait()
            assert len(server.bodies("Work")) == 1 and len(server.bodies("INBOX")) == 1
        assert server.seen("^UID MOVE") and server.seen("^UID EXPUNGE") and server.seen("^UNSELECT")
        assert server.seen(r"^LIST .*RETURN \(SUBSCRIBED") and not server.seen("^LSUB")
        assert not server.seen("^ENABLE")


def test_enable_is_refused(tmp_path):
    """BAD to ENABLE: as without. R292"""
    with Imapd(["INBOX", imap_name("Ä")]) as server:
        server.capabilities = KINDS["both"] + ["QRESYNC", "CONDSTORE"]
        server.lie("^ENABLE", lambda _s, _c, _p: Reply(tagged="BAD no"))
        with Driven(tmp_path, server.port, **options("both")) as d:
            d.wait()
            assert "Ä" in d.mailboxes()
            d.append("Ä", "a.eml", b"Subject: x\r\n\r\nx\r\n")
            d.wait()
            assert len(server.bodies(imap_name("Ä"))) == 1
