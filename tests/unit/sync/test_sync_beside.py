# SPDX-License-Identifier: MIT
"""What the server tells of the INBOX while the serving connection does something else there than IDLE, and
what changed there while it was away: here without a poll all the same."""

import threading
import time

import pytest
from driven import Driven

from tools.imapd import Imapd

BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "IDLE"]
CONDSTORE = [*BASE, "ENABLE", "CONDSTORE", "QRESYNC"]
FIRST, SECOND = b"Subject: x\r\n\r\nx\r\n", b"Subject: y\r\n\r\ny\r\n"
ON_DEMAND = {"connections": 2, "poll": 3600000, "profile": 2}


def flags(d):
    return {e.uid: e.flags for p, e in d.tree().items() if p.startswith("INBOX/")}


def at_rest(d, server):
    d.wait()
    d.until(lambda: server.seen("^IDLE"), 30)


@pytest.mark.parametrize("capabilities", [BASE, CONDSTORE])
@pytest.mark.parametrize("change,after", [
    (lambda server: server.append("INBOX", SECOND), {1: set(), 2: set(), 3: set()}),
    (lambda server: server.flag("INBOX", 2, ["\\Flagged"]), {1: set(), 2: {"\\Flagged"}}),
    (lambda server: server.remove("INBOX", 2), {1: set()}),
], ids=["new", "flag", "gone"])
def test_told_with_a_body(tmp_path, capabilities, change, after):
    """Beside the answer to somebody's FETCH.  R021, R100, R256"""
    with Imapd(["INBOX"], capabilities) as server:
        for data in (FIRST, SECOND):
            server.append("INBOX", data)

        def beside(session, _command, proceed):
            reply = proceed()
            change(server)
            reply.untagged += session.news()
            return reply
        with Driven(tmp_path, server.port, **ON_DEMAND) as d:
            at_rest(d, server)
            server.lie(r"^UID FETCH.*BODY\.PEEK\[\]", beside, times=1)
            d.do("body", "INBOX/1.eml", 20000)
            d.until(lambda: flags(d) == after, 20)


def test_back_for_a_body(tmp_path):
    """It comes back into the INBOX, which the other one had meanwhile, for a body.  R021"""
    with Imapd(["INBOX"], BASE) as server:
        server.append("INBOX", FIRST)
        under_way = threading.Event()

        def slow(_session, _command, proceed):
            under_way.set()
            time.sleep(1)
            server.append("INBOX", SECOND)
            return proceed()
        server.lie("^UID STORE", slow, times=1)
        with Driven(tmp_path, server.port, **ON_DEMAND) as d:
            at_rest(d, server)
            d.do("flag", "INBOX/1.eml", "\\Flagged", "")
            d.do("kick")
            assert under_way.wait(20)
            d.do("body", "INBOX/1.eml", 20000)
            d.until(lambda: flags(d).keys() == {1, 2}, 20)


def test_wants_while_it_connects(tmp_path):
    """Whoever wants a body is served by the other one and does not break off the attempt.  R120"""
    with Imapd(["INBOX"], BASE) as server:
        for _ in range(20):
            server.append("INBOX", FIRST)
        greeted = []

        def greeting():
            greeted.append(True)
            time.sleep(2 if len(greeted) > 1 else 0)
            return [b"* OK hello\r\n"]
        server.greeting = greeting
        with Driven(tmp_path, server.port, **ON_DEMAND) as d:
            d.wait()
            for uid in range(1, 21):
                d.do("body", f"INBOX/{uid}.eml", 20000)
            at_rest(d, server)
            assert len(server.sessions) == 2


def test_the_same_told_all_the_time(tmp_path):
    """A server that tells the same flags with all it says is not asked for them without end.  R021"""
    with Imapd(["INBOX"], BASE) as server:
        server.append("INBOX", FIRST)
        server.noise = True
        with Driven(tmp_path, server.port, **ON_DEMAND) as d:
            at_rest(d, server)
            d.do("body", "INBOX/1.eml", 20000)
            server.append("INBOX", SECOND)
            d.until(lambda: flags(d).keys() == {1, 2}, 20)
            idled = len(server.seen("^IDLE"))
            d.until(lambda: len(server.seen("^IDLE")) > idled or idled > 1, 20)
        assert len(server.seen("^UID FETCH")) < 30


def test_a_body_nobody_asked_for(tmp_path):
    """In IDLE, when the one that was asked for has long come: it is of no use to anybody.  R256"""
    with Imapd(["INBOX"], BASE) as server:
        server.append("INBOX", FIRST)
        pushed = threading.Event()

        def push(session, _command, proceed):
            session.write(b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n")
            pushed.set()
            return proceed()
        with Driven(tmp_path, server.port, **ON_DEMAND) as d:
            at_rest(d, server)
            server.lie("^IDLE", push, times=1)
            d.do("body", "INBOX/1.eml", 20000)
            assert pushed.wait(20)
            server.append("INBOX", SECOND)
            d.until(lambda: flags(d).keys() == {1, 2}, 20)
            assert d.tree()["INBOX/1.eml"].length == str(len(FIRST))
