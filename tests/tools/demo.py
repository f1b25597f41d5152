# SPDX-License-Identifier: MIT
"""The demonstration's server and mount: start, offline, online, stop (see scripts/demo)."""

import json
import os
import shutil
import subprocess
import sys

from .dovecot import Dovecot
from .mail import Generator
from .mount import TOP, detach, mounted

MESSAGES = 300
PLACE = os.environ.get("IMAPFS_DEMO_DIR") or f"/tmp/imapfs-demo-{os.geteuid()}"
NOTE = os.path.join(PLACE, "demo.json")
GUIDE = """
{messages} messages of test@localhost are at {point}

  ls -l {point}/INBOX
  grep -rl needle {point} | head
  getfattr -d {point}/INBOX/1.eml
  setfattr -n user.imap.flags -v '+Flagged +$Work' {point}/INBOX/1.eml
  cp -p {point}/INBOX/2.eml {point}/Drafts/copy.eml
  rm {point}/INBOX/3.eml                  # to Trash, as in a mail program
  cat {point}/.imapfs/status
  {binary} status {point}

Without the server, then again with it:

  {demo} --offline
  ... all of the above works; {point}/.imapfs/queue shows what waits
  {demo} --online
  {binary} sync {point}

The server for other mail programs: localhost, port {port} (STARTTLS) or {tls_port} (TLS),
user test, password secret, CA certificate {cafile}

  {demo} --stop                            # unmounts and removes everything
"""


def server():
    """The same server each time: its directory remembers its ports."""
    return Dovecot(directory=os.path.join(PLACE, "server"))


def stop_server():
    if os.path.exists(os.path.join(PLACE, "server", "server.json")):
        dovecot = server()
        dovecot.stop_earlier()
        return dovecot
    return None


def needs_demo():
    if not os.path.exists(NOTE):
        sys.exit("No demonstration is under way; scripts/demo MOUNTPOINT begins one.")


def own_place():
    """A directory in /tmp that another user made is not used."""
    os.makedirs(PLACE, mode=0o755, exist_ok=True)
    if os.lstat(PLACE).st_uid != os.geteuid() or os.path.islink(PLACE):
        sys.exit(f"{PLACE} belongs to somebody else")
    os.chmod(PLACE, 0o755)


def environment():
    env = dict(os.environ, XDG_RUNTIME_DIR=os.path.join(PLACE, "run"))
    env.setdefault("HOME", PLACE)
    return env


def start(point):
    stop()
    own_place()
    for name in ("server", "run", "state", "cache"):
        os.makedirs(os.path.join(PLACE, name), mode=0o700)
    made = not os.path.isdir(point)
    os.makedirs(point, exist_ok=True)
    with open(NOTE, "w", encoding="utf-8") as f:
        json.dump({"point": point, "made": made}, f)
    dovecot = server()
    dovecot.fill(Generator().account(MESSAGES))
    dovecot.start()
    secret = os.path.join(PLACE, "password")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        f.write("secret\n")
    binary = os.path.join(TOP, "build", "imapfs")
    options = f"cafile={dovecot.cafile},password-file={secret},state-dir={PLACE}/state," \
              f"cache-dir={PLACE}/cache"
    done = subprocess.run([binary, "-o", options, f"test@localhost:{dovecot.tls_port}", point],
                          stdin=subprocess.DEVNULL, env=environment(), check=False)
    if done.returncode:
        stop()
        sys.exit(done.returncode)
    print(GUIDE.format(messages=MESSAGES, point=point, binary=binary, port=dovecot.port,
                       tls_port=dovecot.tls_port, cafile=dovecot.cafile,
                       demo=os.path.join(TOP, "scripts", "demo")))


def stop():
    """Undoes all that start() did; harmless when nothing runs."""
    try:
        with open(NOTE, encoding="utf-8") as f:
            note = json.load(f)
    except OSError:
        note = None
    if note:
        if mounted(note["point"]):
            subprocess.run(["fusermount3", "-u", note["point"]], stdin=subprocess.DEVNULL,
                           capture_output=True, check=False)
            detach(note["point"])
        if note["made"] and os.path.isdir(note["point"]):
            os.rmdir(note["point"])
    dovecot = stop_server()
    if dovecot:
        shutil.rmtree(dovecot.run_dir, ignore_errors=True)
    if os.path.isdir(PLACE):
        own_place()
        shutil.rmtree(PLACE)


def main(words):
    if words == ["--stop"]:
        stop()
        print("Unmounted, server stopped, everything removed.")
    elif words == ["--offline"]:
        needs_demo()
        stop_server()
        print("The server is stopped. The mount goes on.")
    elif words == ["--online"]:
        needs_demo()
        dovecot = server()
        if not dovecot.answers():
            dovecot.start()
        print("The server is back. What waited is on its way.")
    else:
        start(os.path.abspath(words[0]) if words else os.path.join(PLACE, "Mail"))


if __name__ == "__main__":
    main(sys.argv[1:])
