# SPDX-License-Identifier: MIT
"""Hostile scenarios of a compressed link (RFC 4978): little that stands for much, and what is no
deflate stream at all.

The link is compressed only where it is slow, so each begins with a LIST whose answer drips.
"""

import itertools
import os
import time
import zlib

from hostile import scenario
from tools.imapd_parse import Cut, Reply

PACKED = ("UIDPLUS", "UNSELECT", "LITERAL+", "COMPRESS=DEFLATE")
BLOCK = bytes(1 << 20)
LINES = b"* OK " + b"z" * 2042 + b"\r\n"
AS_LITERAL = b"* 4 FETCH (UID 4 BODY[] {4294967295}\r\n"


def slow(_session, _command, proceed):
    """Six hundred kilobytes at about one megabyte a second, cut in the middle of the lines."""
    def pieces():
        yield LINES[:100]
        for _ in range(150):
            yield (LINES[100:] + LINES[:100]) * 2
            time.sleep(0.004)
        yield LINES[100:]
    reply = proceed()
    reply.raw = pieces()
    return reply


def deflated(blocks, level=9, end=zlib.Z_SYNC_FLUSH):
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    for block in blocks:
        yield packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush(end)


def answers(pieces, cut=True):
    """OK to COMPRESS, then those bytes; then the end, or silence."""
    def action(session, command, _proceed):
        def stream():
            yield f"{command.tag} OK from here on\r\n".encode()
            yield from pieces()
            while not cut and session.socket.recv(4096):
                pass
            raise Cut()
        return Reply(raw=stream(), tagged=None, cut=True)
    return action


def packed(name, pieces, cut=True):
    def run(stage):
        server = stage.known(PACKED)
        server.lie("^LIST", slow, times=3)
        stage.attack("^COMPRESS", answers(pieces, cut))
        stage.all_safe()
        stage.unharmed()
        stage.honest_again()
        stage.nothing_done()
        stage.unharmed()
        stage.end()
    run.__name__ = "packed_" + name
    scenario(run)


packed("zeros", lambda: deflated(itertools.repeat(BLOCK, 2048)))
packed("zeros_in_a_literal", lambda: deflated(itertools.chain([AS_LITERAL], itertools.repeat(BLOCK, 1024))))
packed("lines", lambda: deflated(itertools.repeat(LINES * 512, 64)))
packed("empty_lines", lambda: deflated(itertools.repeat(b"\r\n" * 65536, 64)))
packed("twice", lambda: deflated(deflated(itertools.repeat(BLOCK, 512))))
packed("nothing", lambda: itertools.repeat(b"\x00\x00\x00\xff\xff" * 13107, 256))
packed("noise", lambda: [os.urandom(65536)])
packed("text", lambda: [LINES * 16])
packed("stream_that_is_cut", lambda: [b"".join(deflated([LINES * 16]))[:40]])
packed("stream_that_stops", lambda: [b"".join(deflated([LINES * 16]))[:40]], cut=False)
packed("stream_that_ends", lambda: [*deflated([LINES], end=zlib.Z_FINISH), LINES * 16])
packed("stream_without_begin", lambda: [b"".join(deflated([os.urandom(4096), LINES * 64]))[2048:]])
packed("with_a_header", lambda: [zlib.compress(LINES * 16)])
