# SPDX-License-Identifier: MIT
"""Limits that a server sets on uploads (RFC 7889)."""

import os

import pytest

from lies import UIDPLUS, mail, parked, read, status, wait_parked, write

LARGE, SMALL = mail(20, 5000), mail(21)


@pytest.mark.parametrize("where", ["account", "mailbox"])
def test_append_limit(lying, where):
    """A message over the limit is not sent, not one byte of it: parked with the reason, readable,
    and on its way when it was made smaller, or the limit is gone.  What fits goes.  R284"""
    def prepare(server):
        if where == "mailbox":
            server.mailboxes["Work"].append_limit = 1000
    server, mount = lying([*UIDPLUS, "APPENDLIMIT=1000" if where == "account" else "APPENDLIMIT"],
                          prepare=prepare)
    path = mount.path("Work", "large.eml")
    write(path, LARGE)
    write(mount.path("Work", "small.eml"), SMALL)
    wait_parked(mount)
    assert "of 1000" in parked(mount)[0][6]
    assert b"of 1000" in os.getxattr(path, "user.imap.error")
    assert read(path) == LARGE
    mount.run("sync", "--timeout", "5s", mount.point, check=False)
    assert server.bodies("Work") == [SMALL]
    assert len(server.seen(r"^APPEND")) == 1
    if where == "mailbox":
        write(mount.path("INBOX", "large.eml"), LARGE)  # no limit there
        mount.run("sync", "--timeout", "10s", mount.point, check=False)
        assert LARGE in server.bodies("INBOX")
        server.mailboxes["Work"].append_limit = None
        mount.run("queue", mount.point, "retry", parked(mount)[0][0])
        mount.sync()
        assert LARGE in server.bodies("Work")
        assert status(mount) == 0
