# SPDX-License-Identifier: MIT
"""An edited message by UID REPLACE (RFC 8508): once, in one step, whatever is lost on the way."""

import pytest
from driven import Driven

from tools import imapd
from tools.imapd import Imapd
from tools.imapd_parse import Cut, Reply

BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "REPLACE"]


def letter(n):
    return f"Message-ID: <{n}@example.org>\r\nSubject: {n}\r\n\r\ntext {n}\r\n".encode()


def options(**more):
    return {"connections": 1, "poll": 600000, "profile": 1, **more}


@pytest.fixture
def server(request):
    level = getattr(request, "param", "plain")
    offers = [*BASE, "ENABLE", "CONDSTORE", "QRESYNC"] if level == "qresync" else BASE
    with Imapd(["INBOX", "Work"], offers) as s:
        s.append("Work", letter(1), ["\\Flagged"])
        s.append("Work", letter(2))
        s.strict = True
        yield s


def edited(server, tmp_path, **more):
    """The first message becomes another one; returns when the log is empty."""
    d = Driven(tmp_path, server.port, **options(**more))
    d.wait()
    d.edit("Work/1.eml", letter(9), "<9@example.org>")
    return d


def check(server, d):
    d.wait()
    assert sorted(server.bodies("Work")) == sorted([letter(2), letter(9)])
    assert server.flags("Work", server.mailboxes["Work"].messages[-1].uid) == {"\\Flagged"}
    entry = d.tree()["Work/1.eml"]
    assert entry.uid == server.mailboxes["Work"].messages[-1].uid
    assert d.queue() == []


@pytest.mark.parametrize("server", ["qresync", "plain"], indirect=True)
def test_in_one_step(server, tmp_path):
    """Flags, date and name stay; no APPEND, STORE or EXPUNGE of its own. R044, R252"""
    with edited(server, tmp_path) as d:
        check(server, d)
    assert len(server.seen("^UID REPLACE 1 Work")) == 1
    assert not server.seen("^(APPEND|EXPUNGE)")
    if "QRESYNC" in server.capabilities:  # VANISHED has said that the old one is gone
        assert not server.seen("^UID (STORE|EXPUNGE|SEARCH)")


def test_not_used_when_disabled(server, tmp_path):
    """-o disable=REPLACE: by APPEND and UID EXPUNGE."""
    with edited(server, tmp_path, disable="REPLACE") as d:
        check(server, d)
    assert not server.seen("REPLACE") and server.seen("^APPEND") and server.seen("^UID EXPUNGE")


@pytest.mark.parametrize("answer", [
    imapd.refuse("[CANNOT] not now"), imapd.pretend("BAD what"), imapd.half_done(),
    imapd.hide("APPENDUID"), imapd.pretend("OK replaced")], ids=["NO", "BAD", "half", "no uid", "liar"])
def test_by_hand(server, tmp_path, answer):
    """Refused, refused and done all the same, done without a word, not done: there is one in the end."""
    server.lie("^UID REPLACE", answer)
    with edited(server, tmp_path) as d:
        check(server, d)


def test_old_one_stays(server, tmp_path):
    """OK and the new one is there, but the old one, too: it goes by hand."""
    def keeps(session, _command, proceed):
        before = list(session.box.messages)
        reply = proceed()
        session.box.messages = before + session.box.messages[-1:]
        return reply
    server.lie("^UID REPLACE", keeps)
    with edited(server, tmp_path) as d:
        check(server, d)


def test_old_one_is_gone(server, tmp_path):
    """Another client has expunged it meanwhile: the new one is stored."""
    with Driven(tmp_path, server.port, **options()) as d:
        d.wait()
        d.do("pause", 1)
        d.edit("Work/1.eml", letter(9), "<9@example.org>")
        server.remove("Work", 1)
        d.do("pause", 0)
        d.wait()
        assert sorted(server.bodies("Work")) == sorted([letter(2), letter(9)])


@pytest.mark.parametrize("done,lines", [(False, 0), (True, 0), (True, 1)])
def test_lost_answer(server, tmp_path, done, lines):
    """The link ends with the command, done or not, behind each line of its answer. R112, R256"""
    def lost(_session, _command, proceed):
        reply = proceed() if done else Reply()
        raise Cut(b"".join(b"* " + line + b"\r\n" for line in reply.untagged[:lines]))
    server.lie("^UID REPLACE", lost, times=1)
    with edited(server, tmp_path) as d:
        check(server, d)
