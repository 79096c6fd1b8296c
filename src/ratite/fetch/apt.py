"""Downloading Debian packages of any architecture and suite into a private place.

apt-get runs with this machine's own configuration (proxies, credentials, keys) and with a state folder, a cache and a
source list of its own, so that nothing of the system's package management is read or changed and no root rights are
needed. The archive is the one that the machine's own sources name.

Not handled: systems whose sources have no Debian archive (their packages are built for other architectures than ours
need).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ratite.errors import HostError

Progress = Callable[[str, float], None]
"""Called with what is being done and the part done, 0 to 1."""

SUITES = frozenset((
    "buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
    "oldoldstable", "oldstable", "stable", "testing", "unstable", "experimental",
))
OTHER_NAMES = {"bookworm": "oldstable", "trixie": "stable", "forky": "testing", "sid": "unstable"}
"""What an archive calls a release besides: a mirror keeps the files of both names, not always of the same day."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NEEDED = ("apt-get", "apt-config", "dpkg-deb")


class Apt:
    """A private apt root in `folder` for packages of `suite` built for `arch` (Debian's names)."""

    def __init__(self, folder: Path, suite: str, arch: str, progress: Progress = lambda text, part: None) -> None:
        self.folder = folder
        self.suite = suite
        self.arch = arch
        self._progress = progress
        self._updated = False

    def download(self, *packages: str) -> list[Path]:
        """Fetch the newest version of each package and return the paths of the .deb files."""
        self._update()
        for old in self._archives():
            old.unlink()
        self._run(["download", *packages], self._downloads, f"downloading {', '.join(packages)}")
        return [self._archive_of(package) for package in packages]

    def download_with_dependencies(self, *packages: str) -> list[Path]:
        """Fetch the packages and all that they depend on; returns the .deb files."""
        self._update()
        archives = self.folder / "cache" / "archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        words = ["install", "--download-only", "--no-install-recommends", "--yes", *packages]
        self._run(words, self.folder, f"downloading {', '.join(packages)} and dependencies")
        return sorted(archives.glob("*.deb"))

    @property
    def _downloads(self) -> Path:
        return self.folder / "downloads"

    def _archives(self) -> list[Path]:
        return sorted(self._downloads.glob("*.deb"))

    def _archive_of(self, package: str) -> Path:
        for path in self._archives():
            if path.name.startswith(f"{package}_"):
                return path
        raise HostError(f"apt-get downloaded no package {package}")

    def _update(self) -> None:
        """Read the archive's index, once in the life of this object.

        Where a mirror's index is not the one that its signed list of files speaks of (it is just being updated, or a proxy has kept one
        of the two for longer), the release's other name is tried: `stable` for `trixie`.
        """
        if self._updated:
            return
        try:
            self._read_index(self.suite)
        except HostError:
            if not self._read_other_index():
                raise
        self._updated = True

    def _read_other_index(self) -> bool:
        """Whether the archive has a good index of the same release under its other name."""
        if self.suite not in OTHER_NAMES:
            return False
        try:
            self._read_index(OTHER_NAMES[self.suite])
        except HostError:
            return False
        return self._codename() == self.suite

    def _read_index(self, name: str) -> None:
        self._write_configuration(debian_archive(), name)
        self._run(["update"], self.folder, f"reading the index of {name} for {self.arch}")

    def _codename(self) -> str | None:
        """Of the release whose index has been read (Debian's repository format, `Codename` of a Release file)."""
        for path in sorted((self.folder / "state" / "lists").glob("*Release")):
            for line in path.read_text(errors="replace").splitlines():
                if line.startswith("Codename:"):
                    return line.partition(":")[2].strip()
        return None

    def _write_configuration(self, uri: str, suite: str) -> None:
        for part in ("state/lists/partial", "cache/archives/partial", "downloads", "parts"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "state" / "status").touch()
        signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""
        (self.folder / "debian.sources").write_text(
            f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: {self.arch}\n"
            f"Targets: Packages\n{signed}"
        )
        (self.folder / "apt.conf").write_text(_configuration(self.folder, self.arch))

    def _run(self, words: list[str], folder: Path, what: str) -> None:
        """Run apt-get and follow its progress; its own first error line becomes ours."""
        read_end, write_end = os.pipe()
        command = ["apt-get", "-q", "-c", str(self.folder / "apt.conf"), "-o", f"APT::Status-Fd={write_end}", *words]
        environment = os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        self._progress(what, 0.0)
        with tempfile.TemporaryFile("w+", errors="replace") as complaints, os.fdopen(read_end) as status:
            try:
                process = subprocess.Popen(
                    command, cwd=folder, env=environment, pass_fds=(write_end,), stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=complaints,
                )
            finally:
                os.close(write_end)
            for line in status:
                self._report(line, what)
            if process.wait():
                complaints.seek(0)
                raise HostError(f"{what} failed: {_first_error(complaints.read())}")
        self._progress(what, 1.0)

    def _report(self, line: str, what: str) -> None:
        """A status line is `dlstatus:ITEM:PERCENT:TEXT`."""
        fields = line.split(":")
        if fields[0] == "dlstatus" and len(fields) >= 3:
            try:
                self._progress(what, float(fields[2]) / 100)
            except ValueError:
                pass


def _configuration(folder: Path, arch: str) -> str:
    """apt's configuration file, read after the machine's own (apt.conf(5)); hooks of the system's are cleared."""
    return f"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear APT::Architectures;
#clear APT::Default-Release;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
APT::Get::List-Cleanup "true";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/debian.sources";
Dir::Etc::sourceparts "{folder}/parts";
Dir::Etc::preferences "{folder}/parts/none";
Dir::Etc::preferencesparts "{folder}/parts";
"""


def debian_archive() -> str:
    """The address of the Debian archive in this machine's apt sources."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        raise HostError(f"this system has no {missing[0]}: packages can be fetched on Debian-like systems only")
    for path in _source_files():
        for uri, suite in _entries(path):
            if suite in SUITES:
                return uri
    raise HostError("this machine's apt sources name no Debian archive")


def _source_files() -> Iterator[Path]:
    """The source lists in force, wherever the machine's configuration puts them."""
    words = ["apt-config", "shell", "one", "Dir::Etc::sourcelist/f", "parts", "Dir::Etc::sourceparts/d"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    places = {key: value.strip("'") for key, _, value in (line.partition("=") for line in answer.splitlines())}
    one, parts = Path(places.get("one", "")), Path(places.get("parts", ""))
    if one.is_file():
        yield one
    if parts.is_dir():
        yield from sorted(path for path in parts.iterdir() if path.suffix in (".sources", ".list"))


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """(address, suite) of each enabled binary source in a file (sources.list(5))."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    yield from _stanzas(text) if path.suffix == ".sources" else _lines(text)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """One-line style: `deb [options] URI SUITE COMPONENT...`."""
    for line in text.splitlines():
        head, _, rest = line.partition("[")
        words = (head + rest.partition("]")[2]).split() if rest else line.split()
        if len(words) >= 3 and words[0] == "deb" and _usable(words[1]):
            yield words[1], words[2]


def _stanzas(text: str) -> Iterator[tuple[str, str]]:
    """Deb822 style: fields, with stanzas parted by empty lines."""
    for stanza in "\n".join(line.rstrip() for line in text.splitlines()).split("\n\n"):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields.setdefault(name, []).extend(line.split())
            else:
                name, _, value = line.partition(":")
                name = name.lower()
                fields[name] = value.split()
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            for uri in filter(_usable, fields.get("uris", [])):
                yield from ((uri, suite) for suite in fields.get("suites", []))


def _usable(uri: str) -> bool:
    """Whether the address can serve other architectures and suites than the machine's: a CD can not."""
    return ":" in uri and not uri.startswith("cdrom:")


def _first_error(complaint: str) -> str:
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line.removeprefix("E:").strip() for line in lines if line.startswith("E:")]
    return (errors or lines or ["apt-get gave no reason"])[0]
