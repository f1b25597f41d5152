# SPDX-License-Identifier: MIT
"""Hostile scenarios with a result of their own: before sign-in, names, flags, and what is said of
an upload, a copy or a body."""

import json
import os
import re
import ssl
import time

from hostile import adds, changes, scenario, says, silent, tags
from lies import UIDPLUS, mail, read, retry, write
from tools import tls as tools_tls
from tools.imapd_parse import Cut, Reply
from tools.mount import wait_until

ANY_REFUSAL = (4, 5, 6)
PASSWORD = r"secret|AHRlc3QAc2VjcmV0"


def no_password_sent(server):
    assert server.seen(PASSWORD + "|^LOGIN|^AUTHENTICATE") == []


# Before sign-in, by a server that is new here

def greeting(name, *pieces, codes=ANY_REFUSAL, pause=0.0, **options):
    """A greeting after which no password is sent and mounting ends in time."""
    def run(stage):
        def greets():
            for piece in pieces:
                yield piece
                time.sleep(pause)
            if stage.server.closing:
                raise Cut()
        stage.serve().greeting = greets
        stage.refused(codes, **options)
        no_password_sent(stage.server)
    run.__name__ = "greeting_" + name
    scenario(run)


greeting("of_http", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
greeting("of_smtp", b"220 mail.example.org ESMTP\r\n")
greeting("of_noise", os.urandom(4096) + b"\n")
greeting("of_bye", b"* BYE we are closed\r\n")
greeting("of_no", b"* NO\r\n")
greeting("tagged", b"A1 OK [CAPABILITY IMAP4rev1] hello\r\n")
greeting("missing")
greeting("endless", *[b"* OK " + b"x" * 65536] * 320)
greeting("dripping", *[b"*", b" ", b"O"] * 20, pause=0.5)
greeting("preauth_before_tls", b"* PREAUTH [CAPABILITY IMAP4rev1] you are in\r\n", codes=(5,),
         tls="starttls")  # R311
greeting("without_starttls", b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n", codes=(5,),
         tls="starttls")  # R311
greeting("in_clear_where_tls_is_due", b"* OK [CAPABILITY IMAP4rev1] hello\r\n", codes=(4, 5),
         tls="implicit")
greeting("with_login_disabled", b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hello\r\n")
greeting("with_unknown_mechanisms",
         b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=X-EVIL AUTH=ANONYMOUS] hello\r\n")


@scenario
def sign_in_asks_for_ever(stage):
    """A "+" after each answer: the exchange is broken off."""
    def asks(session, command, proceed):
        del command, proceed

        def pieces():
            while True:
                yield b"+ Z28gb24=\r\n"
                if not session.stream.readline():
                    raise Cut()
        return Reply(raw=pieces())
    stage.serve(("AUTH=PLAIN", *UIDPLUS)).lie("^(AUTHENTICATE|LOGIN)", asks)
    stage.refused(ANY_REFUSAL)


@scenario
def sign_in_refused_in_many_words(stage):
    stage.serve().lie("^(LOGIN|AUTHENTICATE)", tags(
        "NO [AUTHENTICATIONFAILED] \x1b[31m" + "no " * 200_000))
    said = stage.refused((6,))
    assert "\x1b" not in said and len(said) < 4000, said[:4000]


@scenario
def sign_in_answered_before_it_is_sent(stage):
    """The OK to a command that was not sent yet signs nobody in."""
    stage.serve().greeting = lambda: iter([
        b"* OK [CAPABILITY IMAP4rev1] hello\r\nA1 OK welcome\r\nA2 OK welcome\r\nA3 OK done\r\n"])
    stage.start()
    stage.mount.sync()
    stage.all_safe()
    stage.unharmed()
    assert stage.server.seen("^(LOGIN|AUTHENTICATE)")
    stage.end()


# STARTTLS

def _starttls(stage, before=b"", reply="OK go on", after=b"", trusted=True):
    """A server whose STARTTLS works, with bytes of somebody in between."""
    authority = tools_tls.CertificateAuthority(os.path.join(stage.dir, "ca"))
    certificate, key = authority.issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = stage.serve(("STARTTLS", "AUTH=PLAIN", *UIDPLUS))

    def shakes(session, command, proceed):
        del proceed
        session.write(before + f"{command.tag} {reply}\r\n".encode() + after)
        try:
            session.use(context.wrap_socket(session.socket, server_side=True))
        except (OSError, ValueError) as error:
            raise Cut() from error
        return Reply(tagged=None)
    server.lie("^STARTTLS", shakes)
    return {"tls": "starttls", "cafile": authority.cafile if trusted else False}


@scenario
def starttls_with_injected_replies(stage):
    """What came in clear behind the OK is forgotten. R311"""
    options = _starttls(stage, after=b"* CAPABILITY IMAP4rev1 X-EVIL LOGINDISABLED\r\n"
                        b"A2 OK [CAPABILITY IMAP4rev1 X-EVIL] signed in\r\n"
                        b'* LIST () "/" evil\r\nA3 OK done\r\n')
    stage.start(**options)
    stage.mount.sync()
    stage.all_safe()
    assert "evil" not in os.listdir(stage.mount.point)
    assert stage.server.seen("^(LOGIN|AUTHENTICATE)")
    stage.unharmed()
    stage.end()


@scenario
def starttls_with_injected_capabilities(stage):
    """What came in clear before the OK is forgotten, too. R311"""
    options = _starttls(stage, before=b"* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=X-EVIL\r\n")
    stage.start(**options)
    stage.mount.sync()
    stage.all_safe()
    stage.unharmed()
    stage.end()


@scenario
def starttls_of_a_stranger(stage):
    """A certificate that nobody vouches for: no password. R311"""
    stage.refused((5,), **_starttls(stage, trusted=False))
    no_password_sent(stage.server)


@scenario
def starttls_refused(stage):
    stage.refused((5,), **_starttls(stage, reply="NO not today"))
    no_password_sent(stage.server)


@scenario
def starttls_and_then_in_clear(stage):
    """Text where the handshake is due."""
    server = stage.serve(("STARTTLS", "AUTH=PLAIN"))
    server.lie("^STARTTLS", adds(b""), times=0)
    server.lie("^STARTTLS", lambda session, command, proceed: Reply(
        tagged="OK go on\r\n* OK no need for TLS\r\n" * 50))
    stage.refused((4, 5), tls="starttls")
    no_password_sent(server)


@scenario
def starttls_and_then_silence(stage):
    server = stage.serve(("STARTTLS", "AUTH=PLAIN"))
    server.lie("^STARTTLS", lambda session, command, proceed: Reply(
        raw=iter([f"{command.tag} OK go on\r\n".encode(),
                  b"" if silent(session, command, proceed) else b""]), tagged=None))
    stage.refused((4, 5), tls="starttls")
    no_password_sent(server)


# Names

def names_of(stage, lines, least):
    """Lists these beside what there is; gives all paths below the mount."""
    outside = sorted(os.listdir(stage.dir))
    stage.attack("^LIST", adds(*[b"* LIST " + line + b"\r\n" for line in lines]), told=2)
    wait_until(lambda: len(os.listdir(stage.mount.point)) >= 2 + least, 20, "names")
    found = []
    for where, below, files in os.walk(stage.mount.point):
        found += [os.path.relpath(os.path.join(where, name), stage.mount.point)
                  for name in below + files]
    assert sorted(os.listdir(stage.dir)) == outside
    for path in found:
        for part in path.split("/"):
            assert part not in ("", ".", "..") and len(os.fsencode(part)) <= 255, path
            assert not re.search(r"[\x00-\x1f\x7f]", part), path
    assert os.path.isfile(os.path.join(stage.mount.point, ".imapfs", "status"))
    return found


def names(name, *lines, least=1, caps=UIDPLUS):
    def run(stage):
        stage.known(caps)
        found = names_of(stage, lines, least)
        stage.all_safe()
        stage.unharmed()
        stage.honest_again()
        stage.nothing_done()
        stage.end()
    run.__name__ = "names_" + name
    scenario(run)


def literal_name(data):
    return b'() "/" {%d}\r\n' % len(data) + data


names("that_lead_out", b'() "/" ".."', b'() "/" "../../x"', b'() "/" "/etc/passwd"', b'() "/" "."',
      b'() "/" "a/../../../b"', b'() "." "..a"', b'() NIL "../y"', least=4)
names("with_control_characters", literal_name(b"a\r\nA9 OK done"), literal_name(b"b\x1b[2Jc"),
      literal_name(b"\x01\x02"), literal_name(b"d\te"), least=4)
names("with_nul", literal_name(b"a\0b"), literal_name(b"\0"), b'() "/" fine')
names("of_invalid_utf7", b'() "/" "&"', b'() "/" "&AAA"', b'() "/" "&AGE-"', b'() "/" "a"',
      b'() "/" "&2D0-"', b'() "/" "&AC8-"', least=6)
names("of_invalid_utf8", literal_name(b"\xff\xfe"), literal_name(b"\xc0\xaf"),
      literal_name(b"\xed\xa0\x80"), literal_name(b"\xe2\x80\xae"), least=4)
names("that_differ_by_case", b'() "/" "work"', b'() "/" "WORK"', b'() "/" "inbox"',
      b'() "/" "iNbOx"', least=2)
names("of_the_mounts_own", b'() "/" ".imapfs"', b'() "/" ".imapfs/status"', least=1)
names("like_messages", b'() "/" "INBOX/1.eml"', b'() "/" "INBOX/2.eml"', b'() "/" "2.eml"')
names("twice", *[b'() "/" "same"', b'(\\Noselect) "." "same"'] * 50)
names("too_long", b'() "/" "' + b"l" * 300 + b'"', b'() "/" "' + b"l" * 299 + b'k"',
      literal_name(b"m" * 5000), literal_name(b"&2D3eAA-" * 100), least=3)
names("too_deep", b'() "/" "' + b"/".join([b"d"] * 400) + b'"', b'() "/" "' +
      b"/".join([b"e"] * 30) + b'"')
names("of_empty_parts", b'() "/" "//"', b'() "/" "/"', b'() "/" "x//y"', b'() "/" "x/"', b'() "/" ""')
names("with_strange_delimiters", b'() "\\"" "q"', b'() "w" "awb"', b'() "*" "c*d"', b'() "%" "e%f"',
      b'() {1}\r\n\n "g"', b'() "\x01" "h"', b'() "ab" "iaj"', least=6)
names("unquoted", b'() "/" two words (and) a % sign *', b"() / bare")
names("whose_delimiter_changes", b'() "." "INBOX"', b'() "." "Work"', b'() "." "Work.sub"',
      b'() "/" "Work/sub"', least=0)
names("like_a_command", b'() "/" "x\\" NIL) A1 DELETE INBOX"', b'() "/" "{5}"', b'() "/" "NIL"',
      b'() "/" "%s%n%x"', least=4)


@scenario
def names_by_the_million(stage):
    """So many are shown as there is room for, and the rest of the account goes on."""
    stage.known(timeout="10s")
    block = [b"".join(b'* LIST () "/" "box%d"\r\n' % n for n in range(k, k + 1000))
             for k in range(0, 1_000_000, 1000)]
    stage.server.lie("^STATUS .?box", says(b""))
    stage.server.lie("^SELECT .?box", says(tagged="NO no"))
    rule = stage.attack("^LIST", adds(*block), times=1)
    wait_until(lambda: len(os.listdir(stage.mount.point)) > 10_000, 60, "many names")
    assert rule.told == 1 and len(os.listdir(stage.mount.point)) <= 20_002
    stage.all_safe()
    stage.unharmed()
    stage.nothing_done()


@scenario
def names_without_inbox(stage):
    """All mailboxes are said to be unselectable, or gone: what is here stays."""
    stage.known()
    stage.attack("^LIST", changes(rb"LIST \(.*?\)", rb"LIST (\\Noselect \\NonExistent)"), told=2)
    stage.all_safe()
    stage.unharmed()
    stage.honest_again()
    stage.nothing_done()
    stage.end()


@scenario
def mailboxes_said_to_be_gone(stage):
    """One LIST without them and a STATUS that breaks off: nothing goes."""
    stage.known()
    stage.server.lie("^STATUS", lambda session, command, proceed: _cut())
    stage.attack("^LIST", says(b'* LIST () "/" "INBOX"\r\n'), told=2)
    stage.all_safe()
    stage.unharmed()
    stage.honest_again()
    stage.end()


def _cut():
    raise Cut()


# Flags

@scenario
def flags_that_would_inject(stage):
    """Flags that no client may send are shown and never sent."""
    evil = b' \\Seen "a)b" "c\\"d" {5}\r\n(1 2) e{3} "*%]" $Fine \\* \\Recent)'
    stage.known(delete="expunge")
    stage.attack("^UID FETCH.*FLAGS", changes(rb"UID 1 (.*)FLAGS \(([^)]*)\)",
                                              rb"UID 1 \1FLAGS (\2" + evil.replace(b"\\", b"\\\\")))
    path = stage.mount.message("INBOX", 1)
    wait_until(lambda: "$Fine" in stage.mount.flags(path), 20, "flags")
    os.setxattr(path, "user.imap.flag.Flagged", b"1")
    write(path, mail(21))
    wait_until(lambda: mail(21) in stage.server.bodies("INBOX"), 30, "the edit")
    for line in stage.server.seen("^APPEND|^UID STORE"):
        for flags in re.findall(r"\(([^)]*)\)", line):
            assert re.fullmatch(r"[\\$\w ]*", flags) and "Recent" not in flags, line
    stage.unharmed()
    stage.end()


@scenario
def permanent_flags_that_inject(stage):
    stage.known()
    stage.attack("^SELECT", changes(rb"PERMANENTFLAGS \(.*?\)", b'PERMANENTFLAGS ("a b" {3} \\* ()'))
    os.setxattr(stage.mount.message("INBOX", 2), "user.imap.flag.Flagged", b"1")
    wait_until(lambda: "\\Flagged" in stage.server.flags("INBOX", 2), 30, "the flag")
    stage.all_safe()
    stage.unharmed()
    stage.end()


# What is said of an upload or a copy

def upload(name, code):
    """OK with a code that is not so: uploaded once, readable, in step at last."""
    def run(stage):
        stage.known()
        stage.server.lie("^APPEND", tags(f"OK {code} appended"))
        path = stage.mount.path("Work", "new.eml")
        write(path, mail(20))
        wait_until(lambda: mail(20) in stage.server.bodies("Work"), 20, "the upload")
        stage.mount.run("sync", "--timeout", "2s", stage.mount.point, check=False)
        assert read(path) == mail(20)
        stage.unharmed()
        stage.honest_again((1, 2, 3))
        assert sorted(stage.server.bodies("Work")) == sorted([mail(9), mail(20)])
        assert len(stage.server.seen("^APPEND")) == 1
        assert stage.server.seen("^UID (STORE|EXPUNGE)") == []
        stage.end()
    run.__name__ = "appenduid_" + name
    scenario(run)


upload("of_another_uidvalidity", "[APPENDUID 99 2]")
upload("of_a_message_that_was_there", "[APPENDUID 1001 1]")
upload("of_a_stranger", "[APPENDUID 1001 4000000000]")
upload("of_zero", "[APPENDUID 0 0]")
upload("of_many", "[APPENDUID 1001 1:4294967295]")
upload("of_nonsense", "[APPENDUID 1001 (x) *:*]")
upload("that_is_copyuid", "[COPYUID 1001 1 1]")


def copying(name, capability, pattern, code):
    """`rm` with a trash mailbox, and a COPYUID that is not so: never lost, never twice."""
    def run(stage):
        stage.serve((capability, *UIDPLUS)).create("Trash", "\\Trash")
        stage.start()
        stage.mount.sync()

        def lies(_session, _command, proceed):
            reply = proceed()
            reply.untagged = [re.sub(rb"\[COPYUID [^\]]*\]", code.encode(), u)
                              for u in reply.untagged]
            reply.tagged = re.sub(r"\[COPYUID [^\]]*\]", code, reply.tagged)
            return reply
        rule = stage.server.lie(pattern, lies)
        os.unlink(stage.mount.message("INBOX", 1))
        wait_until(lambda: rule.told, 20, "the copy")
        stage.mount.run("sync", "--timeout", "3s", stage.mount.point, check=False)
        here = stage.server.bodies("INBOX") + stage.server.bodies("Trash")
        assert mail(1) in here and here.count(mail(2)) == 1 and here.count(mail(3)) == 1
        assert stage.server.bodies("Trash").count(mail(1)) <= 1
        for n in (2, 3):
            assert read(stage.mount.message("INBOX", n)) == mail(n)
        stage.unharmed()
        stage.end()
    run.__name__ = "copyuid_" + name
    scenario(run)


for suffix, word, how in (("", "X-NONE", "^UID COPY"), ("_in_a_move", "MOVE", "^UID MOVE")):
    copying("of_another_uidvalidity" + suffix, word, how, "[COPYUID 99 1 1]")
    copying("of_wrong_counts" + suffix, word, how, "[COPYUID 1002 1:3 1]")
    copying("of_huge_ranges" + suffix, word, how, "[COPYUID 1002 1:4294967295 1:4294967295]")
    copying("of_others" + suffix, word, how, "[COPYUID 1002 2 77]")
    copying("of_nonsense" + suffix, word, how, "[COPYUID 1002 * 0]")


# Bodies that are asked for by a reader

@scenario
def body_that_never_comes(stage):
    """A reader gets an error in time; a directory is listed meanwhile."""
    stage.serve()
    stage.start(sync="headers")
    stage.mount.sync()
    stage.server.lie(r"BODY\.PEEK\[\]", silent)
    begin = time.monotonic()
    try:
        read(stage.mount.message("INBOX", 1))
        raise AssertionError("it was read")
    except OSError:
        assert time.monotonic() - begin < 30
    stage.unharmed()
    stage.honest_again((1, 2, 3))
    stage.end()


@scenario
def body_larger_than_was_said(stage):
    """20 MB that were to be 5 bytes: in pieces, and every byte right."""
    data = mail(7, 20_000_000)
    stage.serve()
    stage.server.append("Work", data).size = 5
    stage.start(sync="headers", timeout="10s")
    stage.mount.sync()
    assert read(stage.mount.message("Work", 2)) == data
    stage.unharmed()
    stage.honest_again((1, 2, 3))
    stage.end()


@scenario
def body_without_end(stage):
    """Every piece that is asked for comes: it is given up, and its bytes are given back."""
    stage.serve()
    stage.server.append("Work", mail(7, 3_000_000))
    stage.start(sync="headers", timeout="10s")
    stage.mount.sync()

    def endless(_session, command, _proceed):
        start, count = map(int, re.search(r"<(\d+)\.(\d+)>", command.line).groups())
        return Reply([b"2 FETCH (UID 2 BODY[]<%d> {%d}\r\n" % (start, count) + b"z" * count + b")"])
    stage.server.lie(r"^UID FETCH 2 .*BODY\.PEEK\[\]<", endless)
    try:
        read(stage.mount.message("Work", 2))
        raise AssertionError("it was read")
    except OSError:
        pass
    stage.unharmed()
    stage.honest_again((1, 2, 3))
    stage.end()


@scenario
def body_of_4_gb(stage):
    """What is said to be so large is shown so, and listed at once. R306"""
    stage.serve()
    for n, size in enumerate((2**32, 2**32 + 5, 2**40, 2**62)):
        stage.server.append("Work", mail(30 + n)).size = size
    stage.start(sync="headers")
    stage.mount.sync()
    assert os.stat(stage.mount.message("Work", 2)).st_size == 2**32
    assert os.stat(stage.mount.message("Work", 5)).st_size == 2**62
    assert read(stage.mount.message("Work", 2)) == mail(30)
    stage.unharmed()
    stage.honest_again((1, 2, 3))
    stage.end()


# File names that are made of what a message says

EVIL_SUBJECTS = (
    b"../../../etc/passwd", b"..", b".", b"a/b/c", b".imapfs", b"=?utf-8?q?=2E=2E=2Fx=00y=0A=1B[2J?=",
    b"=?utf-8?b?4oCuZ3BqLmV4ZQ==?=", b"=?utf-8?q?" + b"=F0=9F=90=80" * 200 + b"?=", b"s" * 5000,
    b"\xff\xfe\x80", b"=?iso-8859-1?q?=80=9B31m?=", b"=?x-evil?b?////?=", b"", b"   ", b"-rf *",
    b"$(touch owned) `id`", b"1.eml", b"x [2]", b"\r\n\t\r\n .", b"=?utf-8?q?=",
)


@scenario
def subjects_in_names(stage):
    """-o names=subject: whatever a subject says, its file is one below its mailbox."""
    stage.serve()
    for n, subject in enumerate(EVIL_SUBJECTS):
        stage.server.append("Work", b"From: =?utf-8?q?=2E=2E=2F?= <../x@example.org>\r\nSubject: " +
                            subject + b"\r\nMessage-ID: <%d@evil>\r\n\r\nbody\r\n" % n)
    stage.start(names="subject")
    stage.mount.sync()
    stage.mount.wait_bodies()
    found = os.listdir(os.path.join(stage.mount.point, "Work"))
    assert len(found) == len(set(found)) == 1 + len(EVIL_SUBJECTS)
    for name in found:
        path = os.path.join(stage.mount.point, "Work", name)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", name) and os.path.isfile(path), repr(name)
        assert len(os.fsencode(name)) <= 255 and name.endswith(".eml"), repr(name)
    assert not os.path.exists("/owned") and not os.path.exists(os.path.join(stage.dir, "owned"))
    stage.unharmed()
    stage.end()


@scenario
def flags_in_maildir_names(stage):
    """-o layout=maildir: names tell of the flags that a Maildir knows, and of no others."""
    stage.serve()
    evil = rb"(\\Seen a/b ../.. ,x :2,T \\Fla/gged %2F)"
    stage.server.lie("^UID FETCH.*FLAGS", changes(rb"FLAGS \([^)]*\)", b"FLAGS " + evil))
    stage.start(layout="maildir")
    stage.mount.sync()
    found = os.listdir(os.path.join(stage.mount.point, "INBOX", "cur")) + \
        os.listdir(os.path.join(stage.mount.point, "INBOX", "new"))
    assert len(found) == 3
    for name in found:
        assert re.fullmatch(r"[\w.=,@+-]+:2,[A-Z]*", name) and name.endswith(":2,S"), name
    stage.unharmed()
    stage.end()


# What people read

@scenario
def words_for_a_terminal(stage):
    """No control character of a server reaches a terminal, a log or a JSON reader."""
    text = "NO [ALERT] \x1b]0;owned\x07\x1b[2J\x9b31m\x7f" + chr(0xdcff) + chr(0xdc80) + '"\\ end'

    def refuses(_session, command, _proceed):
        line = f"{command.tag} {text}\r\n".encode("utf-8", "surrogateescape")
        return Reply(raw=[b"* " + line.split(b" ", 1)[1], line], tagged=None)
    stage.known()
    stage.server.lie("^APPEND", refuses)
    path = stage.mount.path("Work", "new.eml")
    write(path, mail(20))
    wait_until(lambda: stage.mount.run("status", stage.mount.point, check=False).returncode == 2, 20,
               "parked")
    shown = [os.getxattr(path, "user.imap.error")]
    for name in ("status", "queue", "log", "status.json"):
        shown.append(read(os.path.join(stage.mount.point, ".imapfs", name)))
    assert any(b"end" in text for text in shown)
    for piece in shown:
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", piece), piece
    json.loads(shown[-1].decode())
    stage.unharmed()
    stage.server.rules.clear()
    retry(stage.mount)
    stage.honest_again((1, 2, 3))
    stage.end()
