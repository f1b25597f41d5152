# SPDX-License-Identifier: MIT
"""Fixtures: a real Dovecot, a proxy before it, and imapfs mounted on it."""

import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lies import mail as lies_mail  # noqa: E402
from tools import mail  # noqa: E402
from tools.client import Client  # noqa: E402
from tools.imapd import Imapd  # noqa: E402
from tools.kinds import KINDS, Flaky, rev1_proxy  # noqa: E402
from tools.mount import Mount, default_binary, have_fuse  # noqa: E402
from tools.proxy import Proxy  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--messages", type=int, default=2000,
                     help="messages of the whole-account test (the full figure: 10000)")
    parser.addoption("--first-sync", type=float, default=0.025, metavar="GB",
                     help="how much of an account of 10 GB test_huge.py takes (all of it: 10)")
    parser.addoption("--server", choices=sorted(KINDS), default="dovecot",
                     help="the server that make_server() starts")
    parser.addoption("--cuts", choices=("short", "full"), default="short",
                     help="how often links are cut and programs killed")
    parser.addoption("--seed", type=int, default=1, help="of what is chosen at random")
    parser.addoption("--rev1", action="store_true",
                     help="a proxy hides all that the server offers beyond IMAP4rev1")
    parser.addoption("--flaky", type=int, default=0, metavar="N",
                     help="a proxy refuses one command in N")


def pytest_configure(config):
    config.addinivalue_line("markers", "dovecot(why): needs what only Dovecot can do or be told to do")
    config.addinivalue_line("markers", "extension(words): needs what IMAP4rev1 has not, or KEYWORDS, or "
                            "SHARED: that a session sees the flags which another sets")
    config.addinivalue_line("markers", "unhindered(why): means nothing where commands are refused")


def pytest_collection_modifyitems(config, items):
    """On another server, or with a proxy before it, tests that bring a server of their own show
    nothing new and are left out; those that need what is not there say so."""
    kind, rev1, flaky = (config.getoption(name) for name in ("--server", "--rev1", "--flaky"))
    if kind == "dovecot" and not rev1 and not flaky:
        return
    offered = ("KEYWORDS", "SHARED") if rev1 else KINDS[kind].extensions
    left_out = [item for item in items if "make_server" not in item.fixturenames]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]

    def skip(item, marker, reason):
        if item.get_closest_marker(marker):
            why = " ".join(item.get_closest_marker(marker).args)
            item.add_marker(pytest.mark.skip(reason=f"{reason}: {why}"))
    for item in items:
        if kind != "dovecot":
            skip(item, "dovecot", "is not Dovecot")
        if flaky:
            skip(item, "unhindered", "commands are refused")
        wanted = {word for marker in item.iter_markers("extension") for word in marker.args}
        if offered is not None and not wanted <= set(offered):
            missing = " ".join(sorted(wanted - set(offered)))
            item.add_marker(pytest.mark.skip(reason=f"not offered: {missing}"))


@pytest.fixture(name="kind", scope="session")
def _kind(request):
    """The class of the server."""
    return KINDS[request.config.getoption("--server")]


@pytest.fixture(scope="session")
def generator(kind):
    return mail.Generator(legal=kind.legal, whole_lines=kind.whole_lines)


@pytest.fixture(name="place")
def _place():
    """A directory of its own, outside a checkout that others may not be able to enter."""
    path = tempfile.mkdtemp(prefix="imapfs-e2e-", dir=os.environ.get("IMAPFS_TEST_DIR", "/tmp"))
    os.chmod(path, 0o711)  # a server may run as another user
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(name="make_server")
def _make_server(kind):
    """make_server(mails, **options of the kind): a started server with these messages."""
    servers = []

    def make(mails=(), **options):
        server = kind(**options)
        servers.append(server)
        server.fill(mails)
        return server.start()
    yield make
    for server in servers:
        server.close()


@pytest.fixture(name="hindered")
def _hindered(request):
    """hindered(port): the port of the proxy that --rev1 and --flaky ask for, else the same."""
    proxies = {}
    flaky = request.config.getoption("--flaky")
    hooks = {"on_command": Flaky(flaky)} if flaky else {}

    def port_of(port):
        if port in proxies or not (hooks or request.config.getoption("--rev1")):
            return proxies[port].port if port in proxies else port
        make = rev1_proxy if request.config.getoption("--rev1") else Proxy
        proxies[port] = make(port, **hooks)
        return proxies[port].port
    yield port_of
    for proxy in proxies.values():
        proxy.stop()


@pytest.fixture(name="make_mount")
def _make_mount(place, kind, hindered):
    """make_mount(port, **options): mounted and answering.  What is missing fails the test: a
    suite that skips itself shows nothing."""
    assert have_fuse(), "/dev/fuse or fusermount3 is missing"
    assert os.access(default_binary(), os.X_OK), f"{default_binary()} is missing: build first"
    mounts = []

    def make(port, name="a", start=True, **options):
        directory = os.path.join(place, name)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        options = {**kind.way_in(), **options}
        mount = Mount(directory, hindered(port) if options.get("tls") in (None, "none") else port,
                      **options)
        mounts.append(mount)
        return mount.start() if start else mount
    yield make
    for mount in mounts:
        mount.close()


@pytest.fixture(name="make_proxy")
def _make_proxy():
    proxies = []

    def make(port, **options):
        proxies.append(Proxy(port, **options))
        return proxies[-1]
    yield make
    for proxy in proxies:
        proxy.stop()


@pytest.fixture(name="make_client")
def _make_client(kind):
    clients = []

    def make(port, **options):
        options = {"user": kind.login("test"), "prefix": kind.prefix,
                   "delimiter": kind.delimiter, **options}
        clients.append(Client(port, **options))
        return clients[-1]
    yield make
    for client in clients:
        client.close()


NEVER_SENT = r"^(CLOSE|CHECK|FETCH|STORE|SEARCH|COPY|MOVE)\b|^UID STORE \S+ FLAGS"


@pytest.fixture(name="lying")
def _lying(make_mount):
    """lying(capabilities, mailboxes, **options of the mount): (server, mount), three messages in
    INBOX and the mount in step.  At the end the server has seen no command that is never sent.
    R009, R068, R084, R297"""
    servers = []

    def make(capabilities=(), mailboxes=("INBOX", "Work"), prepare=None, words=None, **options):
        server = Imapd(mailboxes, capabilities)
        servers.append(server)
        server.strict = True
        for n in range(1, 4):
            server.append("INBOX", lies_mail(n))
        if prepare:
            prepare(server)
        mount = make_mount(server.port, poll="1s", timeout="5s", user="test", below="", **options,
                           **(words or {}))
        mount.sync()
        return server, mount
    yield make
    for server in servers:
        server.close()
        assert server.seen(NEVER_SENT) == []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the log of each imapfs it ran."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and "place" in item.fixturenames:
        place = item.funcargs.get("place")
        for name in sorted(os.listdir(place)) if place and os.path.isdir(place) else ():
            log = os.path.join(place, name, "imapfs.log")
            if os.path.exists(log):
                with open(log, encoding="utf-8", errors="replace") as f:
                    report.sections.append((f"imapfs {name}", f.read()[-6000:]))
