# SPDX-License-Identifier: MIT
"""The map of the house: which folder may use what.  Read by check-layers, which enforces it, and
by check-layer-breaches, which proves that each line of it is enforced."""

import fnmatch
import re

# Library: its folder, and the libraries it may include and call.
FOLDERS = {
    "base": "imap/base",
    "imap": "imap",
    "store": "cache/store",
    "sync": "cache/sync",
    "mount": "fs/mount",
    "cli": "fs/cli",
}
MAY_USE = {
    "base": set(),
    "imap": {"base"},
    "store": {"base"},
    "sync": {"base", "imap", "store"},
    "mount": {"base", "store", "sync"},
    "cli": {"base", "store", "sync", "mount"},
}
TOPS = sorted({folder.split("/")[0] for folder in FOLDERS.values()})

# Headers that the compiler finds from everywhere: where they may be included, and symbols that
# only those places may be short of.  A place is a library, or a library and a file pattern.
SOCKETS = ["imap", "cli:cli_control*"]
HEADERS = {
    "sqlite3.h": ["store"],
    "openssl/*": ["imap"],
    "gsasl*": ["imap"],
    "zlib.h": ["imap"],
    "fuse*": ["mount"],
    "sys/socket.h": SOCKETS,
    "sys/un.h": SOCKETS,
    "netdb.h": SOCKETS,
    "netinet/*": SOCKETS,
    "arpa/*": SOCKETS,
}
SYMBOLS = {
    r"sqlite3_\w+": ["store"],
    r"(SSL|BIO|EVP|X509|PEM|OPENSSL|CRYPTO)_\w+": ["imap"],
    r"gsasl_\w+": ["imap"],
    r"(de|in)flate\w*|crc32|adler32": ["imap"],
    r"fuse_\w+": ["mount"],
    r"socket|connect|bind|listen|accept4?|getaddrinfo": SOCKETS,
}
# These must not even stand in a public header of their owner: whoever includes it would see them.
PRIVATE_HEADERS = ["sqlite3.h", "openssl/*", "gsasl*", "zlib.h", "fuse*"]

# What a string literal of a folder must not say.
SQL = re.compile(r"\b(SELECT\s.*\bFROM|INSERT\s+(OR \w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|"
                 r"CREATE\s+TABLE|PRAGMA|BEGIN IMMEDIATE)\b")
IMAP = re.compile(r"\bUID (FETCH|STORE|COPY|MOVE|EXPUNGE|SEARCH)\b|BODY(\.PEEK)?\[|"
                  r"[+-]?FLAGS\.SILENT|\bCHANGEDSINCE\b|\bRFC822\b")
TEXTS = {
    "SQL": (SQL, {"base", "imap", "sync", "mount", "cli"}),
    "IMAP": (IMAP, {"base", "store", "mount", "cli"}),
}


def library_of(path):
    """The library whose folder holds `path`, or None."""
    folder = path.rpartition("/")[0]
    for name, own in FOLDERS.items():
        if folder == own:
            return name
    return None


def allowed(places, library, filename):
    for place in places:
        name, _, pattern = place.partition(":")
        if name == library and fnmatch.fnmatch(filename, pattern or "*"):
            return True
    return False


def places_for(table, name):
    """(pattern, places) of the first entry of HEADERS that covers `name`, or None."""
    for pattern, places in table.items():
        if fnmatch.fnmatch(name, pattern):
            return pattern, places
    return None
