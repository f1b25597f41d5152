# SPDX-License-Identifier: MIT
"""What all private servers on loopback have in common: a directory, ports, a process group."""

import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import tls
from .client import Client

UNPACKED = "/var/cache/imapfs-tests/servers"  # by scripts/setup
SPECIAL = ("Drafts", "Sent", "Trash")


def free_ports(count):
    """Ports nobody listens on now, and none that a connection is given before it is listened on."""
    ports = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def wait_for_port(port, deadline=20.0):
    """Waits until a server greets on the port."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
                s.settimeout(1)
                if s.recv(4) == b"* OK":
                    return
        except OSError:
            pass
        time.sleep(0.03)
    raise RuntimeError(f"no greeting on port {port}")


def program(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise RuntimeError(f"{name} is not installed")
    return path


def default_signals():
    """A caller may ignore SIGINT, and the server would inherit that."""
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(sig, signal.SIG_DFL)


def crypted(password):
    """As in a password file."""
    done = subprocess.run(["openssl", "passwd", "-1", "-stdin"], input=password.encode(),
                          check=True, capture_output=True)
    return done.stdout.decode().strip()


def _family(pids):
    """The processes and all that they have started, the elder ones first."""
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                    pids += [int(child) for child in f.read().split()]
        except OSError:
            pass
    return pids


class Server:
    """start(), stop(), freeze(), thaw(); `port` speaks plain text, `tls_port` TLS where there is
    one.  A kind of server says its name, its user, how it is configured (_prepare) and what is
    run (_commands)."""

    name = ""
    root = "root"       # whose processes they are where root starts them
    prefix = ""         # of every mailbox but INBOX
    delimiter = "/"
    illegal = ""        # in names of mailboxes
    whole_lines = False  # each message ends with one, whatever was sent
    logs = ("stderr.log",)
    extensions = None   # words that tests ask for, where it has not all
    mechanisms = ()     # that it offers and a password is good for

    def __init__(self, directory=None, users=None, certificate=None):
        self.certificate = certificate  # of the authority: (certificate, key), not a good one
        self.own_dir = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix=f"imapfs-{self.name}-")
        self.users = users or {"test": "secret", "other": "secret"}
        self._kept = os.path.join(self.dir, "server.json")
        self.run_dir, self.port, self.tls_port = self._place()
        self.ca = tls.CertificateAuthority(os.path.join(self.dir, "tls"))
        self.owner = pwd.getpwuid(os.geteuid()) if os.geteuid() else pwd.getpwnam(self.root)
        self.processes = []
        self.pending = []   # messages to be there when it has started
        os.makedirs(os.path.join(self.dir, "mail"), exist_ok=True)
        self.prepared = os.path.exists(os.path.join(self.dir, "prepared"))
        self._prepare()
        for path in (self.run_dir, self.dir):
            self._own_tree(path)

    @property
    def cafile(self):
        return self.ca.cafile

    def certified(self):
        """What it shows of itself: the files of (certificate, key)."""
        if self.certificate:
            return self.certificate(self.ca)
        return self.ca.issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])

    @classmethod
    def login(cls, user):
        """What a user is called at LOGIN."""
        return user

    @classmethod
    def way_in(cls):
        """Options of a Mount."""
        return {"user": cls.login("test"), "below": cls.prefix.rstrip(cls.delimiter)}

    @classmethod
    def legal(cls, mailbox):
        """The name, without what the server allows in no name."""
        return mailbox.translate({ord(c): None for c in cls.illegal})

    def _place(self):
        """A server started again in the same directory is the same server."""
        if os.path.exists(self._kept):
            with open(self._kept, encoding="ascii") as f:
                return json.load(f)
        # sockets have short names: the run directory must not be deep
        base = os.environ.get("IMAPFS_TEST_DIR", "/tmp")
        place = [tempfile.mkdtemp(prefix="imapfs-run-", dir=base), *free_ports(2)]
        with open(self._kept, "w", encoding="ascii") as f:
            json.dump(place, f)
        return place

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def _own(self, path):
        if os.geteuid() == 0:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def _own_tree(self, directory):
        self._own(directory)
        for path, dirs, files in os.walk(directory):
            for name in dirs + files:
                self._own(os.path.join(path, name))

    def _become_owner(self):
        default_signals()
        if os.geteuid() == 0 and self.owner.pw_uid:
            os.setgroups([])
            os.setgid(self.owner.pw_gid)
            os.setuid(self.owner.pw_uid)

    def _environment(self):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def start(self):
        """Returns when the server greets."""
        if self.processes:
            return self
        with open(self.path("stderr.log"), "ab") as log:
            for command in self._commands():
                self.processes.append(subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                    start_new_session=True, preexec_fn=self._become_owner,
                    env=self._environment()))
        try:
            wait_for_port(self.port)
            if not self.prepared:
                self._first_start()
                open(self.path("prepared"), "w", encoding="ascii").close()
                self.prepared = True
            self._append_pending()
        except Exception as e:
            text = self.log()
            self.stop()
            raise RuntimeError(f"{self.name} does not start: {e}\n{text}") from None
        return self

    def client(self, user="test"):
        return Client(self.port, self.login(user), self.users[user],
                      prefix=self.prefix, delimiter=self.delimiter)

    def _first_start(self):
        for user in self.users:
            with self.client(user) as client:
                for name in SPECIAL:
                    client.create(name)

    def fill(self, messages, user="test"):
        """(mailbox, Mail) pairs, with UIDs in order."""
        self.pending += [(user, mailbox, mail) for mailbox, mail in messages]
        if self.processes:
            self._append_pending()

    def _append_pending(self):
        for user in self.users:
            mine = [(mailbox, mail) for whose, mailbox, mail in self.pending if whose == user]
            if not mine:
                continue
            with self.client(user) as client:
                there = set(client.mailboxes())
                for mailbox, mail in mine:
                    client.create_with_parents(mailbox, there)
                    client.append(mailbox, mail.data, sorted(mail.flags), mail.date)
                for mailbox in {mailbox: None for mailbox, _ in mine}:
                    client.select(mailbox)  # imap4d gives the UIDs now
        self.pending = []

    def answers(self):
        """Also of a server that another process started."""
        try:
            wait_for_port(self.port, 1)
        except RuntimeError:
            return False
        return True

    def _signal(self, sig):
        for process in self.processes:
            try:
                os.killpg(process.pid, sig)
            except ProcessLookupError:
                pass

    def stop(self, deadline=1.0):
        """Ends the server and all its processes; clients see their connections closed."""
        if not self.processes:
            return
        self.thaw()
        self._signal(signal.SIGTERM)
        try:
            self.processes[-1].wait(deadline)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        """As power loss: nothing says good-bye."""
        self._signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
        self.processes = []

    def _signal_all(self, sig):
        """Also those that have left the group."""
        for pid in _family([process.pid for process in self.processes]):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass

    def freeze(self):
        """The network is up and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self):
        self._signal_all(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self.run_dir, ignore_errors=True)
        if self.own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def log(self):
        text = ""
        for name in self.logs:
            try:
                with open(self.path(name), encoding="utf-8", errors="replace") as f:
                    text += f.read()[-4000:]
            except OSError:
                pass
        return text
