# SPDX-License-Identifier: MIT
"""The tools themselves: a proxy that does not cut would prove nothing."""

import imaplib
import os
import re
import subprocess

import pytest

from tools import mutf7
from tools.client import ClientError
from tools.mount import TOP

MAIL = b"Message-ID: <a@example.org>\r\nSubject: x\r\n\r\nbody\r\n"


def test_mailbox_names():
    for name, wire in (("Entwürfe", "Entw&APw-rfe"), ("R&D 100%", "R&-D 100%"), ("受信", "&U9dP4Q-")):
        assert mutf7.encode(name) == wire
        assert mutf7.decode(wire) == name


@pytest.mark.extension("SHARED")
def test_server_holds_what_was_filled_in(make_server, make_client, generator):
    mails = list(generator.account(60))
    client = make_client(make_server(mails).port)
    account = client.account()
    for box in {b for b, _ in mails}:
        held = [account[box][uid] for uid in sorted(account[box])]
        assert [(m.data, m.date, m.flags) for m in held] == \
            [(m.data, m.date, m.flags) for b, m in mails if b == box]


def test_reply_is_lost_and_command_done(make_server, make_proxy, make_client):
    server = make_server()
    proxy = make_proxy(server.port)
    proxy.cut_reply("APPEND")
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        make_client(proxy.port).append("INBOX", MAIL)
    assert make_client(server.port).status("INBOX") == 1
    make_client(proxy.port).append("INBOX", MAIL)
    assert make_client(server.port).status("INBOX") == 2


def test_refused_and_hidden(make_server, make_proxy, make_client):
    server = make_server()
    proxy = make_proxy(server.port, hide=("MOVE", "UIDPLUS"), strip_codes=("APPENDUID",))
    proxy.refuse("APPEND", "NO [OVERQUOTA] full", times=1)
    client = make_client(proxy.port)
    words = client.imap.capability()[1][-1].split()
    assert b"IDLE" in words and b"UIDPLUS" not in words and b"MOVE" not in words
    with pytest.raises(ClientError):
        client.append("INBOX", MAIL)
    assert client.append("INBOX", MAIL) is None
    assert make_client(server.port).status("INBOX") == 1


def test_cut_after_bytes(make_server, make_proxy, make_client):
    server = make_server()
    proxy = make_proxy(server.port)
    client = make_client(proxy.port)
    proxy.cut_after("up", 200)
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        client.append("INBOX", b"Subject: long\r\n\r\n" + b"x" * 5000)
    assert make_client(server.port).status("INBOX") == 0
    assert proxy.bytes["up"] < 1000


def test_each_requirement_is_shown_by_a_test():
    """Nothing that is asked for goes untested, and little is said not to apply.  R182"""
    script = os.path.join(TOP, "scripts", "coverage-requirements")
    missing = subprocess.run([script, "--missing"], capture_output=True, text=True, check=True).stdout
    named, apart = re.fullmatch(r"(\d+) of 323 requirements named by tests, (\d+) do not apply, 0 not\n",
                                missing).groups()
    assert int(named) + int(apart) == 323 and int(apart) <= 8
