# SPDX-License-Identifier: MIT
"""Mistakes that well-known programs were seen to make, each a test of ours."""

import os

import pytest

from tools.mount import wait_until

NO_UIDPLUS = {"hide": ("UIDPLUS", "MOVE"), "strip_codes": ("APPENDUID", "COPYUID")}
WITH_UIDPLUS = pytest.mark.extension("UIDPLUS")


@pytest.mark.parametrize("uidplus", (pytest.param(True, marks=WITH_UIDPLUS), False),
                         ids=("UIDPLUS", "without UIDPLUS"))
@pytest.mark.extension("SHARED")
def test_mbsync_erased_what_another_client_had_marked(
        make_server, make_proxy, make_client, make_mount, generator, uidplus):
    """Its Expunge is a bare EXPUNGE: messages that another client marked \\Deleted, and may unmark,
    went too.  R074, R075, R081, R319"""
    server = make_server([("INBOX", generator.mail(i, size=1000)) for i in range(8)])
    proxy = make_proxy(server.port, record=True, **({} if uidplus else NO_UIDPLUS))
    if not uidplus:
        proxy.refuse("UID EXPUNGE", "BAD unknown command")
    other = make_client(server.port)
    other.select("INBOX")
    uids = other.uids()
    mount = make_mount(proxy.port, delete="expunge")
    mount.sync()
    other.store(uids[4:6], "+FLAGS.SILENT", ["\\Deleted"])
    for uid in uids[:3]:
        os.unlink(mount.message("INBOX", uid))
    mount.sync()
    held = other.fetch(body=False)
    assert sorted(held) == uids[3:]
    assert [u for u in sorted(held) if "\\Deleted" in held[u].flags] == uids[4:6]
    if uidplus:
        assert proxy.seen(r"^EXPUNGE") == []


@pytest.mark.parametrize("options", ({}, NO_UIDPLUS), ids=("UIDPLUS", "without UIDPLUS"))
def test_offlineimap_doubled_a_message_after_a_lost_answer(
        make_server, make_proxy, make_client, make_mount, generator, options):
    """The server had stored it, the answer was lost, and it was sent again.  R001, R137, R138"""
    server = make_server([("INBOX", generator.mail(i, size=1000)) for i in range(3)])
    proxy = make_proxy(server.port, **options)
    proxy.cut_reply("APPEND", times=2)
    if options:
        proxy.refuse("UID EXPUNGE", "BAD unknown command")
    mount = make_mount(proxy.port)
    mount.sync()
    for n in (50, 51):
        with open(mount.path("INBOX", f"{n}.eml"), "wb") as f:
            f.write(generator.mail(n, size=1000).data)
        wait_until(lambda: mount.run("sync", "--timeout", "20s", mount.point,
                                     check=False).returncode == 0, 60, "sent")
    client = make_client(server.port)
    client.select("INBOX")
    held = [m.message_id for m in client.fetch().values()]
    assert len(held) == 5 and len(set(held)) == 5
    assert all(rule[1] == 0 for rule in proxy.reply_cuts)


def tear(path, how):
    """As a power cut leaves it: the end of the journal never reached the disk, or as rubbish."""
    size = os.path.getsize(path)
    if how == "rubbish":
        with open(path, "r+b") as f:
            f.seek(max(0, size - 3000))
            f.write(os.urandom(3000))
    else:
        os.truncate(path, max(0, size - how))


@pytest.mark.parametrize("how", (1, 2500, 9000, 10**9, "rubbish"))
def test_mbsync_did_not_recover_from_a_torn_journal(
        make_server, make_proxy, make_client, make_mount, generator, how):
    """Its journal ended in the middle of a line, and each start after that failed.  Ours: it starts,
    what reached the disk before is there, and nothing comes twice.  R003, R136, R154"""
    server = make_server([("INBOX", generator.mail(i, size=1000)) for i in range(5)])
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    proxy.stop()
    written = []
    for n in range(60, 64):
        with open(mount.path("INBOX", f"{n}.eml"), "wb") as f:
            f.write(generator.mail(n, size=1000).data)
            f.flush()
            os.fsync(f.fileno())
        written.append(generator.mail(n, size=1000).message_id)
    mount.kill()
    state = mount.options["state-dir"]
    journals = [os.path.join(path, f) for path, _, files in os.walk(state) for f in files
                if f.endswith("-wal")]
    assert journals
    for journal in journals:
        tear(journal, how)
    mount.start()
    proxy.start()
    mount.sync()
    client = make_client(server.port)
    client.select("INBOX")
    held = [m.message_id for m in client.fetch().values()]
    assert len(held) == len(set(held)), "a message was sent twice"
    assert len(held) >= 5
    if how == 1:
        assert set(written[:3]) <= set(held)
