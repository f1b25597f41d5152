# SPDX-License-Identifier: MIT
"""OAuth 2 as a mail server sees it: tokens that it can check itself, and a place to ask."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import threading
import time
import urllib.parse

SECRET = b"a secret that signs tokens"


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(user, lifetime, secret=SECRET):
    """A signed token (RFC 7519) that is good for `lifetime` seconds."""
    head = _base64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    now = int(time.time())
    body = _base64(json.dumps({"sub": user, "iat": now - 60, "exp": now + lifetime}).encode())
    sign = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{_base64(sign)}"


def _passdb(conf):
    return f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {conf}\n}}"


def local_passdb(directory):
    """Dovecot's passdb block for tokens of jwt()."""
    keys = os.path.join(directory, "keys")
    place = os.path.join(keys, "default", "HS256")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "default"), "wb") as f:
        f.write(base64.b64encode(SECRET))
    conf = os.path.join(directory, "oauth2.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write("introspection_mode = local\n"
                f"local_validation_key_dict = fs:posix:prefix={keys}/\n"
                "username_attribute = sub\n")
    return _passdb(conf)


class Introspection:
    """Answers which token is whose (RFC 7662): `tokens` maps those that are good to users."""

    def __init__(self):
        self.tokens = {}
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                token = urllib.parse.parse_qs(form).get("token", [""])[0]
                outer.asked.append(token)
                user = outer.tokens.get(token)
                answer = json.dumps({"active": "true", "username": user} if user
                                    else {"active": "false"}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def passdb(self, directory):
        conf = os.path.join(directory, "oauth2-http.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write("introspection_mode = post\n"
                    f"introspection_url = http://127.0.0.1:{self.server.server_port}/\n"
                    "force_introspection = yes\nactive_attribute = active\n"
                    "active_value = true\nusername_attribute = username\n")
        return _passdb(conf)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
