"""Finding the machine's Debian archive, and what is said where there is none."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from ratite.errors import HostError
from ratite.fetch import apt
from ratite.fetch.apt import Apt

ONE_LINE = """\
# deb http://commented.example/debian trixie main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb-src http://source.example/debian bookworm main
deb [ arch=amd64 signed-by=/k.gpg ] http://first.example/debian bookworm main contrib
deb http://security.example/debian-security bookworm-security main
"""

FAKE_APT = """
import os, sys
fd = int(next(word for word in sys.argv if word.startswith("APT::Status-Fd=")).partition("=")[2])
os.write(fd, b"dlstatus:1:25.5:Retrieving\\ngarbage\\ndlstatus:x:y:z\\n")
if "download" in sys.argv:
    open("busybox-static_1_riscv64.deb", "w")
"""

# Knows `stable` only, whose index says that it is RELEASE.
HALF_APT = """
import pathlib, sys
root = pathlib.Path(sys.argv[sys.argv.index("-c") + 1]).parent
if "Suites: stable" not in (root / "debian.sources").read_text():
    sys.exit("E: File has unexpected size")
(root / "state/lists/archive_dists_stable_InRelease").write_text("Origin: Debian\\nCodename: RELEASE\\n")
if "download" in sys.argv:
    (root / "downloads/busybox-static_1_riscv64.deb").touch()
"""

DEB822 = """\
# A comment
Types: deb deb-src
URIs: http://disabled.example/debian
Suites: trixie
Enabled: no

Types: deb
URIs: mirror+file:/etc/apt/mirrors/debian.list
  http://second.example/debian
Suites: trixie
  trixie-updates
Components: main
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with fake package tools only: apt-config names sources below tmp_path."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in apt.NEEDED:
        write_program(folder / name, "exit 0")
    parts = tmp_path / "parts"
    parts.mkdir()
    write_program(folder / "apt-config", f"echo \"one='{tmp_path}/sources.list'\"; echo \"parts='{parts}/'\"")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def write_program(path: Path, script: str, interpreter: str = "/bin/sh") -> None:
    path.write_text(f"#!{interpreter}\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_one_line_sources(programs: Path, tmp_path: Path) -> None:
    """Options in brackets, comments, CDs and source packages are seen for what they are."""
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert apt.debian_archive() == "http://first.example/debian"


def test_deb822_sources(programs: Path, tmp_path: Path) -> None:
    """Fields over several lines; a disabled stanza does not count."""
    (tmp_path / "parts" / "debian.sources").write_text(DEB822)
    (tmp_path / "parts" / "debian.sources.save").write_text("Types: deb\nURIs: http://old.example\nSuites: sid\n")
    assert apt.debian_archive() == "mirror+file:/etc/apt/mirrors/debian.list"


def test_another_distribution(programs: Path, tmp_path: Path) -> None:
    """Suites of other distributions are not Debian's."""
    (tmp_path / "sources.list").write_text("deb http://archive.example/ubuntu noble main\n")
    with pytest.raises(HostError, match="name no Debian archive"):
        apt.debian_archive()


def test_no_apt_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tool that is missing is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        HostError, match="this system has no apt-get: packages can be fetched on Debian-like systems only"
    ):
        apt.debian_archive()


def test_an_unreachable_archive_is_one_line(programs: Path, tmp_path: Path) -> None:
    """apt-get's first error is passed on."""
    (tmp_path / "sources.list").write_text(ONE_LINE)
    write_program(programs / "apt-get", "echo 'W: odd' >&2; echo 'E: no route to host' >&2; exit 100")
    with pytest.raises(HostError, match=r"^reading the index of trixie for riscv64 failed: no route to host$"):
        Apt(tmp_path / "root", "trixie", "riscv64").download("busybox-static")


def test_a_mirror_with_half_of_an_update(programs: Path, tmp_path: Path) -> None:
    """Where the index of `trixie` does not fit, that of `stable` serves, if it is of the same release; else the first error is told."""
    (tmp_path / "sources.list").write_text(ONE_LINE)
    write_program(programs / "apt-get", HALF_APT.replace("RELEASE", "trixie"), sys.executable)
    assert Apt(tmp_path / "root", "trixie", "riscv64").download("busybox-static")
    write_program(programs / "apt-get", HALF_APT.replace("RELEASE", "forky"), sys.executable)
    with pytest.raises(HostError, match=r"^reading the index of trixie for riscv64 failed: File has unexpected size$"):
        Apt(tmp_path / "root", "trixie", "riscv64").download("busybox-static")


def test_progress_and_download(programs: Path, tmp_path: Path) -> None:
    """Progress comes from apt-get's status lines; nothing outside the private root is named in the configuration."""
    (tmp_path / "sources.list").write_text(ONE_LINE)
    write_program(programs / "apt-get", FAKE_APT, sys.executable)
    seen: list[tuple[str, float]] = []
    root = tmp_path / "root"
    files = Apt(root, "trixie", "riscv64", lambda text, part: seen.append((text, part))).download("busybox-static")
    assert files == [root / "downloads" / "busybox-static_1_riscv64.deb"]
    assert ("downloading busybox-static", 0.255) in seen
    assert seen[-1] == ("downloading busybox-static", 1.0)
    configuration = (root / "apt.conf").read_text()
    places = [line.split('"')[1] for line in configuration.splitlines() if line.startswith("Dir::")]
    assert all(place.startswith(f"{root}{os.sep}") for place in places)


def test_a_package_that_is_not_there(programs: Path, tmp_path: Path) -> None:
    """apt-get says so with success only in theory; it is an error here."""
    (tmp_path / "sources.list").write_text(ONE_LINE)
    with pytest.raises(HostError, match="apt-get downloaded no package nothing"):
        Apt(tmp_path / "root", "trixie", "riscv64").download("nothing")
