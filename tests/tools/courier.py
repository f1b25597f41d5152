# SPDX-License-Identifier: MIT
"""A private Courier-IMAP on loopback: its paths are fixed, so it runs in a mount namespace."""

import os
import shlex
import subprocess

from .server import UNPACKED, Server, crypted

# in the namespace: /usr and /etc below, Courier's files and ours above
INSIDE = """
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/courier/authdaemon
mount -t overlay -o lowerdir={unpacked}/usr:/usr overlay /usr
mount -t overlay -o lowerdir={dir}/etc:{unpacked}/etc:/etc overlay /etc
set -a
. /etc/courier/imapd
. /etc/courier/ours
/usr/sbin/courierlogger -start -pid=/run/courier/authdaemon/pid /usr/lib/courier/courier-authlib/authdaemond
for i in 1 2 3 4 5 6 7 8 9 10; do [ -S /run/courier/authdaemon/socket ] && break; sleep 0.1; done
exec /usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup \\
	-noidentlookup -stderr={dir}/courier.log {port} /usr/lib/courier/courier/imaplogin \\
	/usr/bin/imapd Maildir
"""

OURS = """
IMAP_CAPABILITY="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
IMAP_IDLE_TIMEOUT=1
IMAP_EMPTYTRASH=
IMAP_ULIMITD=
IMAP_STARTTLS=NO
TLS_PROTOCOL=TLS1.2+
"""

AUTHDAEMONRC = """
authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=2
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""


class Courier(Server):
    name = "courier"
    prefix = "INBOX."
    delimiter = "."
    logs = ("stderr.log", "courier.log")

    def _prepare(self):
        etc = self.path("etc", "courier")
        os.makedirs(etc, exist_ok=True)
        me = self.owner
        lines = ""
        for user, password in self.users.items():
            home = self.path("mail", user)
            self._maildir(os.path.join(home, "Maildir"))
            lines += f"{user}\tuid={me.pw_uid}|gid={me.pw_gid}|home={home}|mail={home}/Maildir" \
                f"|imappw={crypted(password)}|systempw={crypted(password)}\n"
        self.write("etc/courier/userdb", lines)
        self.write("etc/courier/ours", OURS)
        self.write("etc/courier/authdaemonrc", AUTHDAEMONRC)
        env = {"LD_LIBRARY_PATH": f"{UNPACKED}/usr/lib/x86_64-linux-gnu"}
        makedat = f"{UNPACKED}/usr/lib/courier/courier-authlib/makedatprog"
        for stem in ("userdb", "userdbshadow"):
            text = _userdb_dat(lines, stem == "userdbshadow")
            subprocess.run([makedat, "-", os.path.join(etc, stem + ".tmp"),
                            os.path.join(etc, stem + ".dat")],
                           input=text.encode(), env=env, check=True, capture_output=True)

    @staticmethod
    def _maildir(path):
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, sub), mode=0o700, exist_ok=True)

    def _commands(self):
        script = INSIDE.format(unpacked=shlex.quote(UNPACKED), dir=shlex.quote(self.dir),
                               port=self.port)
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return [["unshare", *user, "--mount", "--propagation", "private", "--pid", "--fork",
                 "--kill-child=KILL", "--mount-proc", "sh", "-c", script]]


def _userdb_dat(lines, shadow):
    """What makeuserdb hands to makedatprog."""
    text = ""
    for line in lines.splitlines():
        user, fields = line.split("\t")
        kept = [f for f in fields.split("|") if ("pw=" in f) == shadow]
        text += f"{user}\t{'|'.join(kept)}\n"
    return text + ".\n"


