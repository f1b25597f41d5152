# SPDX-License-Identifier: MIT
"""Changes by mod-sequence (RFC 7162): the same end as without, for less."""

import itertools

import pytest
from driven import IN_STEP, Driven

from tools import imapd
from tools.client import Client
from tools.dovecot import Dovecot
from tools.imapd import Imapd
from tools.proxy import Proxy

LEVELS = {"qresync": "", "condstore": "QRESYNC", "plain": "QRESYNC CONDSTORE"}
CHANGES = ("flag", "expunge", "new")
COMBINATIONS = [c for n in range(len(CHANGES) + 1) for c in itertools.combinations(CHANGES, n)]
BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "LIST-EXTENDED", "LIST-STATUS", "ENABLE", "CONDSTORE"]


def letter(n):
    return f"Message-ID: <{n}@example.org>\r\nSubject: {n}\r\n\r\ntext {n}\r\n".encode()


def options(level, **more):
    words = {"connections": 1, "poll": 600000, "profile": 2, **more}
    if LEVELS[level]:
        words["disable"] = LEVELS[level]
    return words


def state(d, mailbox):
    return {e.uid: e.flags for p, e in d.tree().items() if p.rsplit("/", 1)[0] == mailbox}


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot() as server:
        yield server


@pytest.fixture
def other(dovecot):
    with Client(dovecot.port) as c:
        for name in c.mailboxes():
            c.select(name)
            if c.uids():
                c.expunge(c.uids())
            c.imap.unselect()
            if name not in ("INBOX", "Drafts", "Sent", "Trash"):
                c.delete(name)
        yield c


def change(c, what, n):
    """Another client's doing in the selected mailbox."""
    uids = c.uids()
    if "flag" in what:
        c.store([uids[n % 5]], "+FLAGS", [f"$Mark{n}"])
        c.store([uids[5]], "-FLAGS" if "\\Flagged" in c.fetch(body=False)[uids[5]].flags else "+FLAGS",
                ["\\Flagged"])
    if "expunge" in what:
        c.expunge([uids[7], uids[-1]])
    if "new" in what:
        c.append("Sent", letter(1000 + n), ["\\Seen"])
        c.append("Sent", letter(2000 + n))


def server_state(c):
    return {uid: set(m.flags) for uid, m in c.fetch(body=False).items()}


@pytest.mark.parametrize("level", LEVELS)
def test_every_combination(dovecot, other, tmp_path, level):
    """Flags, expunges and new mail by another client in every combination, seen in a running session
    and after a reconnect; where flags come by mod-sequence existence alone is searched for.
    R031, R100, R102, R172, R176, R178, R179, R190, R241, R246, R259, R318"""
    for i in range(40):
        other.append("Sent", letter(i))
    other.select("Sent")
    with Proxy(dovecot.port, record=True) as proxy:
        d = Driven(tmp_path, proxy.port, **options(level))
        d.wait()
        for n, what in enumerate(COMBINATIONS):
            change(other, what, 2 * n)
            d.wait()
            assert state(d, "Sent") == server_state(other), what
            d.kill()
            change(other, what, 2 * n + 1)
            d = Driven(tmp_path, proxy.port, **options(level))
            d.wait()
            assert state(d, "Sent") == server_state(other), what
        d.kill()
        enabled = [link for link, *_ in proxy.seen("^ENABLE QRESYNC")]
        assert enabled == (list(range(1, proxy.links_made + 1)) if level == "qresync" else [])
        assert bool(proxy.seen(r"^SELECT \S+ \(QRESYNC \(")) == (level == "qresync")
        assert bool(proxy.seen(r"^UID FETCH 1:\d+ \(UID FLAGS\) \(CHANGEDSINCE \d+\)\r")) == \
            (level == "condstore")
        assert bool(proxy.seen(r"^UID SEARCH UID 1:\d+\r")) == (level == "condstore")
        assert bool(proxy.seen("CONDSTORE|MODSEQ|CHANGEDSINCE|QRESYNC|VANISHED")) == (level != "plain")
        assert not proxy.seen(r"^FETCH|^SEARCH|^UID SEARCH \d|MODSEQ.*1:\*|1:\*.*CHANGEDSINCE")


@pytest.mark.parametrize("level", LEVELS)
def test_cut_anywhere_in_the_resync(dovecot, other, tmp_path, level):
    """The link ends at any place of the answers: the next pass begins at the old mod-sequence and nothing
    is missed. R099, R256, R260, R263"""
    for i in range(20):
        other.append("Sent", letter(i))
    other.select("Sent")
    with Proxy(dovecot.port) as proxy:
        with Driven(tmp_path, proxy.port, **options(level)) as d:
            d.wait()
            before = proxy.bytes["down"]
        with Driven(tmp_path, proxy.port, **options(level)) as d:
            d.wait()
            length = proxy.bytes["down"] - before
        for n, at in enumerate(range(length // 2, length + 500, 110)):
            change(other, CHANGES if n % 2 else ("flag", "expunge"), n)
            other.append("Sent", letter(3000 + n))
            proxy.cut_after("down", at)
            with Driven(tmp_path, proxy.port, **options(level)) as d:
                d.until(lambda: "down" not in proxy.cut_at or d.status().state == IN_STEP)
            proxy.cut_at.clear()
            with Driven(tmp_path, proxy.port, **options(level)) as d:
                d.wait()
                assert state(d, "Sent") == server_state(other), at


class CutAfter:
    """A lie: the session ends behind so many lines of answers, tagged ones too; in the order in which a
    server should say them, or the other way round."""

    def __init__(self, server, lines, backwards):
        self.left, self.step, self.done = lines, -1 if backwards else 1, False
        self.rule = server.lie("^(ENABLE|LIST|LSUB|STATUS|SELECT|UNSELECT|UID)", self)

    def __call__(self, _session, _command, proceed):
        reply = proceed()
        if self.done:
            return reply
        reply.untagged = reply.untagged[::self.step]
        if len(reply.untagged) < self.left:
            self.left -= len(reply.untagged) + 1
            return reply
        self.done = True
        raise imapd.Cut(b"".join(b"* " + line + b"\r\n" for line in reply.untagged[:self.left]))


def change_work(server, what, n):
    uids = [m.uid for m in server.mailboxes["Work"].messages]
    if "flag" in what:
        server.flag("Work", uids[n % 5], [f"$L{n % 7}"])
        server.flag("Work", uids[5], [f"$M{n % 2}"], [f"$M{1 - n % 2}"])
    if "expunge" in what:
        server.remove("Work", uids[6], uids[-1])
    if "new" in what:
        server.append("Work", letter(1000 + n))
        server.append("Work", letter(2000 + n), ["\\Seen"])


def bring_to_size(server, tmp_path, level, turn):
    """New mail alone would make each resync longer than the one before, and the cuts never end."""
    box = server.mailboxes["Work"]
    while len(box.messages) < 20:
        server.append("Work", letter(5000 + turn))
    if len(box.messages) > 40:
        server.remove("Work", *[m.uid for m in box.messages[:-30]])
        with Driven(tmp_path, server.port, **options(level)) as d:
            d.wait()


@pytest.mark.parametrize("level", LEVELS)
def test_cut_behind_each_line(tmp_path, level, request):
    """The session ends behind a line of a resync's answers, in both orders, with each combination of what
    another client has done (every eighth line, the combinations in turn; --cuts=all: each at each): the same
    end state.
    R099, R172, R179, R256, R259, R260, R263"""
    every = request.config.getoption("--cuts") == "all"
    offers = BASE + ["QRESYNC"] if level == "qresync" else BASE
    turns = 0
    with Imapd(["INBOX", "Work"], offers) as server:
        for i in range(30):
            server.append("Work", letter(i))
        with Driven(tmp_path, server.port, **options(level)) as d:
            d.wait()
        plans = itertools.product(COMBINATIONS[1:], (False, True)) if every else [(None, False), (None, True)]
        for what, backwards in plans:
            for lines in itertools.count(*(0, 1) if every else (4 * backwards + len(level) % 5, 8)):
                turns += 1
                doing = what or COMBINATIONS[1 + turns % (len(COMBINATIONS) - 1)]
                bring_to_size(server, tmp_path, level, turns)
                change_work(server, doing, turns)
                cut = CutAfter(server, lines, backwards)
                with Driven(tmp_path, server.port, **options(level)) as d:
                    d.until(lambda cut=cut, d=d: cut.done or d.status().state == IN_STEP)
                cut.rule.remove()
                with Driven(tmp_path, server.port, **options(level)) as d:
                    d.wait()
                    assert state(d, "Work") == {m.uid: set(m.flags) for m in server.mailboxes["Work"].messages}, \
                        (doing, lines, backwards)
                if not cut.done:
                    break
    assert turns >= 4


def test_unchanged_account_is_not_looked_into(tmp_path):
    """Two hundred mailboxes, twenty thousand messages, nothing has changed: no SELECT and at most three
    turnarounds after signing in. R156, R177, R216"""
    with Imapd(["INBOX"], BASE + ["QRESYNC"]) as server:
        for i in range(199):
            server.create(f"Box {i}")
        for name in list(server.mailboxes):
            for i in range(100):
                server.append(name, b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options("qresync")) as d:
            d.wait(120)
        asked = len(server.transcript)
        with Driven(tmp_path, server.port, **options("qresync")) as d:
            d.wait()
            seen = d.status()
            lines = [line for _, line in server.transcript[asked:]]
            # one, or a second one when the first was over before it was waited for
            passes = sum(line.startswith("LIST") for line in lines)
            # two are for the capabilities and for signing in
            assert seen.turnarounds <= 2 + 3 * passes
            assert seen.received < 40000 * passes and passes in (1, 2)
            assert seen.messages == 20000
        assert not [line for _, line in server.transcript[asked:] if line.startswith(("SELECT", "UID"))]


@pytest.mark.parametrize("level", ["qresync", "condstore"])
def test_one_flag_in_a_big_mailbox(tmp_path, level):
    """At most two turnarounds after SELECT, and the bytes of one message. R193, R246"""
    with Imapd(["INBOX", "Big"], BASE + (["QRESYNC"] if level == "qresync" else [])) as server:
        for _ in range(3000):
            server.append("Big", b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options(level)) as d:
            d.wait()
            server.flag("Big", 1234, ["\\Flagged"])
            before = d.status()
            d.wait()
            after = d.status()
            assert state(d, "Big")[1234] == {"\\Flagged"}
            # one is for LIST
            assert after.turnarounds - before.turnarounds <= 3 + 1
            assert after.received - before.received < 3000


def test_no_enabled_no_qresync(tmp_path):
    """ENABLE says OK and no "* ENABLED QRESYNC": mod-sequences without it. R242, R250"""
    with Imapd(["INBOX", "Work"], BASE + ["QRESYNC"]) as server:
        rule = server.lie("^ENABLE", imapd.pretend())
        for i in range(10):
            server.append("Work", letter(i))
        with Driven(tmp_path, server.port, **options("qresync")) as d:
            d.wait()
            server.flag("Work", 3, ["\\Flagged"])
            server.remove("Work", 5)
            d.wait()
            assert state(d, "Work") == {u: {"\\Flagged"} if u == 3 else set()
                                        for u in range(1, 11) if u != 5}
        assert rule.told >= 1
        assert not server.seen(r"\(QRESYNC \(|VANISHED")
        assert server.seen("CHANGEDSINCE")


@pytest.mark.parametrize("level", ["qresync", "condstore"])
def test_refused_mod_sequences(tmp_path, level):
    """A server that says BAD to what it offers: the plain algorithm. R175, R194"""
    with Imapd(["INBOX", "Work"], BASE + (["QRESYNC"] if level == "qresync" else [])) as server:
        for i in range(10):
            server.append("Work", letter(i))
        with Driven(tmp_path, server.port, **options(level)) as d:
            d.wait()
            rule = server.lie(r"CHANGEDSINCE|\(QRESYNC|\(CONDSTORE\)", imapd.refuse("no such thing"))
            server.flag("Work", 3, ["\\Flagged"])
            server.remove("Work", 5)
            server.append("Work", letter(50))
            d.wait()
            assert rule.told > 0
            assert state(d, "Work") == {u: {"\\Flagged"} if u == 3 else set()
                                        for u in range(1, 12) if u != 5}


@pytest.mark.parametrize("lie", ["VANISHED (EARLIER) 2:4", "VANISHED (EARLIER) 1:4294967295"])
def test_false_vanished_takes_nothing(tmp_path, lie):
    """VANISHED (EARLIER) of what is there: the count does not bear it out, so UIDs are compared.
    R251"""
    def told(_session, _command, proceed):
        reply = proceed()
        reply.untagged.append(lie.encode())
        return reply
    with Imapd(["INBOX", "Work"], BASE + ["QRESYNC"]) as server:
        for i in range(10):
            server.append("Work", letter(i))
        with Driven(tmp_path, server.port, **options("qresync")) as d:
            d.wait()
            server.flag("Work", 3, ["\\Flagged"])
            server.remove("Work", 9)
            rule = server.lie(r"\(QRESYNC \(", told)
            d.wait()
            assert rule.told == 1
            assert state(d, "Work") == {u: {"\\Flagged"} if u == 3 else set()
                                        for u in range(1, 11) if u != 9}


def test_untold_expunge_is_found(tmp_path):
    """A server that forgets to tell VANISHED: the count shows it, and a search for
    the UIDs, not for message numbers, which are gone. R179, R234, R313"""
    with Imapd(["INBOX", "Work"], BASE + ["QRESYNC"]) as server:
        for i in range(10):
            server.append("Work", letter(i))
        with Driven(tmp_path, server.port, **options("qresync")) as d:
            d.wait()
            server.remove("Work", 4, 8)
            rule = server.lie(r"\(QRESYNC \(", imapd.hide("VANISHED"))
            d.wait()
            assert rule.told == 1
            assert sorted(state(d, "Work")) == [1, 2, 3, 5, 6, 7, 9, 10]
            assert server.seen(r"^UID SEARCH UID 1:10$")
