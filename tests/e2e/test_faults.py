# SPDX-License-Identifier: MIT
"""The link cut at every command and at random bytes of every kind of action."""

import pytest

from tools import faults, kills
from tools.faults import ACTIONS, Matrix

SHORT = {"dovecot": list(ACTIONS), "cyrus": ["append", "move", "delete for good", "chain"]}


@pytest.mark.parametrize("server", sorted(SHORT))
def test_cut_anywhere(request, server):
    """The server ends up as without the cut, and the tree here shows it.  The whole matrix:
    `--cuts=full`, or python3 -m tools.faults.
    R001, R066, R081, R136, R137, R138, R139, R149, R154, R256, R279"""
    full = request.config.getoption("--cuts") == "full"
    names = list(ACTIONS) if full else SHORT[server]
    with Matrix(server, jobs=20 if full else 12, seed=request.config.getoption("--seed")) as m:
        m.measure(names)
        m.run(m.cases(names, 50 if full else 0.5, None if full else 1))
        assert not m.failures, "\n".join(": ".join(f) for f in m.failures)
        assert m.done - m.missed >= len(names)


def test_a_matrix_that_sees_a_difference():
    """A doubled, a lost and a changed message are told."""
    message = ("<1@example.org>", "digest", (), 1)
    wanted = ({"INBOX": [message], "Work": []}, ["INBOX"])
    for held in ([], [message, message], [("<1@example.org>", "other", (), 1)]):
        assert "INBOX: wanted" in faults.difference(wanted, ({"INBOX": held, "Work": []}, ["INBOX"]))
    assert "subscribed" in faults.difference(wanted, (wanted[0], []))
    assert faults.difference(wanted, wanted) == ""


def test_emulated_expunge_cut_at_each_point(request):
    """The five steps of RFC 4549 4.2.4, cut before and after each: what others marked \\Deleted is
    there and marked, what was to go is gone.  R074, R076, R077, R078, R079, R080, R081, R268"""
    name = "delete for good without UIDPLUS"
    with Matrix(jobs=14, seed=request.config.getoption("--seed")) as m:
        m.measure([name])
        assert m.wanted[name][1] >= 10
        m.run(m.cases([name], 0))
        assert not m.failures, "\n".join(": ".join(f) for f in m.failures)


@pytest.mark.parametrize("what", ("APPEND", "UID MOVE", "UID COPY"))
def test_answers_dropped(request, what):
    """Each answer is lost with the link: nothing is lost, nothing comes twice (the full figure: a
    thousand of each).  R001, R044, R065, R137, R154, R283"""
    full = request.config.getoption("--cuts") == "full"
    with Matrix(jobs=20 if full else 6, seed=request.config.getoption("--seed")) as m:
        each = 50 if full else 2
        m.drop_answers(what, each)
        assert not m.failures, "\n".join(": ".join(f) for f in m.failures)
        assert m.done == each * m.jobs


def test_killed_at_a_write(request):
    """kill -9 at every commit point and every system call that writes (by default at some): what was
    acknowledged is there, once, and the databases are whole.  R003, R138, R154"""
    full = request.config.getoption("--cuts") == "full"
    seed = request.config.getoption("--seed")
    with kills.Kills(jobs=16 if full else 8, seed=seed) as k:
        wanted, counts = k.count()
        k.kill(wanted, kills.places(counts, 0 if full else 8, seed))
        assert not k.failures, "\n".join(": ".join(f) for f in k.failures)
        assert k.killed >= k.done / 2
