# SPDX-License-Identifier: MIT
"""What it costs to learn that nothing, or next to nothing, has changed; scripts/bench --only resync
shows the same with large accounts."""

import pytest
from driven import Driven

from tools.client import Client
from tools.dovecot import Dovecot
from tools.meter import Meter, many_mailboxes, one_mailbox

LEVELS = {"qresync": "", "condstore": "QRESYNC"}


def options(level):
    words = {"connections": 1, "poll": 600000, "profile": 2}
    return {**words, "disable": LEVELS[level]} if LEVELS[level] else words


@pytest.fixture
def server():
    made = Dovecot()
    yield made
    made.close()


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_changed(server, tmp_path, level):
    """No mailbox is selected: three turnarounds after signing in, and the bytes of a list.
    R156, R177, R181, R216"""
    server.fill(many_mailboxes(40, 400))
    server.start()
    with Driven(tmp_path, server.port, **options(level)) as d:
        d.wait()
        assert d.status().messages == 400
    with Meter(server.port) as meter, Driven(tmp_path, meter.port, **options(level)) as d:
        d.wait()
        cost = meter.cost()
        assert not meter.proxy.seen("^(SELECT|EXAMINE|UID)")
    assert cost.turnarounds <= 3, cost
    assert cost.up < 400 and cost.down < 43 * 200, cost


@pytest.mark.parametrize("level", LEVELS)
def test_one_flag(server, tmp_path, level):
    """One changed flag in a mailbox: SELECT and at most two turnarounds behind it, less than 4 KB
    however many messages there are. R178, R193, R207, R208, R246, R317"""
    server.fill(one_mailbox(2000))
    server.start()
    with Driven(tmp_path, server.port, **options(level)) as d:
        d.wait()
    with Client(server.port) as other:
        other.select("Big")
        other.store([777], "+FLAGS", ["\\Flagged"])
    with Meter(server.port, since="SELECT") as meter, Driven(tmp_path, meter.port, **options(level)) as d:
        d.wait()
        cost = meter.cost()
        flagged = [e.uid for e in d.tree().values() if "\\Flagged" in e.flags]
        changes = meter.proxy.seen(r"CHANGEDSINCE|\(QRESYNC \(")
        assert len(changes) == 1, meter.proxy.commands
    assert 777 in flagged
    assert cost.turnarounds <= 1 + 2, cost
    assert cost.up + cost.down < 4096, cost
