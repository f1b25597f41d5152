# SPDX-License-Identifier: MIT
"""Measures imapfs against mbsync and against a plain directory (see scripts/bench)."""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from .client import Client
from . import scale
from .cyrus import Cyrus
from .dovecot import Dovecot
from .mail import Generator
from .meter import Meter, many_mailboxes, one_mailbox
from .mount import Mount, default_binary
from .proxy import Proxy

SERVER_MAX = 20000  # what is more is put into the cache without a server

MBSYNC = """
IMAPAccount a
Host 127.0.0.1
Port {port}
User test
Pass secret
SSLType None
AuthMechs LOGIN

IMAPStore far
Account a

MaildirStore near
Path {dir}/mail/
Inbox {dir}/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
SyncState *
"""


def timed(*command, **options):
    """(seconds, output) of a command that has to succeed."""
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, **options)
    took = time.monotonic() - start
    if done.returncode not in (0, 1) or (done.returncode and command[0] != "grep"):
        raise RuntimeError(f"{command}: {done.returncode}\n{done.stderr.decode()[-3000:]}")
    return took, done.stdout


def settle():
    """Each measurement starts with nothing of the last one left to write."""
    os.sync()


class Account:
    """The server, and how many messages and bytes it holds."""

    def __init__(self, count):
        self.server = Dovecot()
        mails = list(Generator().account(count))
        self.count, self.size = count, sum(len(m.data) for _, m in mails)
        self.server.fill(mails)
        self.server.start()
        # Dovecot indexes what was filled in at the first look, which is no client's matter
        warm = tempfile.mkdtemp(prefix="imapfs-bench-")
        run_mbsync(warm, self.server.port)
        shutil.rmtree(warm)


def run_mbsync(directory, port):
    os.makedirs(os.path.join(directory, "mail"), exist_ok=True)
    conf = os.path.join(directory, "mbsyncrc")
    with open(os.open(conf, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as f:
        f.write(MBSYNC.format(port=port, dir=directory))
    return timed("mbsync", "-q", "-c", conf, "-a", env={**os.environ, "HOME": directory})[0]


def run_imapfs(directory, port, **options):
    """From the start of the program until every body is here; (seconds, the mount)."""
    mount = Mount(directory, port, **options)
    start = time.monotonic()
    mount.start()
    mount.sync(1200)
    took = time.monotonic() - start
    return took, mount


def first_sync(account, delay, rounds, work):
    """Both programs in turn, each into an empty directory, through one kind of proxy."""
    results = {"mbsync": [], "imapfs": []}
    wire = {}
    for n in range(rounds):
        for name in ("mbsync", "imapfs") if n % 2 else ("imapfs", "mbsync"):
            directory = tempfile.mkdtemp(prefix=name, dir=work)
            settle()
            with Proxy(account.server.port, delay=delay) as proxy:
                if name == "mbsync":
                    took = run_mbsync(directory, proxy.port)
                else:
                    took, mount = run_imapfs(directory, proxy.port)
                wire[name] = (proxy.turnarounds, proxy.bytes["up"], proxy.bytes["down"])
                if name == "imapfs":
                    verify_complete(mount, account)
                    wire["rss"] = max(wire.get("rss", 0), scale.peak_rss(mount.pid))
                    mount.unmount()
                    mount.close()
            results[name].append(took)
            shutil.rmtree(directory)
    return {name: statistics.median(r) for name, r in results.items()}, wire


def compression(words, work):
    """The first sync over a slow link and on loopback, with compression and without."""
    server = Dovecot(extra="protocol imap {\n  mail_plugins = zlib imap_zlib\n}")
    mails = list(Generator().account(words.messages))
    server.fill(mails)
    server.start()
    print(f"{len(mails)} messages, {sum(len(m.data) for _, m in mails) / 1e6:.0f} MB, "
          f"median of {words.rounds} rounds; {default_binary()}")
    try:
        for rate in (2e6, 0):
            times, wire = {"with": [], "without": []}, {}
            for n in range(words.rounds):
                for name in ("with", "without") if n % 2 else ("without", "with"):
                    options = {} if name == "with" else {"disable": "COMPRESS=DEFLATE"}
                    directory = tempfile.mkdtemp(dir=work)
                    settle()
                    with Proxy(server.port, rate=rate) as proxy:
                        took, mount = run_imapfs(directory, proxy.port, **options)
                        wire[name] = proxy.bytes["down"]
                        mount.unmount()
                        mount.close()
                    times[name].append(took)
                    shutil.rmtree(directory)
            medians = {name: statistics.median(t) for name, t in times.items()}
            print(f"\n{'2 MB/s' if rate else 'loopback'}")
            for name in ("without", "with"):
                print(f"  {name + ' compression':22}{medians[name]:9.2f} s{wire[name]:13} bytes")
            print(f"  {'ratio':22}{medians['with'] / medians['without']:9.2f}")
    finally:
        server.close()


def verify_complete(mount, account):
    """A sync that left bodies behind would be measured wrongly."""
    files = size = 0
    for path, _, names in os.walk(mount.point):
        for name in names:
            full = os.path.join(path, name)
            assert os.getxattr(full, "user.imap.body") == b"cached", f"{full} is not here"
            files += 1
            size += os.stat(full).st_size
    assert (files, size) == (account.count, account.size), (files, size)


def on_the_mount(account, rounds, work):
    """First and second passes on fresh mounts, beside a copy on disk and that through bindfs."""
    directory = tempfile.mkdtemp(prefix="mount", dir=work)
    _, mount = run_imapfs(directory, account.server.port)
    try:
        mount.unmount()
        scale.compare(scale.Mounted(mount), (*scale.FRESH, "grep -rl"), rounds, account.size,
                      60, work)
    finally:
        mount.close()


def resync(words, work):
    """A second look at an account where nothing has changed, and where one flag has."""
    delay = max(words.delay or (100,)) / 1000
    kind = SERVERS[words.server]
    with kind() as server:
        server.fill(many_mailboxes(words.mailboxes, words.messages))
        print(f"\n{words.server}, nothing changed: {words.mailboxes} mailboxes, {words.messages} messages, "
              f"{delay * 1000:.0f} ms round trip")
        print(f"  {'':22}{'seconds':>9}{'turnarounds':>13}{'bytes up':>12}{'bytes down':>13}")
        near = os.path.join(work, "resync-mbsync")
        run_mbsync(near, server.port)
        settle()
        with Proxy(server.port, delay=delay) as proxy:
            slow = run_mbsync(near, proxy.port)
            print(f"  {'mbsync':22}{slow:9.2f}{proxy.turnarounds:13}{proxy.bytes['up']:12}"
                  f"{proxy.bytes['down']:13}")
        fast = unchanged(server, delay, work)
        print(f"  imapfs / mbsync{fast / slow:16.3f}   (target 0.15)")
    with kind() as server:
        server.fill(one_mailbox(words.big))
        one_flag(server, words.big, work)


def unchanged(server, delay, work):
    """From the start of the program until it has looked; mounted before without a delay."""
    mount = Mount(os.path.join(work, "resync"), server.port, sync="headers", connections=1)
    os.makedirs(mount.dir, exist_ok=True)
    mount.start()
    mount.sync(1200)
    mount.unmount()
    settle()
    with Meter(server.port, delay=delay) as meter:
        mount.port = meter.port
        start = time.monotonic()
        mount.start()
        mount.sync()
        took = time.monotonic() - start
        cost = meter.cost()
        mount.unmount()
        assert not meter.proxy.seen("^SELECT (?!INBOX)")
    mount.close()
    print(f"  {'imapfs':22}{took:9.2f}{cost.turnarounds:13}{cost.up:12}{cost.down:13}   "
          "(after signing in; target 3 turnarounds)")
    return took


def one_flag(server, messages, work):
    print(f"\none flag changed in a mailbox of {messages}")
    for name, disable in (("QRESYNC", ""), ("CONDSTORE alone", "QRESYNC")):
        options = {"disable": disable} if disable else {}
        mount = Mount(os.path.join(work, "flag" + disable), server.port, sync="headers",
                      connections=1, **options)
        os.makedirs(mount.dir, exist_ok=True)
        mount.start()
        mount.sync(1200)
        mount.unmount()
        with Client(server.port) as other:
            other.select("Big")
            other.store([messages // 2], "-FLAGS" if disable else "+FLAGS", ["\\Flagged"])
        with Meter(server.port, since="SELECT") as meter:
            mount.port = meter.port
            mount.start()
            mount.sync(300)
            cost = meter.cost()
            mount.unmount()
        mount.close()
        print(f"  {name:22}{cost.turnarounds - 1:4} turnarounds after SELECT (target 2), "
              f"{cost.up + cost.down} bytes (target 4096)")


SERVERS = {"dovecot": Dovecot, "cyrus": Cyrus}
def report_sync(delay, medians, wire):
    print(f"\nfirst sync, {delay * 1000:.0f} ms round trip")
    print(f"  {'':22}{'seconds':>9}{'turnarounds':>13}{'bytes up':>12}{'bytes down':>13}")
    for name in ("mbsync", "imapfs"):
        turns, up, down = wire[name]
        print(f"  {name:22}{medians[name]:9.2f}{turns:13}{up:12}{down:13}")
    print(f"  imapfs / mbsync{medians['imapfs'] / medians['mbsync']:16.2f}   (target 0.5)")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, action="append",
                        help="round trips in ms, default 0 and 100")
    parser.add_argument("--only", choices=("sync", "mount", "resync", "scale", "compress"))
    parser.add_argument("--mailboxes", type=int, default=200, help="of --only resync")
    parser.add_argument("--big", type=int, default=100000,
                        help="messages of the mailbox with one changed flag in --only resync")
    parser.add_argument("--server", choices=SERVERS, default="dovecot", help="of --only resync")
    parser.add_argument("--size", type=int, default=6000, help="of a message in --only scale")
    parser.add_argument("--mount", action="append", default=[],
                        help="of --only scale: maildir or another word of mount_probe")
    words = parser.parse_args()
    work = tempfile.mkdtemp(prefix="imapfs-bench-", dir="/tmp")
    if words.only == "mount" and words.messages > SERVER_MAX:
        words.only = "scale"
    if words.only in ("resync", "scale", "compress"):
        try:
            if words.only == "resync":
                resync(words, work)
            elif words.only == "compress":
                compression(words, work)
            else:
                scale.run(os.environ["MOUNT_PROBE"], words.messages, words.rounds, words.size,
                          words.mount, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return
    account = Account(words.messages)
    print(f"{account.count} messages, {account.size / 1e6:.0f} MB, median of {words.rounds} rounds; "
          f"{default_binary()}")
    try:
        rss = 0
        if words.only != "mount":
            for delay in words.delay or (0, 100):
                medians, wire = first_sync(account, delay / 1000, words.rounds, work)
                report_sync(delay / 1000, medians, wire)
                rss = max(rss, wire["rss"])
        if words.only != "sync":
            print("\non the mount")
            on_the_mount(account, words.rounds, work)
        if rss:
            print(f"\npeak RSS of the daemon in the first sync {rss:.1f} MB (target 60)")
    finally:
        account.server.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
