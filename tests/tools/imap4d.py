# SPDX-License-Identifier: MIT
"""GNU mailutils' imap4d on loopback: a real server that follows few rules."""

import os

from .server import UNPACKED, Server, crypted

CONF = """
mode daemon;
foreground yes;
pidfile {run}/pid;
max-children 50;
transcript no;
logging {{ syslog no; severity info; }}
debug {{ }}
mailbox {{ mailbox-type maildir; }}
auth {{
  authentication clear;
  authentication generic;
  authorization clear;
  authorization virtdomain;
}}
virtdomain {{ passwd-dir {dir}/passwd; }}


gsasl {{ cram-passwd {dir}/passwords; }}
tls {{ ssl-certificate-file {cert}; ssl-key-file {key}; }}
server 127.0.0.1:{port} {{ single-process no; tls-mode ondemand; }}
server 127.0.0.1:{tls_port} {{ single-process no; tls-mode connection; }}
"""

DOMAIN = "test.local"


class Imap4d(Server):
    name = "imap4d"
    extensions = ("LITERAL+", "NAMESPACE", "UNSELECT")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")

    @classmethod
    def login(cls, user):
        return f"{user}@{DOMAIN}"

    def _environment(self):
        return {**super()._environment(), "LD_LIBRARY_PATH": f"{UNPACKED}/usr/lib/x86_64-linux-gnu"}

    def _prepare(self):
        os.makedirs(self.path("passwd"), exist_ok=True)
        me = self.owner
        lines = ""
        for user, password in self.users.items():
            home = self.path("mail", user)
            for sub in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(home, "INBOX", sub), exist_ok=True)
            lines += f"{user}:{crypted(password)}:{me.pw_uid}:{me.pw_gid}::{home}:/bin/false\n"
        self.write(f"passwd/{DOMAIN}", lines)
        self.write("passwords", "".join(
            f"{self.login(user)}\t{password}\n" for user, password in self.users.items()))
        cert, key = self.certified()
        self.conf = self.write("imap4d.conf", CONF.format(
            dir=self.dir, run=self.run_dir, port=self.port, tls_port=self.tls_port,
            cert=cert, key=key))

    def _commands(self):
        return [[f"{UNPACKED}/usr/sbin/imap4d", "--no-config",
                 "--config-file", self.conf, "--foreground"]]
