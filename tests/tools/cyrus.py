# SPDX-License-Identifier: MIT
"""A private Cyrus on loopback, run from the files that scripts/setup has unpacked."""

import os
import subprocess

from .client import Client
from .server import SPECIAL, UNPACKED, Server

IMAPD_CONF = """
configdirectory: {dir}/config
proc_path: {run}/proc
mboxname_lockpath: {run}/lock
partition-default: {dir}/mail
defaultpartition: default
duplicate_db_path: {run}/deliver.db
statuscache_db_path: {run}/statuscache.db
idlesocket: {run}/idle
notifysocket: {run}/notify
lmtpsocket: {run}/lmtp
cyrus_user: {user}
cyrus_group: {group}
admins: cyrus
servername: localhost
altnamespace: yes
unixhierarchysep: yes
allowplaintext: yes
anyoneuseracl: no
imapidlepoll: 1
expunge_mode: {expunge}
delete_mode: {delete}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {dir}/sasldb
sasl_mech_list: {mechanisms}
failedloginpause: 0
tls_server_cert: {cert}
tls_server_key: {key}
tls_session_timeout: 0
maxlogins_per_user: 0
{extra}
"""

CYRUS_CONF = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {conf} -r"
  idled cmd="{bin}/idled -C {conf}"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {conf}" listen="127.0.0.1:{port}" prefork=2 proto=tcp4
  imaps cmd="{bin}/imapd -C {conf} -s" listen="127.0.0.1:{tls_port}" prefork=0 proto=tcp4
}}
EVENTS {{
}}
"""

ADMIN = "cyrus"


class Cyrus(Server):
    name = "cyrus"
    root = "mail"
    illegal = "\"\\%{}<>`!;|"
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")

    def __init__(self, directory=None, users=None, expunge="delayed", delete="delayed", extra="",
                 certificate=None):
        self.modes = {"expunge": expunge, "delete": delete}
        self.extra = extra
        super().__init__(directory, users, certificate)

    def _environment(self):
        libraries = [f"{UNPACKED}/usr/lib/x86_64-linux-gnu", f"{UNPACKED}/usr/lib"]
        return {**super()._environment(), "LD_LIBRARY_PATH": ":".join(libraries),
                "LD_PRELOAD": "libeatmydata.so",  # it syncs much, and no test cuts its power
                "CYRUS_USER": self.owner.pw_name}

    def _prepare(self):
        import grp
        for name in ("config", "config/db", "config/socket", "config/log", "config/msg"):
            os.makedirs(self.path(name), exist_ok=True)
        for name in ("proc", "lock"):
            os.makedirs(os.path.join(self.run_dir, name), exist_ok=True)
        cert, key = self.certified()
        bin_dir = f"{UNPACKED}/usr/lib/cyrus/bin"
        self.conf = self.write("imapd.conf", IMAPD_CONF.format(
            dir=self.dir, run=self.run_dir, cert=cert, key=key, user=self.owner.pw_name,
            group=grp.getgrgid(self.owner.pw_gid).gr_name, extra=self.extra,
            mechanisms=" ".join(self.mechanisms), **self.modes))
        self.services = self.write("cyrus.conf", CYRUS_CONF.format(
            bin=bin_dir, conf=self.conf, port=self.port, tls_port=self.tls_port))
        if not os.path.exists(self.path("sasldb")):
            for user, password in {ADMIN: "secret", **self.users}.items():
                subprocess.run([f"{UNPACKED}/usr/sbin/saslpasswd2", "-c", "-p", "-f",
                                self.path("sasldb"), "-u", "localhost", user],
                               input=password.encode(), check=True, capture_output=True,
                               env=self._environment())

    def _commands(self):
        return [[f"{UNPACKED}/usr/lib/cyrus/bin/master", "-C", self.conf, "-M", self.services,
                 "-p", os.path.join(self.run_dir, "master.pid"), "-D"]]

    def _first_start(self):
        with Client(self.port, ADMIN, "secret") as admin:
            for user in self.users:
                admin.create(f"user/{user}")
        for user in self.users:
            with self.client(user) as client:
                for name in SPECIAL:
                    client.create(name, use="\\" + name)


