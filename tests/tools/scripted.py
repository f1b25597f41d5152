# SPDX-License-Identifier: MIT
"""A server that plays one script and demands each command to be the one it expects.

    script = Scripted('''
        S: * OK [CAPABILITY IMAP4rev1] hello
        C: LOGIN test secret
        S: TAG OK welcome
        C: /UID FETCH 1:\\* .*/
        S: * 1 FETCH (UID 1 BODY[] {3}
        S: abc)
        S: TAG OK done
        cut
    ''')

"C:" is a command without its tag, or a pattern between slashes; "S:" is sent as it stands, TAG
being the tag of the last command; "D:" is a line of a literal; "cut" drops the connection and
waits for the next.  finish() raises if anything came otherwise, or did not come.
"""

import re
import socket
import threading


class Scripted:
    def __init__(self, text, deadline=20):
        self.steps = [line.strip() for line in text.strip().splitlines()]
        self.deadline = deadline
        self.error = None
        self.transcript = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(deadline)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        connection = None
        tag = ""
        try:
            for number, step in enumerate(self.steps, 1):
                if step == "cut":
                    connection = self._hang_up(connection)
                    continue
                if connection is None:
                    connection = self.listener.accept()[0]
                    connection.settimeout(self.deadline)
                    stream = connection.makefile("rb")
                kind, text = step[:2], step[3:]
                if kind == "S:":
                    connection.sendall(re.sub(r"^TAG\b", tag, text).encode() + b"\r\n")
                    continue
                line = stream.readline().decode("utf-8", "replace").rstrip("\r\n")
                self.transcript.append(line)
                if kind == "C:":
                    tag, _, line = line.partition(" ")
                if not _same(text, line):
                    self.error = f"step {number}: expected {text!r}, got {line!r}"
                    return
        except OSError as error:
            self.error = f"step {number} ({step}): {error}"
        finally:
            self._hang_up(connection)

    @staticmethod
    def _hang_up(connection):
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def finish(self):
        """Waits for the end of the script; raises unless all came as written."""
        self.thread.join(self.deadline + 5)
        self.listener.close()
        if self.thread.is_alive():
            raise AssertionError("the script did not come to its end")
        if self.error:
            raise AssertionError(self.error)


def _same(expected, line):
    if len(expected) > 1 and expected[0] == expected[-1] == "/":
        return re.fullmatch(expected[1:-1], line, re.I) is not None
    return expected == line
