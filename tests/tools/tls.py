# SPDX-License-Identifier: MIT
"""A certificate authority of one's own, made when it is needed."""

import os
import subprocess

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

    def issue(self, name, sans, usage="serverAuth", days=30):
        """A certificate for `name`; `days` below zero gives one that is over."""
        stem = os.path.join(self.dir, f"{name}-{usage}-{days}")
        cert, key, csr = stem + ".pem", stem + ".key", stem + ".csr"
        if os.path.exists(cert):
            return cert, key
        conf = self._conf(os.path.basename(stem), name, ",".join(sans), usage)
        self._key(key)
        _openssl("req", "-new", "-key", key, "-out", csr, "-config", conf)
        _openssl("x509", "-req", "-in", csr, "-CA", self.cafile, "-CAkey", self.cakey,
                 "-CAcreateserial", "-out", cert, "-days", str(days), "-extfile", conf,
                 "-extensions", "leaf")
        return cert, key
