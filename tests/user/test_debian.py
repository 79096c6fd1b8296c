"""Programs that Debian ships for riscv64 and loong64, and a Go program from npm, under Ratite.

They are fetched into the cache folder. What they print is compared with what the host's own programs print for the same
input, or with a text where the host may lack the program.
"""

from __future__ import annotations

import hashlib
import os
import pty
import select
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from ratite.errors import HostError
from ratite.fetch import cache, sysroot
from tests.user.test_programs import RATITE, SECONDS, SOURCES

pytestmark = [pytest.mark.slow]

PACKAGES = ("bash", "coreutils", "busybox-static", "perl-base", "python3", "sqlite3", "findutils", "grep", "sed", "gawk",
            "tar", "gzip")


class Debian(NamedTuple):
    """Debian's programs for an architecture: what uname calls that, and their folder."""

    machine: str
    root: Path

    @property
    def command(self) -> list[str]:
        """The command line that runs one of them."""
        return [*(word.replace("riscv64", self.machine) for word in RATITE), "-L", str(self.root)]


@pytest.fixture(scope="module", params=[("riscv64", "riscv64"), ("loong64", "loongarch64")], ids=["riscv64", "loong64"])
def debian(request: pytest.FixtureRequest) -> Debian:
    """A folder with Debian's programs."""
    arch, machine = request.param
    try:
        return Debian(machine, sysroot.make(arch, PACKAGES))
    except HostError as error:
        pytest.skip(f"no Debian packages to be had: {error}")


def ratite(debian: Debian, program: str, *words: str, stdin: str = "", folder: Path | None = None) -> str:
    """Output of a program of the sysroot; it must end well."""
    command = [*debian.command, str(debian.root / program.lstrip("/")), *words]
    return check(command, stdin, folder)


def check(command: list[str], stdin: str = "", folder: Path | None = None) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "LC_ALL": "C", "PYTHONPATH": str(SOURCES), "XDG_CACHE_HOME":
                   os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=folder, env=environment,
                          timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


BASH = r"""
declare -A table=([one]=1 [two]=2)
for key in one two; do echo "$key ${table[$key]}"; done
total=0
for ((i = 0; i < 20; i++)); do total=$((total + i * i)); done
echo $total $((2 ** 40)) $(printf '%x' 255)
function late { echo "exit $?"; }
trap late EXIT
( exit 7 ); echo "status $?"
seq 30 | while read -r n; do [ $((n % 7)) = 0 ] && echo "seven $n"; done
cat <<END | tr a-z A-Z | sort -r | head -2
pear
apple
quince
END
{ sleep 0.05; echo slow; } & echo fast; wait
trap 'echo caught' USR1; kill -USR1 $$; echo after
echo {a..c}{1..2} | sed 's/b/B/g'
[[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
exec 3>&1; echo to three >&3
diff <(echo a; echo b) <(echo a; echo c) | grep -c '[<>]'
echo "${PATH##*:}" $(echo nested $(echo deeper))
"""


def test_bash(debian: Debian) -> None:
    """Loops, pipes, subshells, traps, background jobs, process substitution: as the host's bash does it."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this host")
    assert ratite(debian, "/usr/bin/bash", "-c", BASH) == check([bash, "-c", BASH])


@pytest.mark.parametrize("words", [
    ["sort", "-n", "-k2"], ["wc"], ["sha256sum"], ["md5sum"], ["base64"], ["tac"], ["cut", "-d ", "-f2"], ["uniq", "-c"],
    ["head", "-c", "100"], ["tail", "-n", "3"], ["nl"], ["od", "-An", "-tx1"], ["tr", "0-9", "a-j"], ["fold", "-w", "7"],
    ["paste", "-sd,"], ["split", "--filter=cat", "-l", "50"], ["date", "-u", "-d", "@86400"], ["seq", "5"],
    ["expr", "6", "*", "7"], ["factor", "1234567890123456789"], ["basename", "/a/b.c", ".c"], ["numfmt", "--to=iec", "5000000"],
])
def test_coreutils(debian: Debian, words: list[str]) -> None:
    """The output of each program for one text, as the host's program of that name has it."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} on this host")
    text = "".join(f"line {n * 7919 % 1009} {'x' * (n % 5)}\n" for n in range(200))
    assert ratite(debian, f"/usr/bin/{words[0]}", *words[1:], stdin=text) == check(words, text)


BUSYBOX = r"""
seq 2000 | awk '{ print ($1 * 7919) % 1009, $1 }' > table
sort -k1,1n -k2,2n table | md5sum | cut -d' ' -f1
gzip -c table | gunzip -c | cmp - table && echo same
mkdir -p tree/a/b; echo 1 > tree/a/one; echo 2 > tree/a/b/two; ln -s one tree/a/link
find tree -type f | sort
tar cf tree.tar tree; rm -r tree; tar xf tree.tar; cat tree/a/one tree/a/b/two; readlink tree/a/link
grep -c 00 table; sed -n '5p' table; wc -l < table
n=0; while [ $n -lt 20 ]; do busybox true && n=$((n+1)); done; echo $n
(sleep 5 & echo $!) > pid; kill $(cat pid); echo killed
"""


def test_busybox(debian: Debian, tmp_path: Path) -> None:
    """A script of many small programs, whose results are known."""
    busybox = "/usr/bin/busybox" if (debian.root / "usr/bin/busybox").exists() else "/bin/busybox"
    (tmp_path / "script").write_text(BUSYBOX.replace("busybox true", f"{debian.root}{busybox} true"))
    printed = ratite(debian, busybox, "sh", "script", folder=tmp_path).splitlines()
    lines = sorted(((n * 7919) % 1009, n) for n in range(1, 2001))
    table = "".join(f"{key} {n}\n" for key, n in lines)
    assert printed == [
        hashlib.md5(table.encode()).hexdigest(), "same", "tree/a/b/two", "tree/a/one", "1", "2", "one",
        str(sum("00" in f"{key} {n}" for key, n in lines)), f"{5 * 7919 % 1009} 5", "2000", "20", "killed"]


PYTHON = r"""
import hashlib, json, os, queue, signal, sqlite3, struct, subprocess, sys, tempfile, threading, time
print(json.dumps({"a": [1, 2.5, {"b": None}], "c": "\u00e9"}, sort_keys=True), hashlib.sha256(b"x" * 100000).hexdigest())
print(subprocess.run(["echo", "from a child"], capture_output=True, text=True).stdout, end="")
print(subprocess.run("exit 3", shell=True).returncode)
try:
    subprocess.run(["/nonexistent"])
except FileNotFoundError as error:
    print(error)
results, work = [], queue.Queue()
def worker():
    while (n := work.get()) is not None:
        results.append(sum(range(n)))
threads = [threading.Thread(target=worker) for _ in range(4)]
for thread in threads: thread.start()
for n in range(20): work.put(n * 1000)
for _ in threads: work.put(None)
for thread in threads: thread.join()
print(sum(results))
signal.signal(signal.SIGALRM, lambda *a: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.05)
database = sqlite3.connect(":memory:")
database.execute("create table t(a, b)")
database.executemany("insert into t values (?, ?)", [(n, n * n) for n in range(100)])
print(database.execute("select sum(b) from t where a % 2").fetchone())
pid = os.fork()
if not pid: os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.uname().machine, os.readlink("/proc/self/exe")[:16])
print(struct.pack(">d", 1 / 3).hex(), 2 ** 200 % 1000007, round(7 ** 0.5, 12))
"""


def test_python(debian: Debian) -> None:
    """Modules, child processes, threads, signals, fork, floating point."""
    printed = ratite(debian, "/usr/bin/python3", "-c", PYTHON).splitlines()
    assert printed == [
        '{"a": [1, 2.5, {"b": null}], "c": "\\u00e9"} '
        "d69e68988157833272305aaf21f453c800346e8a3640db6578e260215542e5d4",
        "from a child", "3", "[Errno 2] No such file or directory: '/nonexistent'",
        str(sum(sum(range(n * 1000)) for n in range(20))), "alarm", "(166650,)",
        f"9 {debian.machine} /usr/bin/python3", f"3fd5555555555555 {2 ** 200 % 1000007} 2.645751311065"]


def test_perl(debian: Debian) -> None:
    """Hashes, regular expressions, sprintf, a pipe from a child, sort."""
    script = r"""my %h; $h{$_ % 7} += $_ for 1..1000; print join(",", map {"$_=$h{$_}"} sort keys %h), "\n";
    print sprintf("%.10f %s", atan2(1, 1) * 4, join("", reverse split //, "olleh")), "\n"; print `echo from a child`;
    (my $t = "a1b22") =~ s/(\d+)/<$1>/g; print "$t\n"; print scalar(@{[sort { $b <=> $a } 3, 11, 2]}), "\n";"""
    assert ratite(debian, "/usr/bin/perl", "-e", script).splitlines() == [
        "0=71071,1=71214,2=71357,3=71500,4=71643,5=71786,6=71929", "3.1415926536 hello", "from a child", "a<1>b<22>", "3"]


def test_sqlite(debian: Debian, tmp_path: Path) -> None:
    """A database in a file: made by one process, read and changed by others."""
    database = str(tmp_path / "base.db")

    def ask(text: str) -> str:
        return ratite(debian, "/usr/bin/sqlite3", database, text)
    ask("create table t(a integer primary key, b text); with recursive n(i) as (select 1 union all select i + 1 from n "
        "where i < 500) insert into t select i, 'row ' || i from n; create index x on t(b);")
    assert ask("select count(*), sum(a), max(b) from t;") == "500|125250|row 99\n"
    ask("begin; delete from t where a % 2; commit; vacuum;")
    assert ask("select count(*), min(a) from t; pragma integrity_check;") == "250|2\nok\n"


@pytest.mark.parametrize("arch", ["riscv64", "loong64"])
def test_go(arch: str, tmp_path: Path) -> None:
    """esbuild, a static Go program with many threads, timers and signals of its own: it transforms a text, and puts two files into
    one, which the host runs if it can."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this host")
    folder = cache.folder("tests", f"esbuild-{arch}")
    program = folder / "package/bin/esbuild"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run([npm, "pack", "--silent", f"@esbuild/linux-{arch}"], cwd=folder, capture_output=True,
                                text=True)
        if packed.returncode:
            pytest.skip("no npm registry to be had")
        shutil.unpack_archive(folder / packed.stdout.strip(), folder)
    command = [*(word.replace("riscv64", "loongarch64" if arch == "loong64" else arch) for word in RATITE), str(program)]
    source = "let x: number = 1; export const f = (a: string) => a + x; console.log(f('hi'))"
    assert check([*command, "--minify", "--loader=ts"], source) == (
        'let e=1;export const f=o=>o+e;console.log(f("hi"));\n')
    (tmp_path / "first.ts").write_text("import { cube } from './second'; console.log([1, 2, 3].map(cube).join());")
    (tmp_path / "second.ts").write_text("export const cube = (n: number): number => n ** 3;\nexport const unused = 1;")
    bundle = check([*command, "first.ts", "--bundle"], folder=tmp_path)
    assert "unused" not in bundle and "import" not in bundle
    if node := shutil.which("node"):
        assert check([node, "-"], bundle) == "1,8,27\n"


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.environ.update(PS1="ready> ", PYTHONPATH=str(SOURCES), LC_ALL="C", TERM="dumb")
            os.execv(command[0], command)
        self._seen = ""
        self.wait_for("ready> ")

    def wait_for(self, text: str) -> None:
        """Read until a text appears; what comes before it is forgotten."""
        while text not in self._seen:
            ready, _, _ = select.select([self._fd], [], [], SECONDS)
            assert ready, f"no {text!r} after {self._seen!r}"
            self._seen += os.read(self._fd, 4096).decode(errors="replace")
        self._seen = self._seen[self._seen.index(text) + len(text):]

    def type(self, line: str, answer: str) -> None:
        """Type a line and wait for the answer."""
        os.write(self._fd, line.encode())
        self.wait_for(answer)

    def say(self, line: str, answer: str) -> None:
        """Type a line, and wait for the answer and the next prompt."""
        self.type(line, answer)
        self.wait_for("ready> ")

    def end(self, line: str) -> int:
        """Type a last line; returns the shell's exit status."""
        os.write(self._fd, line.encode())
        try:
            while os.read(self._fd, 4096):
                pass
        except OSError:
            pass    # how Linux says that the other side has hung up
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_job_control(debian: Debian) -> None:
    """Background jobs, Ctrl-Z, fg and Ctrl-C in an interactive bash."""
    shell = Terminal([*debian.command, str(debian.root / "usr/bin/bash"), "--norc", "--noediting", "-i"])
    shell.say("sleep 100 &\n", "[1]")
    shell.say("jobs\n", "Running")
    shell.say("kill %1; wait %1\n", "Terminated")
    shell.type("cat\n", "cat")
    shell.type("echoed\n", "echoed\r\nechoed")
    shell.say("\x1a", "Stopped")
    shell.type("fg\n", "cat")
    shell.type("again\n", "again\r\nagain")
    shell.say("\x03", "^C")
    shell.say("echo status $?\n", "status 130")
    assert shell.end("exit 5\n") == 5
