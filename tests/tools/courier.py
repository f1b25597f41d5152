# SPDX-License-Identifier: MIT
"""A private Courier-IMAP on loopback: its paths are fixed, so it runs in a mount namespace."""

import os
import shlex
import subprocess

from .server import UNPACKED, Server, crypted

# in the namespace: /usr and /etc below, Courier's files and ours above
INSIDE = """
set -eu
# what is unmounted outside must not stay in here
umount -a -l -t fuse.imapfs
mount -t tmpfs tmpfs /run
mkdir -p /run/courier/authdaemon
mount -t overlay -o lowerdir={unpacked}/usr:/usr overlay /usr
mount -t overlay -o lowerdir={dir}/etc:{unpacked}/etc:/etc overlay /etc
set -a
. /etc/courier/imapd
. /etc/courier/ours
/usr/sbin/courierlogger -start -pid=/run/courier/authdaemon/pid /usr/lib/courier/courier-authlib/authdaemond
for i in 1 2 3 4 5 6 7 8 9 10; do [ -S /run/courier/authdaemon/socket ] && break; sleep 0.1; done
listen() {{
	port=$1
	shift
	exec /usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup \\
		-noidentlookup -stderr={dir}/courier.log "$port" "$@" \\
		/usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir
}}
IMAP_TLS=1 listen {tls_port} /usr/bin/couriertls -server -tcpd &
listen {port}
"""

OURS = """
IMAP_CAPABILITY="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE AUTH=PLAIN AUTH=CRAM-MD5"
IMAP_CAPABILITY_TLS="$IMAP_CAPABILITY"
IMAP_IDLE_TIMEOUT=1
IMAP_EMPTYTRASH=
IMAP_ULIMITD=
IMAP_STARTTLS=YES
IMAP_TLS_REQUIRED=0
COURIERTLS=/usr/bin/couriertls
TLS_CERTFILE=/etc/courier/imapd.pem
TLS_VERIFYPEER=NONE
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
    illegal = ".\U0001f389"
    extensions = ("KEYWORDS", "SHARED", "UIDPLUS", "NAMESPACE", "IDLE", "QUOTA", "ACL")
    whole_lines = True
    logs = ("stderr.log", "courier.log")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")  # LOGIN: by its command

    def _prepare(self):
        etc = self.path("etc", "courier")
        os.makedirs(etc, exist_ok=True)
        me = self.owner
        lines = ""
        for user, password in self.users.items():
            home = self.path("mail", user)
            self._maildir(os.path.join(home, "Maildir"))
            lines += f"{user}\tuid={me.pw_uid}|gid={me.pw_gid}|home={home}|mail={home}/Maildir" \
                f"|imappw={crypted(password)}|systempw={crypted(password)}" \
                f"|hmac-md5pw={_hmac_md5(password)}\n"
        self.write("etc/courier/userdb", lines)
        self._know_courier()
        self.write("etc/courier/ours", OURS)
        pem = ""
        for path in self.certified():
            with open(path, encoding="ascii") as f:
                pem += f.read()
        self.write("etc/courier/imapd.pem", pem)
        self.write("etc/courier/authdaemonrc", AUTHDAEMONRC)
        env = {"LD_LIBRARY_PATH": f"{UNPACKED}/usr/lib/x86_64-linux-gnu"}
        makedat = f"{UNPACKED}/usr/lib/courier/courier-authlib/makedatprog"
        for stem in ("userdb", "userdbshadow"):
            text = _userdb_dat(lines, stem == "userdbshadow")
            subprocess.run([makedat, "-", os.path.join(etc, stem + ".tmp"),
                            os.path.join(etc, stem + ".dat")],
                           input=text.encode(), env=env, check=True, capture_output=True)

    def _know_courier(self):
        """couriertls becomes this user, that Debian's package makes."""
        for name, line in (("passwd", "courier:x:0:0::/:/bin/false"), ("group", "courier:x:0:")):
            with open(f"/etc/{name}", encoding="utf-8") as f:
                others = [other for other in f if not other.startswith("courier:")]
            self.write(f"etc/{name}", "".join(others) + line + "\n", mode=0o644)

    @staticmethod
    def _maildir(path):
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, sub), mode=0o700, exist_ok=True)

    def _commands(self):
        script = INSIDE.format(unpacked=shlex.quote(UNPACKED), dir=shlex.quote(self.dir),
                               port=self.port, tls_port=self.tls_port)
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return [["unshare", *user, "--mount", "--propagation", "slave", "--pid", "--fork",
                 "--kill-child=KILL", "--mount-proc", "sh", "-c", script]]


def _hmac_md5(password):
    """As CRAM-MD5 needs it."""
    done = subprocess.run([f"{UNPACKED}/usr/sbin/userdbpw", "-hmac-md5"], check=True,
                          input=password.encode() + b"\n", capture_output=True,
                          env={"LD_LIBRARY_PATH": f"{UNPACKED}/usr/lib/x86_64-linux-gnu"})
    return done.stdout.decode().strip()


def _userdb_dat(lines, shadow):
    """What makeuserdb hands to makedatprog."""
    text = ""
    for line in lines.splitlines():
        user, fields = line.split("\t")
        kept = [f for f in fields.split("|") if ("pw=" in f) == shadow]
        text += f"{user}\t{'|'.join(kept)}\n"
    return text + ".\n"


