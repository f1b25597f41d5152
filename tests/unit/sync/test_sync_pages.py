# SPDX-License-Identifier: MIT
"""Ranges that are asked for page by page (RFC 9394), and what QRESYNC tells of message numbers."""

import itertools

import pytest
from driven import Driven

from tools.imapd import Imapd, refuse

BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "LIST-EXTENDED", "LIST-STATUS", "ENABLE"]
PAGED = [*BASE, "PARTIAL"]


def options():
    return {"connections": 1, "poll": 600000, "profile": 2}


def letter(n):
    return f"Message-ID: <{n}@example.org>\r\nSubject: {n}\r\n\r\ntext {n}\r\n".encode()


def sparse(offers, count, gap=17):
    """Messages between which others were expunged."""
    server = Imapd(["INBOX", "Work"], offers)
    add_sparse(server, count, gap)
    return server


def add_sparse(server, count, gap):
    box = server.mailboxes["Work"]
    for n in range(count):
        box.uidnext += gap
        server.append("Work", letter(n))


def uids(d):
    return sorted(e.uid for p, e in d.tree().items() if p.startswith("Work/"))


def truth(server):
    return [m.uid for m in server.mailboxes["Work"].messages]


@pytest.mark.parametrize("offers", [PAGED, [*PAGED, "CONDSTORE"]], ids=["plain", "condstore"])
def test_pages_in_place_of_a_search(tmp_path, offers):
    """The newest first, all of them, and later what is new; nothing is searched. R290"""
    with sparse(offers, 2300) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            assert uids(d) == truth(server)
            pages = server.seen("PARTIAL")
            assert [line[line.index("(PARTIAL"):] for line in pages] == \
                ["(PARTIAL -1:-1000)", "(PARTIAL -1001:-2000)", "(PARTIAL -2001:-3000)"]
            add_sparse(server, 3, 20000)
            server.remove("Work", *truth(server)[:2])
            d.wait()
            assert uids(d) == truth(server)
            assert server.seen("PARTIAL")[3:] == [server.seen("PARTIAL")[3]]
        assert not server.seen("SEARCH") or "CONDSTORE" in offers


def test_no_pages(tmp_path):
    """Not where it is not offered, not where UIDs are dense. R290"""
    for offers, gap in ((BASE, 1000), (PAGED, 0)):
        with sparse(offers, 20, gap) as server:
            path = tmp_path / str(gap)
            path.mkdir()
            with Driven(path, server.port, **options()) as d:
                d.wait()
                assert uids(d) == truth(server)
            assert not server.seen("PARTIAL")


def test_pages_that_shift(tmp_path):
    """What is expunged between two pages lets one message slip through: the number tells, and it is
    searched for. R290"""
    with sparse(PAGED, 1500) as server:
        def expunge_first(session, _command, proceed):
            session.server.remove("Work", *truth(server)[-2:])
            return proceed()

        rule = server.lie(r"PARTIAL -1001", expunge_first, times=1)
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            d.wait()
            assert rule.told == 1
            assert uids(d) == truth(server)


@pytest.mark.parametrize("lie", [refuse("no"), lambda _s, _c, _p: _bad()], ids=["no", "bad"])
def test_pages_refused(tmp_path, lie):
    """A server that offers PARTIAL and does not take it is asked without it. R290"""
    with sparse(PAGED, 30, 1000) as server:
        server.lie("PARTIAL", lie)
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            assert uids(d) == truth(server)
            add_sparse(server, 2, 20000)
            d.wait()
            assert uids(d) == truth(server)
        assert len(server.seen("PARTIAL")) == 1


def _bad():
    return refuse("")(None, None, None).__class__(tagged="BAD what is PARTIAL?")


def test_numbers_of_before(tmp_path):
    """QRESYNC tells which UID some message numbers had, as they were, both sets ascending, fewer of
    them in front; not of a small mailbox. R249"""
    offers = [*BASE, "CONDSTORE", "QRESYNC"]
    with Imapd(["INBOX", "Work"], offers) as server:
        add_sparse(server, 200, 3)
        server.append("INBOX", letter(1000))
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            before = truth(server)
            server.remove("Work", before[20], before[150])
            server.flag("INBOX", 1, ["\\Seen"])
            d.wait()
            assert uids(d) == truth(server)
        numbers, values = next(s.matched for s in server.sessions if s.matched)
        assert numbers == sorted(set(numbers)) and len(numbers) < 10
        assert values == [before[n - 1] for n in numbers]
        assert numbers[-1] == 200 and numbers[0] <= 100
        assert all(a >= b for a, b in itertools.pairwise(b - a for a, b in itertools.pairwise(numbers)))
        assert not server.seen(r"INBOX \(QRESYNC \([^()]*\(")


def test_a_forgetful_server(tmp_path):
    """One that names all UIDs that are not there, but those it can leave out by the numbers. R249"""
    with Imapd(["INBOX", "Work"], [*BASE, "CONDSTORE", "QRESYNC"]) as server:
        add_sparse(server, 200, 3)

        def forgetful(session, command, proceed):
            reply = proceed()
            numbers, values = session.matched
            kept = [m.uid for m in session.view]
            same = [u for n, u in zip(numbers, values) if n <= len(kept) and kept[n - 1] == u]
            start = max(same, default=0) + 1
            gone = [u for u in range(start, session.box.uidnext) if u not in set(kept)]
            reply.untagged = [u for u in reply.untagged if not u.startswith(b"VANISHED")]
            reply.untagged.insert(len(reply.untagged),
                                  b"VANISHED (EARLIER) " + ",".join(map(str, gone)).encode())
            return reply
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            before = truth(server)
            rule = server.lie(r"SELECT Work \(QRESYNC", forgetful)
            server.remove("Work", before[150], before[199])
            server.flag("Work", before[3], ["\\Seen"])
            d.wait()
            assert rule.told == 1
            assert uids(d) == truth(server)
