"""From guest paths to host paths."""

from __future__ import annotations

import os
from pathlib import Path

from ratite.user.paths import Paths, own_proc_file


def test_sysroot_comes_first(tmp_path: Path) -> None:
    """Absolute paths that exist in the sysroot are found there, dangling links included; all others are the host's."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "file").write_text("inside")
    (tmp_path / "dangling").symlink_to("/nonexistent")
    root = os.fsencode(tmp_path)
    paths = Paths(root + b"/")
    assert paths.resolve(b"/etc/file") == root + b"/etc/file"
    assert paths.resolve(b"/dangling") == root + b"/dangling"
    assert paths.resolve(b"/etc/passwd") == b"/etc/passwd"
    assert paths.resolve(b"etc/file") == b"etc/file"
    assert paths.resolve(b"") == b""
    assert paths.guest_name(root + b"/etc/file") == b"/etc/file"
    assert paths.guest_name(b"/etc/passwd") == b"/etc/passwd"
    assert paths.resolve(b"/" + b"x" * 5000) == b"/" + b"x" * 5000


def test_names_of_the_own_proc_folder() -> None:
    """self, thread-self, the process's number and its threads' folders are its own; other processes' are not."""
    own = b"%d" % os.getpid()
    for folder in (b"self", b"thread-self", own, b"self/task/" + own):
        assert own_proc_file(b"/proc/" + folder + b"/maps") == b"maps"
    for path in (b"/proc/1/maps", b"/proc/maps", b"/proc/self", b"proc/self/maps", b"/proc/self/fd/3",
                 b"/proc/self/task/1/maps", b"/proc/self/task/../maps"):
        assert own_proc_file(path) is None


def test_own_executable() -> None:
    """/proc/self/exe is the guest's program, not Python."""
    paths = Paths(b"")
    paths.executable = b"/guest/program"
    assert paths.resolve(b"/proc/self/exe") == b"/guest/program"
    assert paths.resolve(b"/proc/%d/exe" % os.getpid()) == b"/guest/program"
    assert paths.resolve(b"/proc/self/status") == b"/proc/self/status"
