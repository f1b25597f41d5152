# SPDX-License-Identifier: MIT
"""A program that wants a terminal, and a person's keys."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time


def drive(command, steps, env=None, cwd=None, deadline=30):
    """Runs it on a terminal of its own.  steps: (text to wait for on the screen, keys to send)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
                             env={**os.environ, "TERM": "xterm", **(env or {})},
                             start_new_session=True)
    os.close(slave)
    end = time.monotonic() + deadline
    screen = b""

    def more(seconds):
        nonlocal screen
        if select.select([master], [], [], seconds)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                data = b""
            screen += data
            return bool(data)
        return True

    try:
        for wanted, keys in steps:
            while wanted not in screen:
                alive = more(0.2)
                assert alive and time.monotonic() < end, f"{command[0]} does not show {wanted!r}: {screen!r}"
            screen = b""
            os.write(master, keys)
        while child.poll() is None:
            more(0.1)
            assert time.monotonic() < end, f"{command[0]} does not end: {screen!r}"
        return child.returncode
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        os.close(master)
