# SPDX-License-Identifier: MIT
"""Messages too large to be fetched unasked: what is shown of them (RFC 4549 4.3.2, 4.3.3)."""

import email
import email.policy
import errno
import json
import os
from email.message import EmailMessage

import pytest

from lies import read, write

LIMIT = 50000


def large(n, order="text first"):
    """Text, an HTML twin, a picture and a film; with the film in front where `order` says so."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = "Alice <a@example.org>", "b@example.org"
    message["Subject"], message["Message-ID"] = f"film {n}", f"<film{n}@example.org>"
    message.set_content(f"Grüße, the film number {n} is below.\n", cte="quoted-printable")
    message.add_alternative(f"<p>The film number {n}</p>\n", subtype="html")
    message.add_attachment(os.urandom(3000), "image", "png", filename="small.png")
    message.add_attachment(os.urandom(1 << 20), "video", "mp4", filename="film.mp4")
    if order == "film first":
        parts = message.get_payload()
        parts.insert(0, parts.pop())
    return message.as_bytes()


def partial(mount):
    return sorted(os.listdir(mount.path(".imapfs/partial")))


def view(mount, name):
    return email.message_from_bytes(read(mount.path(".imapfs/partial", name)),
                                    policy=email.policy.default)


@pytest.fixture(name="account")
def _account(make_server, make_mount, make_proxy, make_client, generator):
    """account(*mails): a mount behind a recording proxy, in step."""
    def make(*mails, **options):
        server = make_server([("Work", generator.mail(1))])
        with make_client(server.port) as client:
            for mail in mails:
                client.append("INBOX", mail)
            client.select("INBOX")  # imap4d gives the UIDs now
        proxy = make_proxy(server.port, record=True)
        proxy.start()
        mount = make_mount(proxy.port, max_size=LIMIT, **options)
        mount.sync()
        return proxy, mount
    return make


def test_parts(account, make_client):
    """The texts of a large message are here, each other part is a line that says what it is; the
    message itself stays away and has its size.  One command for the structures, one for each
    message; nothing becomes \\Seen.  R106, R110, R112, R117"""
    proxy, mount = account(large(1), large(2, "film first"))
    assert [os.getxattr(mount.message("INBOX", n), "user.imap.body") for n in (1, 2)] == \
        [b"partial"] * 2
    names = partial(mount)
    assert [name.split("-", 1)[1] for name in names] == ["INBOX%2F1.eml", "INBOX%2F2.eml"]
    for n, name in enumerate(names, 1):
        shown = view(mount, name)
        assert shown["Subject"] == f"film {n}"
        assert shown["X-Imapfs-Partial"].startswith("2 of 4 parts")
        assert f"film number {n}" in shown.get_body(("plain",)).get_content()
        assert "Grüße" in shown.get_body(("plain",)).get_content()
        assert f"<p>The film number {n}</p>" in shown.get_body(("html",)).get_content()
        notes = [part.get_content() for part in shown.walk()
                 if part.get_content_type() == "text/plain" and "imapfs:" in part.get_content()]
        assert len(notes) == 2
        assert any('video/mp4 "film.mp4"' in note for note in notes)
    commands = [line for _, _, name, line in proxy.commands if name == "UID FETCH"]
    structures = [line for line in commands if "BODYSTRUCTURE" in str(line)]
    parts = [line for line in commands if ".MIME]" in str(line)]
    assert len(structures) == 1 and len(parts) == 2
    received = json.loads(mount.run("status", "--json", mount.point).stdout)["traffic"]["received"]
    assert received < 200000
    with make_client(proxy.port) as client:
        client.select("INBOX", readonly=True)
        assert client.uids("SEEN") == []


def test_never_as_whole(account):
    """Offline the message cannot be read, not even its beginning, and a copy of it by cp fails; a
    link is a copy on the server.  Online it is read whole, and the part is gone.  R111"""
    original = large(1)
    _, mount = account(original)
    path = mount.message("INBOX", 1)
    mount.run("pause", mount.point)
    with pytest.raises(OSError) as failed:
        read(path)
    assert failed.value.errno == errno.ENETUNREACH
    assert os.stat(path).st_size == len(original)
    with pytest.raises(OSError):
        write(mount.path("Work", "copy.eml"), read(path))
    os.link(path, mount.path("Work", "linked.eml"))
    name = partial(mount)[0]
    shown = mount.path(".imapfs/partial", name)
    for act in (lambda: os.unlink(shown), lambda: write(shown, b"x"),
                lambda: os.rename(shown, mount.path("INBOX", "x.eml"))):
        with pytest.raises(OSError):
            act()
    mount.remount()
    assert partial(mount) == [name]
    mount.sync()
    assert read(mount.path("Work", "linked.eml")) == original
    assert read(path) == original
    assert os.getxattr(path, "user.imap.body") == b"cached"
    assert partial(mount) == []


def test_without_texts(account):
    """A large message without a text: nothing is made up, and it is not looked at again."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"] = "a@example.org", "a film alone"
    message.set_content(os.urandom(200000), "video", "mp4")
    proxy, mount = account(message.as_bytes())
    mount.sync()
    assert partial(mount) == []
    assert os.getxattr(mount.message("INBOX", 1), "user.imap.body") == b"absent"
    structures = [line for _, _, _, line in proxy.commands if "BODYSTRUCTURE" in str(line)]
    assert len(structures) == 1


def test_long_text(account):
    """Of one long text its beginning is here, and says that it is no more than that.  R110, R126"""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"] = "a@example.org", "a list"
    message.set_content("one line of many\n" * 20000, cte="7bit")
    _, mount = account(message.as_bytes())
    text = view(mount, partial(mount)[0]).get_content()
    assert text.startswith("one line of many") and "the rest is not here]" in text[-100:]
    assert 100000 < len(text) < 140000
