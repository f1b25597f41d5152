# SPDX-License-Identifier: MIT
"""A certificate authority of one's own, made when it is needed; and what a client says in TLS."""

import os
import socket
import subprocess
import threading
import time

_SUBJECT_CONF = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
subjectAltName = {san}
extendedKeyUsage = {usage}
"""

_REGISTER_CONF = """
[ca]
default_ca = register
[register]
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
"""


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL, capture_output=True)


class CertificateAuthority:
    """`cafile` is to be trusted; issue() gives (certificate, key) files."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.cafile = os.path.join(directory, "ca.pem")
        self.cakey = os.path.join(directory, "ca.key")
        if not os.path.exists(self.cafile):
            conf = self._conf("ca", "imapfs test CA", "DNS:ca", "serverAuth")
            self._key(self.cakey)
            _openssl("req", "-new", "-x509", "-key", self.cakey, "-out", self.cafile, "-days", "30",
                     "-config", conf, "-extensions", "ca")

    @staticmethod
    def _key(path):
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-out", path)
        os.chmod(path, 0o600)

    def _conf(self, stem, name, san, usage):
        path = os.path.join(self.dir, stem + ".cnf")
        with open(path, "w", encoding="ascii") as f:
            f.write(_SUBJECT_CONF.format(name=name, san=san, usage=usage))
        return path

    def self_signed(self, name, sans):
        """A certificate that nobody but its own key vouches for."""
        stem = os.path.join(self.dir, name + "-self")
        conf = self._conf(os.path.basename(stem), name, ",".join(sans), "serverAuth")
        self._key(stem + ".key")
        _openssl("req", "-new", "-x509", "-key", stem + ".key", "-out", stem + ".pem", "-days", "30",
                 "-config", conf, "-extensions", "leaf")
        return stem + ".pem", stem + ".key"

    def _sign_for_the_past(self, csr, cert, conf, days):
        with open(conf, "a", encoding="ascii") as f:
            f.write(_REGISTER_CONF.format(dir=self.dir))
        open(os.path.join(self.dir, "index.txt"), "a", encoding="ascii").close()
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + n * 86400))
                      for n in (days - 1, days))
        _openssl("ca", "-batch", "-rand_serial", "-notext", "-config", conf, "-in", csr, "-out", cert,
                 "-cert", self.cafile, "-keyfile", self.cakey, "-extensions", "leaf",
                 "-startdate", begin, "-enddate", end)

    def issue(self, name, sans, usage="serverAuth", days=30):
        """A certificate for `name`; `days` below zero gives one that is over."""
        stem = os.path.join(self.dir, f"{name}-{usage}-{days}")
        cert, key, csr = stem + ".pem", stem + ".key", stem + ".csr"
        if os.path.exists(cert):
            return cert, key
        conf = self._conf(os.path.basename(stem), name, ",".join(sans), usage)
        self._key(key)
        _openssl("req", "-new", "-key", key, "-out", csr, "-config", conf)
        if days < 0:
            self._sign_for_the_past(csr, cert, conf, days)
            return cert, key
        _openssl("x509", "-req", "-in", csr, "-CA", self.cafile, "-CAkey", self.cakey,
                 "-CAcreateserial", "-out", cert, "-days", str(days), "-extfile", conf,
                 "-extensions", "leaf")
        return cert, key


class Tap:
    """Passes everything on and keeps what the clients say."""

    def __init__(self, target_port):
        self.target = target_port
        self.said = []      # a client's bytes each
        self.open = 0
        self.changed = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            said = bytearray()
            with self.changed:
                self.said.append(said)
                self.open += 1
            threading.Thread(target=self._pass, args=(client, server, said), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, bytearray()), daemon=True).start()

    def _pass(self, source, sink, kept):
        try:
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.changed:
            self.open -= 0.5
            self.changed.notify_all()

    def ended(self, count, deadline=20):
        """Of each of `count` links, once they are over: whether the client spoke no more than its
        alert after its hello."""
        with self.changed:
            over = self.changed.wait_for(lambda: len(self.said) == count and not self.open, deadline)
        assert over, f"{len(self.said)} links, {self.open} open"
        return [only_an_alert(said) for said in self.said]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # a thread that accepts is woken by the one, the port is free by the other
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def only_an_alert(said):
    """Of a TLS client that may have asked for STARTTLS in plain text before."""
    hello = said.find(b"\x16\x03")
    assert hello >= 0 and not any(word in said[:hello] for word in (b"LOGIN", b"AUTHENTICATE"))
    at, later = hello, []
    while at < len(said):
        size = int.from_bytes(said[at + 3:at + 5], "big")
        if said[at] != 22 or said[at + 5] != 1:  # a server may ask for another hello
            later.append((said[at], size))
        at += 5 + size
    # in TLS 1.3 an alert is dressed as data: 2 bytes, its kind and a tag of 16; no message of the
    # handshake is that short
    return at == len(said) and all(kind in (20, 21) or (kind, size) == (23, 19)
                                   for kind, size in later)
