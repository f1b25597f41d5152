# SPDX-License-Identifier: MIT
"""Uploads whose answers are lost: the server has carried them out, the client cannot know."""

import os

import pytest

from tools.mount import wait_until

VARIANTS = {
    "all": {},
    "no UIDPLUS": {"hide": ("UIDPLUS",), "strip_codes": ("APPENDUID", "COPYUID")},
    "no MULTIAPPEND": {"hide": ("MULTIAPPEND",)},
    "no LITERAL+": {"hide": ("LITERAL+", "LITERAL-")},
    "plain": {"hide": ("UIDPLUS", "MULTIAPPEND", "LITERAL+", "QRESYNC", "CONDSTORE", "MOVE"),
              "strip_codes": ("APPENDUID", "COPYUID", "HIGHESTMODSEQ")},
}
CUTS = 40  # in each of the five variants


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_message_exactly_once(make_server, make_proxy, make_client, make_mount, generator,
                                    variant):
    """The tagged reply of every APPEND is lost, 200 times over the variants, then no more.
    R001, R042, R044, R270"""
    server = make_server([("INBOX", generator.mail(i)) for i in range(3)])
    proxy = make_proxy(server.port, **VARIANTS[variant])
    if "UIDPLUS" in VARIANTS[variant].get("hide", ()):
        proxy.refuse("UID EXPUNGE", "BAD unknown command")
    if "MOVE" in VARIANTS[variant].get("hide", ()):
        proxy.refuse("UID MOVE", "BAD unknown command")
    proxy.cut_reply("APPEND", CUTS)
    mount = make_mount(proxy.port)
    mount.sync()
    mails = []
    while proxy.reply_cuts[0][1] > 0 or len(mails) < CUTS:
        assert len(mails) < 4 * CUTS, "the answers that were to be lost never came"
        mails.append(generator.mail(1000 + len(mails), size=3000))
        path = mount.path("Drafts", f"draft {len(mails) - 1}.eml")
        with open(path, "wb") as f:
            f.write(mails[-1].data)
        os.utime(path, (mails[-1].date, mails[-1].date))
        left = proxy.reply_cuts[0][1]
        if left:
            wait_until(lambda n=left: proxy.reply_cuts[0][1] < n, 30, "an answer lost")
    took = mount.sync(240)
    print(f"{variant}: {CUTS} lost answers, {proxy.links_made} connections, last in {took:.1f} s")
    check_drafts(make_client(server.port), mount, mails)


def check_drafts(client, mount, mails):
    """Each once, its date and bytes, under the name that the user gave it."""
    client.select("Drafts")
    held = client.fetch()
    assert sorted(m.data for m in held.values()) == sorted(m.data for m in mails)
    dates = {m.data: m.date for m in mails}
    assert all(m.date == dates[m.data] for m in held.values())
    names = [f"draft {n}.eml" for n in range(len(mails))]
    assert sorted(os.listdir(mount.path("Drafts"))) == sorted(names)
    by_data = {m.data: uid for uid, m in held.items()}
    for n, mail in enumerate(mails):
        path = mount.path("Drafts", names[n])
        assert int(os.getxattr(path, "user.imap.uid")) == by_data[mail.data]


@pytest.mark.extension("MULTIAPPEND")
def test_batches_lose_their_answer(make_server, make_proxy, make_client, make_mount, generator):
    """With MULTIAPPEND one lost answer leaves many messages in doubt. R062, R065, R171, R286"""
    server = make_server()
    proxy = make_proxy(server.port, record=True)
    proxy.cut_reply("APPEND", 3)
    mount = make_mount(proxy.port)
    mount.sync()
    proxy.stop()
    mails = [generator.mail(1000 + n, size=2000) for n in range(100)]
    for n, mail in enumerate(mails):
        with open(mount.path("Drafts", f"draft {n}.eml"), "wb") as f:
            f.write(mail.data)
        os.utime(mount.path("Drafts", f"draft {n}.eml"), (mail.date, mail.date))
    proxy.start()
    mount.sync()
    print(f"{len(proxy.seen('APPEND'))} APPEND commands for {len(mails)} messages")
    assert len(proxy.seen("APPEND")) < len(mails)
    check_drafts(make_client(server.port), mount, mails)


@pytest.mark.parametrize("at", [1, 300, 2500, 5000])
def test_cut_within_an_upload(make_server, make_proxy, make_client, make_mount, generator, at):
    """The link breaks `at` bytes into the upload; and imapfs is killed meanwhile. R066"""
    server = make_server()
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    mails = [generator.mail(1000 + n, size=3000) for n in range(3)]
    proxy.cut_after("up", at)
    for n, mail in enumerate(mails):
        with open(mount.path("Drafts", f"draft {n}.eml"), "wb") as f:
            f.write(mail.data)
        os.utime(mount.path("Drafts", f"draft {n}.eml"), (mail.date, mail.date))
    wait_until(lambda: "up" not in proxy.cut_at, 30, "cut")
    mount.kill()
    mount.start()
    mount.sync()
    check_drafts(make_client(server.port), mount, mails)


def test_same_message_twice_is_two_messages(make_server, make_client, make_mount, generator):
    """Two files of the same bytes are two messages: never uploading twice is not merging."""
    server = make_server()
    mount = make_mount(server.port)
    mount.sync()
    mail = generator.mail(7, size=3000)
    for name in ("one.eml", "two.eml"):
        with open(mount.path("Drafts", name), "wb") as f:
            f.write(mail.data)
    mount.sync()
    client = make_client(server.port)
    client.select("Drafts")
    assert [m.data for m in client.fetch().values()] == [mail.data] * 2
    assert sorted(os.listdir(mount.path("Drafts"))) == ["one.eml", "two.eml"]
