# SPDX-License-Identifier: MIT
"""Programs that live on Maildirs, run on `-o layout=maildir`; what each did is looked up on the
server by a client of its own."""

import email
import mailbox
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from tools.mount import wait_until

pytestmark = pytest.mark.extension("SHARED")

DEADLINE = 60
SYSTEM = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft"]


@pytest.fixture(name="world")
def _world(make_server, make_mount, make_client, generator):
    """Six messages in INBOX, the first three read, the third flagged; one in Work."""
    mails = [generator.mail(i, size=1500) for i in range(6)]
    server = make_server([("INBOX", m) for m in mails] + [("Work", generator.mail(100))])
    client = make_client(server.port)
    client.select("INBOX")
    client.store(range(1, 7), "-FLAGS", SYSTEM)
    client.store([1, 2, 3], "+FLAGS", ["\\Seen"])
    client.store([3], "+FLAGS", ["\\Flagged"])
    mount = make_mount(server.port, layout="maildir", poll="1s")
    mount.sync()
    return World(mount, client, [m.data for m in mails])


class World:
    def __init__(self, mount, client, mails):
        self.mount, self.client, self.mails = mount, client, mails

    def path(self, *parts):
        return self.mount.path(*parts)

    @property
    def folders(self):
        """Where all mailboxes but INBOX are."""
        return os.path.dirname(self.path("Work"))

    def names(self, *parts):
        return sorted(os.listdir(self.path(*parts)))

    def file(self, number):
        """Of a message of INBOX, wherever it is."""
        want = self.mails[number - 1].replace(b"\r\n", b"\n")
        for part in ("cur", "new"):
            for name in self.names("INBOX", part):
                with open(self.path("INBOX", part, name), "rb") as f:
                    if f.read() == want:
                        return self.path("INBOX", part, name)
        raise AssertionError(f"message {number} is not there")

    def run(self, *command, ok=(0,), **options):
        env = {"PATH": os.environ["PATH"], "HOME": self.mount.dir, "TERM": "xterm",
               "LC_ALL": "C.UTF-8", "USER": "test", **options.pop("env", {})}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=DEADLINE, check=False, **options)
        assert done.returncode in ok, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.decode()

    def server(self, name):
        """{content: flags} of a mailbox once all is sent."""
        self.mount.run("sync", "--timeout", "30s", self.mount.point)
        self.client.select(name)
        return {m.data: m.flags for m in self.client.fetch().values()}

    def appends(self):
        return len(re.findall(r"APPEND", self.mount.run("queue", self.mount.point).stdout))


def ident(data):
    return re.search(rb"(?im)^message-id: *<([^>]+)>", data).group(1).decode()


def on_terminal(world, command, seconds=DEADLINE):
    """Runs a program that wants a terminal; what it drew."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(world.mount.dir)
        os.execvpe(command[0], command, {"PATH": os.environ["PATH"], "HOME": world.mount.dir,
                                         "TERM": "xterm", "LC_ALL": "C.UTF-8", "LINES": "40",
                                         "COLUMNS": "120"})
    drawn, end = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.5)[0]:
                try:
                    part = os.read(fd, 65536)
                except OSError:
                    part = b""
                if not part:
                    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), drawn
                drawn += part
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise AssertionError(f"{command[0]} did not end:\n{drawn[-3000:]!r}")
    finally:
        os.close(fd)


MUTTRC = """
set mbox_type=Maildir folder="{folders}" spoolfile="{inbox}" record="" postponed="+Drafts"
set editor="{editor}" sendmail=/bin/true from=test@example.org realname=Test
set delete=yes quit=yes move=no mark_old=yes wait_key=no sort=mailbox-order beep=no
set confirmappend=no confirmcreate=no header_cache="" mail_check=1 abort_unmodified=no
set abort_nosubject=no autoedit=yes postpone=yes include=no signature="" crypt_use_gpgme=no
"""


def test_neomutt(world):
    """Reads one, flags one, deletes one, moves one, saves a draft.  The rest gets old, which the
    server is not told."""
    editor = os.path.join(world.mount.dir, "editor")
    with open(editor, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nprintf 'dear\\n\\nI have to think about it\\n' > \"$1\"\n")
    os.chmod(editor, 0o755)
    rc = os.path.join(world.mount.dir, "rc")
    with open(rc, "w", encoding="ascii") as f:
        f.write(MUTTRC.format(folders=world.folders, inbox=world.path("INBOX"), editor=editor))

    def keys(number, what):
        return f"<limit>~i{ident(world.mails[number - 1])}<enter><first-entry>{what}<limit>all<enter>"
    push = (keys(4, "<display-message><exit>") + keys(1, "<flag-message>") +
            keys(2, "<delete-message>") + keys(5, "<save-message><kill-line>=Work<enter>") +
            "<mail>you@example.org<enter>A draft<enter><postpone-message>" + "<quit>")
    status, drawn = on_terminal(world, ["neomutt", "-n", "-F", rc, "-f", world.path("INBOX"), "-e",
                                        f'push "{push}"'])
    assert status == 0, drawn[-2000:]
    inbox, mails = world.server("INBOX"), world.mails
    assert inbox == {mails[0]: {"\\Seen", "\\Flagged"}, mails[2]: {"\\Seen", "\\Flagged"},
                     mails[3]: {"\\Seen"}, mails[5]: frozenset()}
    assert mails[1] in world.server("Trash")
    work = [m for m in world.server("Work") if ident(m) == ident(mails[4])]
    assert len(work) == 1 and work[0].split(b"\r\n\r\n", 1)[1] == mails[4].split(b"\r\n\r\n", 1)[1]
    drafts = world.server("Drafts")
    assert len(drafts) == 1
    (data, flags), = drafts.items()
    assert email.message_from_bytes(data)["Subject"] == "A draft"
    assert b"\r\nI have to think about it\r\n" in data and flags == frozenset()
    assert world.names("INBOX", "new") == [] and len(world.names("INBOX", "cur")) == 4


def notmuch_config(world):
    """The database lies beside the mail, as it should for any network file system."""
    path = os.path.join(world.mount.dir, "notmuch-config")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"[database]\npath={world.mount.dir}/db\nmail_root={world.mount.point}\n"
                "[user]\nname=Test\nprimary_email=test@example.org\n"
                "[new]\ntags=\nignore=.imapfs\n[maildir]\nsynchronize_flags=true\n"
                "[search]\nexclude_tags=\n")
    os.makedirs(os.path.join(world.mount.dir, "db"), exist_ok=True)
    return {"NOTMUCH_CONFIG": path}


def test_notmuch(world):
    """Finds all, takes flags for tags and tags for flags; a second run has nothing to do."""
    env = notmuch_config(world)

    def notmuch(*words):
        return world.run("notmuch", *words, env=env)
    time.sleep(1.1)  # it does not trust a directory that changed in this very second
    assert "Added 7 new messages" in notmuch("new")
    assert notmuch("count", "tag:unread and folder:INBOX").strip() == "3"
    assert notmuch("count", "tag:flagged").strip() == "1"
    before = {p: world.names("INBOX", p) for p in ("cur", "new")}
    for _ in range(2):
        assert "No new mail." in notmuch("new")
    assert {p: world.names("INBOX", p) for p in ("cur", "new")} == before
    assert world.mount.run("queue", world.mount.point).stdout.strip() in ("", "nothing is queued")
    notmuch("tag", "-unread", "+flagged", "+replied", "+passed", "--",
            f"id:{ident(world.mails[3])}")
    assert world.server("INBOX")[world.mails[3]] == {"\\Seen", "\\Flagged", "\\Answered",
                                                    "$Forwarded"}
    world.client.store([1], "+FLAGS", ["\\Flagged"])
    world.client.store([2], "-FLAGS", ["\\Seen"])
    wait_until(lambda: len([n for n in world.names("INBOX", "cur") if "F" in n.split(",")[1]]) == 3
               and len(world.names("INBOX", "new")) == 3, 30, "the server's changes")
    time.sleep(1.1)
    notmuch("new")
    assert notmuch("count", "tag:flagged").strip() == "3"
    assert notmuch("count", "tag:unread and folder:INBOX").strip() == "3"
    assert "No new mail." in notmuch("new")
    assert notmuch("count", "path:INBOX/cur or path:INBOX/new").strip() == "6"


def test_mu(world):
    """Indexes, finds, and moves on; the index is not made anew for what has not changed."""
    home = os.path.join(world.mount.dir, "mu")

    def mu(*words, ok=(0,)):
        return world.run("mu", *words[:1], f"--muhome={home}", *words[1:], ok=ok)
    mu("init", f"--maildir={world.mount.point}", "--my-address=test@example.org")
    mu("index", "--quiet")
    assert len(mu("find", "maildir:/INBOX", "--fields=p").splitlines()) == 6
    assert len(mu("find", "flag:unread", "maildir:/INBOX", "--fields=p").splitlines()) == 3
    paths = mu("find", "maildir:/INBOX", "flag:flagged", "--fields=l").splitlines()
    assert paths == [world.file(3)]
    os.rename(world.file(1), world.file(1) .replace(":2,S", ":2,RS"))
    mu("index", "--quiet")
    assert mu("find", "flag:replied", "--fields=l").splitlines() == [world.file(1)]
    assert world.server("INBOX")[world.mails[0]] == {"\\Seen", "\\Answered"}


def test_mblaze(world):
    """minc takes over what is new, mflag sets flags, mrefile moves, mdeliver delivers."""
    inbox, work = world.path("INBOX"), world.path("Work")
    assert len(world.run("minc", inbox).splitlines()) == 3
    assert world.names("INBOX", "new") == [] and len(world.run("mlist", inbox).splitlines()) == 6
    world.run("mflag", "-F", "-S", world.file(4))
    world.run("mflag", "-s", world.file(1))
    world.run("mrefile", world.file(2), work)
    world.run("mdeliver", "-c", "-X", "S", work, input=b"From: a@b.example\nSubject: x\n\ntext\n")
    scan = world.run("mscan", "-f", "%s", *[os.path.join(work, "cur", n)
                                            for n in world.names("Work", "cur")])
    assert "x" in scan.split()
    server = world.server("INBOX")
    assert server == {world.mails[0]: frozenset(), world.mails[2]: {"\\Seen", "\\Flagged"},
                      world.mails[3]: {"\\Seen", "\\Flagged"}, world.mails[4]: frozenset(),
                      world.mails[5]: frozenset()}
    server = world.server("Work")
    assert server[world.mails[1]] == {"\\Seen"}
    assert server[b"From: a@b.example\r\nSubject: x\r\n\r\ntext\r\n"] == {"\\Seen"}
    assert len(server) == 3


def test_procmail(world):
    """Delivers by link or rename from tmp/; twice the same mail is two."""
    rc = os.path.join(world.mount.dir, "procmailrc")
    with open(rc, "w", encoding="ascii") as f:
        f.write(f"MAILDIR={world.folders}\nDEFAULT={world.path('INBOX')}/\n"
                f"LOGFILE={world.mount.dir}/log\nLOCKFILE=\n"
                ":0\n* ^Subject: work\nWork/\n")
    os.chmod(rc, 0o600)
    one = b"From: a@b.example\nSubject: work\nMessage-ID: <1@procmail>\n\none\n"
    two = b"From: a@b.example\nSubject: play\nMessage-ID: <2@procmail>\n\ntwo\n"
    program = shutil.copy("/usr/bin/procmail", world.mount.dir)  # without its set-group-id bit:
    for data in (one, two, two):  # nobody but the owner's own user and group may enter a mount
        world.run(program, "-m", rc, input=data, cwd=world.mount.dir)
    assert world.names("INBOX", "tmp") == [] and world.names("Work", "tmp") == []
    assert len(world.names("INBOX", "new")) == 5 and len(world.names("Work", "new")) >= 1
    world.server("Work")
    held = world.client.fetch().values()
    assert [(m.flags, m.data.split(b"\r\n\r\n", 1)[1]) for m in held
            if b"<1@procmail>" in m.data] == [(frozenset(), b"one\r\n")]
    world.client.select("INBOX")
    assert len([m for m in world.client.fetch().values() if b"<2@procmail>" in m.data]) == 2


def test_python_mailbox(world):
    """The library's own idea of a Maildir: add, flags, move between new and cur, remove."""
    box = mailbox.Maildir(world.path("INBOX"), create=False)
    assert len(box) == 6
    message = mailbox.MaildirMessage("From: a@b.example\nSubject: py\n\npy\n")
    message.set_flags("FS")
    message.set_subdir("cur")
    key = box.add(message)
    assert box.get(key).get_flags() == "FS"
    for key in list(box.keys()):
        held = box[key]
        if held.get_subdir() == "new":
            held.set_subdir("cur")
            held.add_flag("R")
            box[key] = held
    box.flush()
    server = world.server("INBOX")
    assert server[b"From: a@b.example\r\nSubject: py\r\n\r\npy\r\n"] == {"\\Flagged", "\\Seen"}
    assert sorted(server) == sorted([*world.mails,
                                     b"From: a@b.example\r\nSubject: py\r\n\r\npy\r\n"])
    assert all("\\Answered" in server[m] for m in world.mails[3:])


def test_while_the_server_is_away(make_server, make_mount, make_client, generator):
    """Read, flagged, moved, deleted and delivered offline; the server has it all afterwards."""
    mails = [generator.mail(i, size=1000) for i in range(4)]
    server = make_server([("INBOX", m) for m in mails] + [("Work", generator.mail(100))])
    mount = make_mount(server.port, layout="maildir")
    mount.sync()
    world = World(mount, None, [m.data for m in mails])
    server.stop()
    base = [os.path.join(*world.file(n).split("/")[-2:]) for n in range(1, 5)]
    inbox = world.path("INBOX")

    def name(n, letters):
        return os.path.join(inbox, "cur", base[n - 1].split("/")[1].split(":")[0] + ":2," + letters)
    os.rename(os.path.join(inbox, base[0]), name(1, "FS"))
    os.rename(os.path.join(inbox, base[1]), world.path("Work", "cur", "moved:2,S"))
    os.unlink(os.path.join(inbox, base[2]))
    with open(world.path("Work", "tmp", "d"), "wb") as f:
        f.write(b"From: a@b.example\nSubject: d\n\nd\n")
    os.rename(world.path("Work", "tmp", "d"), world.path("Work", "cur", "d:2,R"))
    wait_until(lambda: "upload" in mount.run("queue", mount.point).stdout, 30, "queued")
    mount.unmount()
    mount.start()
    assert [n for n in world.names("Work", "cur") if n[0] in "dm"] == ["d:2,R", "moved:2,S"]
    server.start()
    mount.sync()
    world.client = make_client(server.port)
    inbox = world.server("INBOX")
    assert inbox[world.mails[0]] == {"\\Seen", "\\Flagged"} and len(inbox) == 2
    work = world.server("Work")
    assert work[world.mails[1]] == {"\\Seen"}
    assert work[b"From: a@b.example\r\nSubject: d\r\n\r\nd\r\n"] == {"\\Answered"}
    assert world.mails[2] in world.server("Trash")
