# SPDX-License-Identifier: MIT
"""Signing in to a real server by each way it offers, and keeping the secret from those who are
not that server."""

import os
import subprocess

import pytest

from tools import oauth
from tools.dovecot import Dovecot
from tools.kinds import KINDS
from tools.mail import Mail
from tools.mount import default_binary
from tools.tls import CertificateAuthority, Tap

NAMES = ["DNS:localhost", "IP:127.0.0.1"]


class Doctor:
    """imapfs doctor on one state directory: `status`, `out`."""

    def __init__(self, place):
        self.place = place
        os.makedirs(os.path.join(place, "state"), exist_ok=True)

    def __call__(self, port, user="test", host="localhost", password="secret", **options):
        options = {"state-dir": os.path.join(self.place, "state"),
                   "cache-dir": os.path.join(self.place, "cache"),
                   **{k.replace("_", "-"): v for k, v in options.items()}}
        words = [f"--{name}={value}" for name, value in options.items()]
        done = subprocess.run(
            [default_binary(), "doctor", *words, f"{user}@{host}:{port}"], timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "HOME": self.place, "IMAPFS_PASSWORD": password,
                 "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")})
        assert not password or password not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(name="doctor")
def _doctor(place):
    return Doctor(place)


@pytest.fixture(name="server", scope="module")
def _server(generator):
    """Offers every mechanism it has; asks for certificates and takes them for EXTERNAL."""
    server = Dovecot(mechanisms="external oauthbearer xoauth2", passdb=oauth.local_passdb, extra="""
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}
auth_ssl_username_from_cert = yes
ssl_cert_username_field = commonName
ssl_verify_client_cert = yes
ssl_require_crl = no
""")
    with open(server.conf, "a", encoding="utf-8") as f:
        f.write(f"ssl_ca = <{server.cafile}\n")
    server.fill([("INBOX", generator.mail(i)) for i in range(3)])
    with server:
        yield server


@pytest.fixture(name="servers", scope="module")
def _servers(server):
    """servers(name): one of each kind, which runs once it is asked for."""
    running = {"dovecot": server}

    def named(name):
        if name not in running:
            running[name] = KINDS[name]().start()
        return running[name]
    yield named
    for other in running.values():
        other.close()


def secured(server, how):
    if how == "none":
        return {"port": server.port, "tls": "none"}
    port = server.tls_port if how == "implicit" else server.port
    return {"port": port, "tls": how, "cafile": server.cafile}


@pytest.mark.parametrize("how", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("name, mechanism", [(name, mechanism) for name, kind in KINDS.items()
                                             for mechanism in kind.mechanisms])
def test_each_mechanism(servers, doctor, name, mechanism, how):
    """R311: of each server, with TLS both ways, and without."""
    server = servers(name)
    user = server.login("test")
    status, out = doctor(**secured(server, how), user=user, auth=mechanism)
    assert (status, f"signed in by: {mechanism}\n" in out) == (0, True), out
    assert ("encryption: TLSv1." in out) == (how != "none")
    assert ("encryption: none" in out) == (how == "none")
    if name == "courier" and (how, mechanism) != ("implicit", "PLAIN"):
        return  # it lets whoever errs wait for five seconds
    status, out = doctor(**secured(server, how), user=user, auth=mechanism, password="wrong word")
    assert status == 6, out


def test_strongest_first(server, doctor, make_proxy):
    status, out = doctor(**secured(server, "implicit"))
    assert status == 0 and "signed in by: SCRAM-SHA-256\n" in out
    proxy = make_proxy(server.port, hide=("AUTH=SCRAM-SHA-256",))
    status, out = doctor(proxy.port, tls="none")
    assert status == 0 and "signed in by: SCRAM-SHA-1\n" in out
    status, out = doctor(server.port, tls="none", auth="SCRAM-SHA-256-PLUS")
    assert status == 6 and "does not offer" in out


@pytest.mark.parametrize("how", ["starttls", "implicit"])
@pytest.mark.parametrize("name", ["cyrus", "imap4d"])
def test_binding_that_no_server_can_do(servers, doctor, place, name, how):
    """R311: both offer to bind the sign-in to the connection and refuse whoever does, within
    TLS 1.3: the next mechanism is found without the user, and remembered."""
    server = servers(name)
    user = server.login("test")
    for _ in range(2):
        status, out = doctor(**secured(server, how), user=user)
        assert status == 0 and "signed in by: SCRAM-SHA-256\n" in out, out
        with open(os.path.join(place, "state", "sign-in"), encoding="ascii") as f:
            assert f.read() == "SCRAM-SHA-256 unbound\n"
    status, out = doctor(**secured(server, how), user=user, auth="SCRAM-SHA-256-PLUS")
    assert status == 6, out


def test_no_downgrade(server, doctor, make_proxy):
    """R311: who sits in between and hides what is strong does not get the password, also not
    after a restart."""
    assert doctor(server.port, tls="none")[0] == 0
    hide = ("AUTH=SCRAM-SHA-256", "AUTH=SCRAM-SHA-1", "AUTH=CRAM-MD5")
    proxy = make_proxy(server.port, hide=hide, record=True)
    status, out = doctor(proxy.port, tls="none")
    assert status == 6 and "no longer offers" in out
    assert not proxy.seen("^(LOGIN|AUTHENTICATE)")
    # it is the user's to decide
    status, out = doctor(proxy.port, tls="none", auth="PLAIN")
    assert status == 0 and proxy.seen("^AUTHENTICATE PLAIN")


# ---- Certificates ----

def test_external(server, doctor):
    """The certificate says who signs in; one for somebody else does not."""
    cert, key = server.ca.issue("test", ["DNS:test"], usage="clientAuth")
    status, out = doctor(**secured(server, "implicit"), cert=cert, key=key, password="")
    assert status == 0 and "signed in by: EXTERNAL\n" in out, out
    cert, key = server.ca.issue("other", ["DNS:other"], usage="clientAuth")
    status, out = doctor(**secured(server, "implicit"), cert=cert, key=key, password="no use")
    assert status == 6, out


def test_key_that_others_can_read(server, doctor):
    cert, key = server.ca.issue("careless", ["DNS:test"], usage="clientAuth")
    os.chmod(key, 0o644)
    status, out = doctor(**secured(server, "implicit"), cert=cert, key=key)
    assert status == 2 and "chmod 600" in out


FAULTS = {
    "expired": ("has expired", lambda ca: ca.issue("localhost", NAMES, days=-2)),
    "elsewhere": ("wrong host", lambda ca: ca.issue("elsewhere", ["DNS:mail.example"])),
    "self-signed": ("self-signed", lambda ca: ca.self_signed("localhost", NAMES)),
    "stranger": ("unknown issuer", lambda ca: CertificateAuthority(
        os.path.join(ca.dir, "stranger")).issue("localhost", NAMES)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", KINDS)
def test_bad_certificates(doctor, name, fault):
    """R311: refused by each server's TLS both ways before a password is sent, each by its name;
    with its key pinned it does."""
    says, certificate = FAULTS[fault]
    with KINDS[name](certificate=certificate) as server:
        user = server.login("test")
        for how, port in (("starttls", server.port), ("implicit", server.tls_port)):
            with Tap(port) as tap:
                status, out = doctor(tap.port, user=user, tls=how, cafile=server.cafile)
                assert status == 5 and says in out, out
                status, out = doctor(tap.port, user=user, tls=how, pin="sha256:" + 64 * "0")
                assert status == 5 and "not the pinned one" in out
                pin = out.split(" is ")[1].split(",")[0]
                status, out = doctor(tap.port, user=user, tls=how, pin=pin, cafile=server.cafile)
                assert status == 5 and says in out, out
                assert tap.ended(3) == [True, True, True]
                status, out = doctor(tap.port, user=user, tls=how, pin=pin)
                assert status == 0 and f"key of the server: {pin}\n" in out, out
                assert tap.ended(4)[3:] == [False]


# ---- Tokens ----

def token_command(place, *tokens):
    """Prints them in turn, the last one ever after; and the file that counts."""
    count = os.path.join(place, "runs")
    for n, token in enumerate(tokens):
        with open(os.path.join(place, f"token{n}"), "w", encoding="ascii") as f:
            f.write(token + "\n")
    return (f"n=$(cat {count} 2>/dev/null || echo 0); echo $((n + 1)) >{count};"
            f"cat {place}/token$n 2>/dev/null || cat {place}/token{len(tokens) - 1}")


def runs(place):
    with open(os.path.join(place, "runs"), encoding="ascii") as f:
        return int(f.read())


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize("hide", [(), ("SASL-IR",)])
def test_token(server, doctor, place, make_proxy, mechanism, hide):
    proxy = make_proxy(server.port, hide=hide)
    command = token_command(place, oauth.jwt("test", 300))
    status, out = doctor(proxy.port, tls="none", auth=mechanism, token_command=command)
    assert status == 0 and f"signed in by: {mechanism}\n" in out, out


def test_token_that_is_too_long_for_a_line(server, doctor, place):
    """The login process of a server takes 4 KB at once; the token does not go with the command."""
    command = token_command(place, oauth.jwt("test", 300) + "x" * 3000)
    status, out = doctor(server.port, tls="none", token_command=command)
    assert status == 6 and "does not accept the token" in out, out


@pytest.mark.parametrize("bad", ["expired", "forged", "somebody else's"])
def test_token_renewed(server, doctor, place, bad):
    """One that is refused is replaced at once, and once."""
    wrong = {"expired": oauth.jwt("test", -30), "forged": oauth.jwt("test", 300, b"another"),
             "somebody else's": oauth.jwt("other", 300)}[bad]
    good = oauth.jwt("test", 300)
    status, out = doctor(server.port, tls="none", token_command=token_command(place, wrong, good))
    assert status == 0 and runs(place) == 2, out
    os.unlink(os.path.join(place, "runs"))
    status, out = doctor(server.port, tls="none", token_command=token_command(place, wrong, wrong))
    assert status == 6 and runs(place) == 2 and "does not accept the token" in out, out


@pytest.mark.dovecot("takes tokens")
def test_token_expires_while_mounted(make_server, make_mount, make_client, place, generator):
    """The server asks an authority whose tokens come and go; a mount lives through that, and
    runs the command only when its token is refused."""
    authority = oauth.Introspection()
    try:
        authority.tokens["first"] = "test"
        server = make_server([("INBOX", generator.mail(1))], mechanisms="oauthbearer xoauth2",
                             passdb=authority.passdb)
        mount = make_mount(server.port, password="", poll="1s", connections="1",
                           token_command=token_command(place, "first", "second"))
        mount.sync()
        assert runs(place) == 1
        server.doveadm("kick", "test")
        mount.sync()
        assert runs(place) == 1  # still good
        authority.tokens = {"second": "test"}
        server.doveadm("auth", "cache", "flush")
        server.doveadm("kick", "test")
        mount.sync()
        assert runs(place) == 2 and authority.asked[-1] == "second"
        with open(mount.path("INBOX", "new.eml"), "wb") as f:
            f.write(generator.mail(2).data)
        mount.sync()
        client = make_client(server.port)
        client.select("INBOX")
        assert client.uids() == [1, 2]
        mount.unmount()
    finally:
        authority.close()


# ---- Compression ----

@pytest.mark.extension("COMPRESS=DEFLATE")
@pytest.mark.parametrize("disabled", [False, True])
def test_slow_link_is_compressed(make_server, make_proxy, make_mount, disabled):
    """Fewer bytes go over a slow link than the messages have; what arrives is what was there."""
    line = b"the same words again and again, as people write them\r\n"
    mails = [Mail(b"Subject: %d\r\n\r\n" % n + line * 7000, 1700000000 + n, frozenset(), "")
             for n in range(24)]
    server = make_server([("INBOX", m) for m in mails],
                         extra="protocol imap {\n  mail_plugins = zlib imap_zlib\n}")
    proxy = make_proxy(server.port, rate=3e6)
    mount = make_mount(proxy.port, connections="1",
                       **({"disable": "COMPRESS=DEFLATE"} if disabled else {}))
    mount.sync()
    mount.wait_bodies()
    size = sum(len(m.data) for m in mails)
    assert (proxy.bytes["down"] > size) == disabled, proxy.bytes
    for n, m in enumerate(mails, 1):
        with open(mount.message("INBOX", n), "rb") as f:
            assert f.read() == m.data
    with open(mount.path("INBOX", "new.eml"), "wb") as f:
        f.write(mails[0].data)
    mount.sync()
    mount.unmount()


# ---- Tunnels ----

def imap_process(server):
    """Dovecot's imap as it runs over ssh: the user is who runs it."""
    who = "" if os.geteuid() else f"runuser -u {server.owner.pw_name} -- "
    home = os.path.join(server.dir, "mail", "test")
    return (f"exec {who}env USER=test HOME={home} /usr/lib/dovecot/imap -c {server.conf} "
            "2>/dev/null")


@pytest.mark.dovecot("may sign in beforehand")
def test_tunnel(make_server, make_mount, doctor, generator, make_client):
    """PREAUTH: no password is asked for; a whole mount over a command's input and output."""
    server = make_server([("INBOX", generator.mail(i)) for i in range(3)])
    status, out = doctor(1, tunnel=imap_process(server), password="")
    assert status == 0 and "signed in by: PREAUTH\n" in out, out
    mount = make_mount(1, tls=False, tunnel=imap_process(server), password="", poll="1s")
    mount.sync()
    assert mount.messages("INBOX") == [1, 2, 3]
    os.rename(mount.message("INBOX", 2), mount.path("Drafts", "x.eml"))
    mount.sync()
    client = make_client(server.port)
    client.select("INBOX")
    assert client.uids() == [1, 3]
    mount.unmount()


def test_tunnel_that_fails(doctor):
    status, out = doctor(1, tunnel="exit 3", password="")
    assert status == 4 and "closed the connection" in out
