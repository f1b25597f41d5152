# SPDX-License-Identifier: MIT
"""A day without a network: every change survives kill -9 and arrives exactly once."""

import os
import shutil
import subprocess
import time

import pytest

from tools.mount import wait_until

DELETED = 20
COPIED = 20
FLAGGED = 200
KEYWORDS = ("$Work", "Later", "NonJunk")


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def change_flags(mount, n, path, held):
    """One of every way to change flags; returns what the server should hold in the end."""
    kind = n % 6
    if kind == 0:
        os.setxattr(path, "user.imap.flag.Flagged", b"1")
        return held | {"\\Flagged"}
    if kind == 1:
        os.setxattr(path, "user.imap.flags", b"+Answered -Seen")
        return (held | {"\\Answered"}) - {"\\Seen"}
    if kind == 2:
        os.setxattr(path, "user.imap.flag.$Work", b"")
        return held | {"$Work"}
    if kind == 3:  # NonJunk is there: it goes
        os.removexattr(path, "user.imap.flag.NonJunk")
        return held - {"NonJunk"}
    if kind == 4:
        os.setxattr(path, "user.imap.flags", b"Seen Later")
        return {"\\Seen", "Later"}
    run("setfattr", "-n", "user.imap.flags", "-v", "+$Work +Draft -Flagged", path)
    return (held | {"$Work", "\\Draft"}) - {"\\Flagged"}


def messages_of(mount):
    """Names in INBOX, which may hold other mailboxes."""
    return [name for name in os.listdir(mount.path("INBOX")) if name.endswith(".eml")]


@pytest.mark.extension("KEYWORDS")
def test_offline_day(make_server, make_proxy, make_client, make_mount, generator, place):
    """200 messages' flags, 20 new files, 20 deletions; kill -9; remount offline; online.
    R003, R026, R041, R059, R060, R067, R068, R069, R070, R073"""
    mails = [("INBOX", generator.mail(i)) for i in range(300)]
    server = make_server(mails)
    proxy = make_proxy(server.port)
    other = make_client(server.port)
    other.select("INBOX")
    uids = other.uids()
    other.store(uids, "+FLAGS.SILENT", ["NonJunk"])
    before = other.fetch(uids)
    mount = make_mount(proxy.port)
    mount.sync()
    mount.wait_bodies()

    proxy.stop()
    expected = {uid: set(m.flags) for uid, m in before.items()}
    changed, gone = uids[:FLAGGED], uids[FLAGGED:FLAGGED + DELETED]
    for n, uid in enumerate(changed):
        expected[uid] = set(change_flags(mount, n, mount.message("INBOX", uid), expected[uid]))
    new = {}
    for n in range(COPIED):
        mail = generator.mail(1000 + n)
        source = os.path.join(place, f"new-{n}")
        with open(source, "wb") as f:
            f.write(mail.data)
        os.utime(source, (mail.date, mail.date))
        run("cp", "-p", source, mount.path("INBOX", f"draft {n}.eml"))
        new[mail.message_id] = mail
    for uid in gone:
        os.unlink(mount.message("INBOX", uid))

    # meanwhile, another client
    foreign = uids[:40] + uids[-20:]
    other.store(foreign, "+FLAGS.SILENT", ["Foreign"])
    arrived = generator.mail(2000)
    other.append("INBOX", arrived.data, ["\\Seen"], arrived.date)
    for uid in foreign:
        expected[uid].add("Foreign")

    mount.kill()
    mount.start()
    for n, uid in enumerate(changed):
        flags = mount.flags(mount.message("INBOX", uid))
        assert flags == expected[uid] - {"Foreign"}, f"{n}: {uid}"
    for n in range(COPIED):
        mail = generator.mail(1000 + n)
        path = mount.path("INBOX", f"draft {n}.eml")
        with open(path, "rb") as f:
            assert f.read() == mail.data
        assert int(os.stat(path).st_mtime) == mail.date
    for uid in gone:
        assert not os.path.exists(mount.message("INBOX", uid))
    names = messages_of(mount)
    assert len(names) == len(set(names)) == 300 - DELETED + COPIED

    proxy.start()

    def arrived_all():
        return mount.run("status", mount.point, check=False).returncode == 0 and \
            other.status("INBOX") == 300 - DELETED + COPIED + 1
    other.imap.unselect()
    print(f"in step after {wait_until(arrived_all, 60, 'replayed'):.1f} s")
    check_server(make_client(server.port), before, expected, gone, new, arrived)
    mount.sync()
    assert len(messages_of(mount)) == 300 - DELETED + COPIED + 1


def check_server(client, before, expected, gone, new, arrived):
    client.select("INBOX")
    held = client.fetch()
    for uid, message in before.items():
        if uid in gone:
            assert uid not in held
            continue
        assert held[uid].flags == expected[uid], uid
        assert (held[uid].data, held[uid].date) == (message.data, message.date)
    extra = [m for uid, m in held.items() if uid not in before]
    assert sorted(m.message_id for m in extra) == sorted([*new, arrived.message_id])
    for message in extra:
        mail = new.get(message.message_id, arrived)
        assert message.data == mail.data
        assert message.date == mail.date, "the date of the file is not INTERNALDATE"
    client.select("Trash")
    trashed = client.fetch()
    assert sorted(m.data for m in trashed.values()) == sorted(before[u].data for u in gone)
    assert sorted(m.date for m in trashed.values()) == sorted(before[u].date for u in gone)


def test_copy_out_and_back(make_server, make_client, make_mount, generator, place):
    """Removed, then put back from a copy by cp -p: bytes and date are as before. R045, R059"""
    server = make_server([("INBOX", generator.mail(i)) for i in range(5)])
    mount = make_mount(server.port)
    mount.sync()
    uid = mount.messages("INBOX")[0]
    saved = os.path.join(place, "saved.eml")
    run("cp", "-p", mount.message("INBOX", uid), saved)
    os.unlink(mount.message("INBOX", uid))
    mount.sync()
    run("cp", "-p", saved, mount.path("INBOX", "back.eml"))
    mount.sync()
    client = make_client(server.port)
    client.select("INBOX")
    held = client.fetch()
    assert uid not in held and len(held) == 5
    mail = generator.mail(0)
    assert [m.date for m in held.values() if m.data == mail.data] == [mail.date]


def test_mount_offline_from_the_start(make_server, make_mount, generator):
    """-o offline never connects; `imapfs resume` goes online."""
    server = make_server([("INBOX", generator.mail(i)) for i in range(20)])
    mount = make_mount(server.port)
    mount.sync()
    mount.unmount()
    mount.options["offline"] = True
    mount.start()
    with open(mount.path("INBOX", "new.eml"), "wb") as f:
        f.write(generator.mail(500).data)
    logins = server.log().count("Info: Login:")
    time.sleep(1)
    assert server.log().count("Info: Login:") == logins
    assert mount.run("status", mount.point, check=False).returncode == 1
    mount.run("resume", mount.point)
    mount.sync()
    assert mount.run("status", mount.point, check=False).returncode == 0


@pytest.mark.extension("KEYWORDS")
def test_state_without_cache(make_server, make_proxy, make_client, make_mount, generator):
    """The cache directory may be deleted at any time: unsent files are not in it. R002, R003"""
    server = make_server([("INBOX", generator.mail(i)) for i in range(10)])
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    proxy.stop()
    with open(mount.path("INBOX", "unsent.eml"), "wb") as f:
        f.write(generator.mail(600).data)
    os.setxattr(mount.message("INBOX", 1), "user.imap.flag.Later", b"")
    mount.kill()
    shutil.rmtree(mount.options["cache-dir"])
    mount.start()
    proxy.start()
    mount.sync()
    client = make_client(server.port)
    client.select("INBOX")
    held = client.fetch()
    assert "Later" in held[1].flags
    assert [m.data for m in held.values()].count(generator.mail(600).data) == 1
    with open(mount.message("INBOX", 2), "rb") as f:
        assert f.read() == held[2].data
