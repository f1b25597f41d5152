# SPDX-License-Identifier: MIT
"""Mailbox names in modified UTF-7 (RFC 3501, section 5.1.3)."""

import base64
import re


def _shift(match):
    data = base64.b64encode(match.group().encode("utf-16-be")).decode("ascii")
    return "&" + data.rstrip("=").replace("/", ",") + "-"


def encode(name):
    return re.sub(r"[^\x20-\x7e]+", _shift, name.replace("&", "&-"))


def _unshift(match):
    data = match.group(1).replace(",", "/")
    if not data:
        return "&"
    return base64.b64decode(data + "=" * (-len(data) % 4)).decode("utf-16-be")


def decode(name):
    return re.sub(r"&([A-Za-z0-9+,]*)-", _unshift, name)
