# SPDX-License-Identifier: MIT
"""NOTIFY (RFC 5465): what changes where nobody looks is here at once, without asking every few minutes."""

import threading
import time

import pytest
from driven import Driven

from tools.client import Client
from tools.dovecot import Dovecot
from tools.imapd import Imapd
from tools.imapd_parse import Reply

BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "IDLE", "NOTIFY", "ENABLE", "CONDSTORE", "QRESYNC"]


def options(**more):
    return {"connections": 2, "poll": 3600000, "profile": 2, **more}


def paths(d, mailbox):
    return {e.uid: e.flags for p, e in d.tree().items() if p.rsplit("/", 1)[0] == mailbox}


def test_other_mailboxes(tmp_path):
    """New mail, a flag and an expunge in mailboxes that are not selected, a mailbox made, renamed and removed:
    seen without a poll; NOTIFY is asked once a connection."""
    with Imapd(["INBOX", "Work"], BASE) as server:
        server.append("Work", b"Subject: x\r\n\r\nx\r\n")
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            d.until(lambda: server.seen("^IDLE"))
            server.append("Work", b"Subject: y\r\n\r\ny\r\n")
            d.until(lambda: set(paths(d, "Work")) == {1, 2})
            server.flag("Work", 1, ["\\Flagged"])
            d.until(lambda: paths(d, "Work").get(1) == {"\\Flagged"})
            server.remove("Work", 2)
            d.until(lambda: set(paths(d, "Work")) == {1})
            server.create("Made")
            d.until(lambda: "Made" in d.mailboxes())
            del server.mailboxes["Made"]
            d.until(lambda: "Made" not in d.mailboxes())
        assert len(server.seen("^NOTIFY SET")) == 1


@pytest.mark.parametrize("answer", ["NO [BADEVENT (MessageNew)] not that", "BAD what"])
def test_refused(tmp_path, answer):
    """A server that offers it and will not: as without, and no second try."""
    with Imapd(["INBOX", "Work"], BASE) as server:
        server.lie("^NOTIFY", lambda _s, _c, _p: Reply(tagged=answer))
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            d.until(lambda: server.seen("^IDLE"))
            server.append("INBOX", b"Subject: y\r\n\r\ny\r\n")
            d.until(lambda: set(paths(d, "INBOX")) == {1})
            server.append("Work", b"Subject: y\r\n\r\ny\r\n")
            d.wait()
            assert set(paths(d, "Work")) == {1}
        assert len(server.seen("^NOTIFY")) == 1


def test_wanted_meanwhile(tmp_path):
    """Somebody who wants a body while a command runs ahead of IDLE does not wait for IDLE to end.  R120"""
    with Imapd(["INBOX", "Work"], BASE) as server:
        server.append("Work", b"Subject: x\r\n\r\nx\r\n")
        under_way = threading.Event()

        def slow(_session, _command, proceed):
            under_way.set()
            time.sleep(1)
            return proceed()
        server.lie("^NOTIFY", slow)
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            assert under_way.wait(30)
            d.do("body", "Work/1.eml", 30000)


def test_disabled(tmp_path):
    """-o disable=NOTIFY."""
    with Imapd(["INBOX"], BASE) as server:
        with Driven(tmp_path, server.port, **options(disable="NOTIFY")) as d:
            d.wait()
            d.until(lambda: server.seen("^IDLE"))
        assert not server.seen("NOTIFY")


def test_overflow(tmp_path):
    """NOTIFICATIONOVERFLOW: the server stops telling; a pass is made and it is asked again."""
    with Imapd(["INBOX", "Work"], BASE) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            d.until(lambda: server.seen("^IDLE"))

            def overflow(session, _command, proceed):
                session.notify = None
                reply = proceed()
                reply.untagged.insert(0, b"OK [NOTIFICATIONOVERFLOW] too much")
                return reply
            server.lie("^UID FETCH", overflow, times=1)
            server.append("INBOX", b"Subject: y\r\n\r\ny\r\n")
            d.until(lambda: len(server.seen("^NOTIFY")) == 2)
            server.append("Work", b"Subject: y\r\n\r\ny\r\n")
            d.until(lambda: set(paths(d, "Work")) == {1})


def test_real_server(tmp_path):
    """Dovecot tells of other mailboxes."""
    with Dovecot() as dovecot, Client(dovecot.port) as other:
        other.append("Sent", b"Subject: x\r\n\r\nx\r\n")
        with Driven(tmp_path, dovecot.port, **options()) as d:
            d.wait()
            d.until(lambda: "NOTIFY SET" in d.text(), 30)
            other.append("Sent", b"Subject: y\r\n\r\ny\r\n")
            d.until(lambda: set(paths(d, "Sent")) == {1, 2}, 30)
            other.create("Fresh")
            d.until(lambda: "Fresh" in d.mailboxes(), 30)
