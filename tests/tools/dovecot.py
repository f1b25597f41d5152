# SPDX-License-Identifier: MIT
"""A private Dovecot on loopback, run by whoever calls: root or an ordinary user."""

import os
import signal
import subprocess
import time

from .mutf7 import encode as mutf7
from .server import Server, program

CONF = """
base_dir = {run}
state_dir = {run}
log_path = {dir}/dovecot.log
info_log_path = {dir}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {uid}
mail_gid = {gid}
mail_home = {dir}/mail/%u
mail_location = {location}
mail_fsync = never
mail_max_userip_connections = 100
maildir_very_dirty_syncs = no
mailbox_list_index = yes
mailbox_idle_check_interval = 1 secs
imap_idle_notify_interval = 2 mins
{capability}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  client_limit = 200
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 200
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0600
  }}
}}
{passdb}
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = scheme=PLAIN username_format=%u {dir}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
  mailbox Junk {{
    special_use = \\Junk
  }}
}}
{extra}
"""

LOCATIONS = {
    "maildir": "maildir:~/Maildir:LAYOUT=fs",
    "sdbox": "sdbox:~/sdbox",
}


class Dovecot(Server):
    name = "dovecot"
    root = "dovecot"  # mail of root is refused: there Dovecot's own user runs it
    logs = ("stderr.log", "dovecot.log")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")

    def __init__(self, directory=None, users=None, storage="maildir", capability="", extra="",
                 passdb="", mechanisms="", certificate=None):
        self.storage = storage
        self.capability = f"imap_capability = {capability}" if capability else ""
        self.extra = extra
        self.passdb = passdb
        self.offered = " ".join(self.mechanisms).lower() + " " + mechanisms
        super().__init__(directory, users, certificate)

    def _prepare(self):
        with open(self.path("users"), "w", encoding="utf-8") as f:
            for name, password in self.users.items():
                f.write(f"{name}:{{PLAIN}}{password}::::::\n")
        cert, key = self.certified()
        me = self.owner
        passdb = self.passdb(self.dir) if callable(self.passdb) else self.passdb
        self.conf = self.write("dovecot.conf", CONF.format(
            dir=self.dir, run=self.run_dir, cert=cert, key=key, user=me.pw_name,
            group=_group_name(me.pw_gid), uid=me.pw_uid, gid=me.pw_gid,
            location=LOCATIONS[self.storage], port=self.port, tls_port=self.tls_port,
            capability=self.capability, extra=self.extra, passdb=passdb,
            mechanisms=self.offered))

    def _commands(self):
        return [[program("dovecot"), "-F", "-c", self.conf]]

    def _first_start(self):
        """Its configuration makes the mailboxes."""

    def stop_earlier(self):
        """Ends the server that another process started in this directory."""
        try:
            note = os.path.join(self.run_dir, "master.pid")
            with open(note, encoding="ascii") as f:
                pid = int(f.read())
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if self.conf.encode() not in f.read().split(b"\0"):
                    return
            os.killpg(pid, signal.SIGCONT)
            os.killpg(pid, signal.SIGTERM)
            time.sleep(0.3)
            os.killpg(pid, signal.SIGKILL)
            os.unlink(note)  # the dead one may wait for its parent for long
        except (OSError, ValueError):
            pass

    def doveadm(self, *args):
        """For what no client can do, such as a changed UIDVALIDITY."""
        return subprocess.run([program("doveadm"), "-c", self.conf, *args], check=True,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              preexec_fn=self._become_owner).stdout

    def _maildir(self, user, mailbox):
        root = os.path.join(self.dir, "mail", user, "Maildir")
        if mailbox == "INBOX":
            return root
        return os.path.join(root, *[mutf7(part) for part in mailbox.split("/")])

    def fill(self, messages, user="test"):
        """Writes (mailbox, Mail) pairs straight into the Maildirs: Dovecot indexes them at
        the next SELECT, takes INTERNALDATE from the file's mtime and gives UIDs in order."""
        if self.storage != "maildir":
            raise ValueError("only a Maildir can be written behind the server's back")
        made = {}
        for n, (mailbox, mail) in enumerate(messages):
            if mailbox not in made:
                made[mailbox] = self._make_maildir(user, mailbox)
            size = len(mail.data)
            flags = "".join(sorted(letter for flag, letter in _LETTERS.items()
                                   if flag in mail.flags))
            name = f"{1700000000000 + n}.M{n:06d}.host,S={size},W={size}:2,{flags}"
            path = os.path.join(made[mailbox], "cur", name)
            with open(path, "wb") as f:
                f.write(mail.data)
            os.utime(path, (mail.date, mail.date))
            self._own(path)

    def _make_maildir(self, user, mailbox):
        path = self._maildir(user, mailbox)
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, sub), mode=0o700, exist_ok=True)
            self._own(os.path.join(path, sub))
        parent = path
        while parent != self.dir:
            self._own(parent)
            parent = os.path.dirname(parent)
        return path


_LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}


def _group_name(gid):
    import grp
    return grp.getgrgid(gid).gr_name
