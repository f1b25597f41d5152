# SPDX-License-Identifier: MIT
"""TLS, certificates, sign-in: what is accepted, and what is refused before a byte is told."""

import os
import subprocess
import time

import pytest

from tools.mount import Mount, mounted
from tools.tls import CertificateAuthority


@pytest.fixture(name="server", scope="module")
def _server(generator):
    from tools.dovecot import Dovecot
    server = Dovecot()
    server.fill([("INBOX", generator.mail(i)) for i in range(5)])
    with server:
        yield server


def fails(place, port, host="127.0.0.1", name="bad", password="secret", **options):
    """imapfs ends with an error, soon and mounting nothing; its output."""
    mount = Mount(os.path.join(place, name), port, password=password, **options)
    began = time.monotonic()
    done = subprocess.run(
        mount.command(*mount.option_words(), f"test@{host}:{port}", mount.point),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=mount.env, timeout=90,
        check=False)
    try:
        assert done.returncode != 0, "accepted"
        assert not mounted(mount.point)
        assert done.stderr.strip() and "secret" not in done.stderr + done.stdout
        assert time.monotonic() - began < 60
    finally:
        mount.close()
    return done.stderr


def works(mount):
    mount.sync()
    assert mount.messages("INBOX") == [1, 2, 3, 4, 5]
    mount.unmount()


def test_implicit_tls(server, make_mount):
    """R311: the certificate of the private authority is verified."""
    works(make_mount(server.tls_port, tls="implicit", cafile=server.cafile))


def test_starttls(server, make_mount):
    """R311"""
    works(make_mount(server.port, tls="starttls", cafile=server.cafile))


def test_unknown_authority_is_refused(server, place):
    """R311"""
    fails(place, server.tls_port, tls="implicit")
    other = CertificateAuthority(os.path.join(place, "ca"))
    fails(place, server.tls_port, name="b", tls="implicit", cafile=other.cafile)
    fails(place, server.port, name="c", tls="starttls", cafile=other.cafile)


def test_starttls_that_is_not_offered(server, make_proxy, place):
    """R311: a stripped STARTTLS is no reason to go on in the clear."""
    proxy = make_proxy(server.port, record=True)
    fails(place, proxy.port, tls="starttls", cafile=server.cafile)
    assert not proxy.seen("^(LOGIN|AUTHENTICATE)")


def test_plain_is_for_loopback_only(place):
    """tls=none elsewhere needs -o insecure, and says so before connecting."""
    assert fails(place, 143, host="192.0.2.1", tls="none")


def test_wrong_password(server, place):
    fails(place, server.port, password="wrong")


def test_password_from_file_and_command(server, make_mount, place):
    """A file that others can read is refused."""
    secret = os.path.join(place, "password")
    with open(secret, "w", encoding="ascii") as f:
        f.write("secret\n")
    os.chmod(secret, 0o644)
    fails(place, server.port, env={"IMAPFS_PASSWORD": ""}, password_file=secret)
    os.chmod(secret, 0o600)
    works(make_mount(server.port, name="f", password="", password_file=secret))
    works(make_mount(server.port, name="c", password="", password_command=f"cat {secret}"))


PROOFS = ("AUTH=SCRAM-SHA-1", "AUTH=SCRAM-SHA-256", "AUTH=CRAM-MD5")


@pytest.mark.parametrize("hide, command", [
    ((), "^AUTHENTICATE SCRAM-SHA-256 "), (PROOFS, "^AUTHENTICATE PLAIN "),
    ((*PROOFS, "SASL-IR"), "^AUTHENTICATE PLAIN"),
    ((*PROOFS, "AUTH=PLAIN", "AUTH=LOGIN"), "^LOGIN")])
def test_ways_to_sign_in(server, make_proxy, make_mount, hide, command):
    """R159, R160: the strongest; PLAIN with and without an initial response; and LOGIN where
    nothing else is."""
    proxy = make_proxy(server.port, hide=hide, record=True)
    works(make_mount(proxy.port))
    assert proxy.seen(command)


def test_password_is_in_no_log_and_no_argument(server, make_mount):
    mount = make_mount(server.port, password="secret", d=True)
    mount.sync()
    with open(f"/proc/{mount.pid}/cmdline", "rb") as f:
        assert b"secret" not in f.read()
    mount.unmount()
    with open(mount.log_path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    assert "secret" not in text and "AHRlc3QAc2VjcmV0" not in text
