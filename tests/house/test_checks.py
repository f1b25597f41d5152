# SPDX-License-Identifier: MIT
"""The checks themselves: each lets a good tree pass and finds what it is for."""

import os
import shutil
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LICENCE = "/* SPDX-License-Identifier: MIT */\n"


@pytest.fixture(name="check")
def _check(tmp_path):
    """check(name, *args, **{file: text}): (status, output) in a tree of these files."""
    shutil.copytree(os.path.join(TOP, "scripts"), tmp_path / "scripts",
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(os.path.join(TOP, ".clang-format"), tmp_path)

    def run(name, *args, files=()):
        for folder in ("cache/store", "fs/mount", "imap/base", "tests"):
            os.makedirs(tmp_path / folder, exist_ok=True)
        for path, text in dict(files).items():
            (tmp_path / path).write_text(text, encoding="utf-8")
        done = subprocess.run([tmp_path / "scripts" / name, *args], cwd=tmp_path, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout
    return run


def c_function(lines):
    return LICENCE + "\nint f(void)\n{\n" + "\tf();\n" * (lines - 4) + "\treturn 0;\n}\n"


@pytest.mark.parametrize("lines,status,word", [
    (60, 0, ""), (61, 0, "function large"), (100, 0, "function large"),
    (101, 1, "function too large: imap/f.c:3 f: 101 lines")])
def test_function_size(check, lines, status, word):
    got, output = check("check-size", files={"imap/f.c": c_function(lines)})
    assert (got, word in output) == (status, True), output


@pytest.mark.parametrize("lines,status,word", [
    (500, 0, ""), (501, 0, "file large"), (801, 1, "file too large: imap/f.c: 801 lines")])
def test_file_size(check, lines, status, word):
    text = LICENCE + "/* line */\n" * (lines - 1)
    got, output = check("check-size", files={"imap/f.c": text})
    assert (got, word in output) == (status, True), output


def test_format(check):
    good = LICENCE + "\nint f(int a)\n{\n\treturn a ? 1 : 2;\n}\n"
    assert check("check-format", files={"imap/f.c": good})[0] == 0
    bad = good.replace("\treturn", "    return")
    status, output = check("check-format", files={"imap/f.c": bad})
    assert status == 1 and "imap/f.c" in output
    assert check("check-format", "--fix")[0] == 0
    assert check("check-format")[0] == 0


def test_words(check):
    assert check("check-words", files={"imap/f.c": LICENCE + "int f;\n"}) == \
        (0, "check-words: clean\n")


@pytest.mark.parametrize("line", [
    "/* TO" + "DO later */", "/* X" + "XX */", 'const char *p = "/wo' + 'rk/tree";',
    "/* /home/" + "alice/x */", 'const char *k = "AKIA' + 'ABCDEFGHIJKLMNOP";', "int f; "])
def test_words_found(check, line):
    status, output = check("check-words", files={"imap/f.c": LICENCE + line + "\n"})
    assert status == 1 and "imap/f.c:2: " in output


def test_licence(check):
    status, output = check("check-words", files={"imap/f.c": "int f;\n"})
    assert status == 1 and "no licence line" in output


LIST = "R" + "001 one\n" + "R" + "002 two\n" + "R" + "003 three\n"
TESTS = {
    "tests/requirements.txt": LIST,
    "tests/test_a.c": LICENCE + "/* R" + "001 */\nstatic void test_one(void **state)\n{\n}\n",
    "tests/test_b.py": 'def test_two():\n    """Two. R' + '002"""\n',
}


def test_coverage(check):
    status, output = check("coverage-requirements", files=TESTS)
    assert status == 0
    assert "tests/test_a.c:test_one" in output and "tests/test_b.py:test_two" in output
    assert output.endswith("2 of 3 requirements named by tests, 0 do not apply, 1 not\n")
    status, output = check("coverage-requirements", "--missing")
    assert output.splitlines()[0] == "R" + "003 three" and len(output.splitlines()) == 2


def test_coverage_not_applicable(check):
    """It needs a reason, must be true, and there may be eight."""
    files = {**TESTS, "tests/requirements.txt": LIST + "- R" + "003: never needed\n"}
    status, output = check("coverage-requirements", files=files)
    assert status == 0 and "     does not apply: never needed\n" in output
    assert output.endswith("2 of 3 requirements named by tests, 1 do not apply, 0 not\n")
    files["tests/requirements.txt"] += "- R" + "001: never needed\n"
    status, output = check("coverage-requirements", files=files)
    assert status == 1 and "R" + "001 applies" in output
    files["tests/requirements.txt"] = LIST + "".join(f"- R{n:03d}: no\n" for n in range(3, 12))
    status, output = check("coverage-requirements", files=files)
    assert status == 1 and "more than eight" in output


def test_coverage_unknown(check):
    files = {**TESTS, "tests/test_c.py": '"""R' + '004"""\n'}
    status, output = check("coverage-requirements", files=files)
    assert status == 1 and "tests/test_c.py:1: no requirement R" + "004" in output


def test_coverage_of_results(check):
    junit = '<testsuites><testsuite><testcase name="test_one"/>' \
            '<testcase name="test_two"><failure/></testcase></testsuite></testsuites>'
    files = {**TESTS, "results.xml": junit}
    status, output = check("coverage-requirements", "--results", "results.xml", files=files)
    assert status == 0
    assert output.endswith("1 of 3 requirements named by passing tests, 0 do not apply, 2 not\n")


@pytest.mark.parametrize("text,complaint", [
    ("#include <sqlite3.h>\n", "<sqlite3.h> belongs to store alone"),
    ("/* #include <sqlite3.h> */\n", ""), ('#include "../../imap/x.h"\n', "include by path"),
    ('const char *s = "SELECT x "\n\t"FROM y";\n', "must not speak SQL"),
    ('const char *s = "DELETE FROM y";\n', "must not speak SQL")])
def test_layers(check, tmp_path, text, complaint):
    status, output = check("check-layers", str(tmp_path), files={"fs/mount/mount_x.c": text})
    assert (status == 1, complaint in output) == (bool(complaint), True), output
