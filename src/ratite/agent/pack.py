"""Making one file of the agent, which a guest's Python runs: `python -m ratite.agent.pack ratite-ga.pyz`.

The file is a zip archive with a first line that starts Python (zipapp in the Python library reference).
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ratite.agent.errors import SetupError

INTERPRETER = "#!/usr/bin/env python3\n"
_MAIN = """\
import sys
if sys.version_info < (3, 9):
    sys.exit("ratite-ga: Python 3.9 or later is needed, and this is %d.%d" % sys.version_info[:2])
from ratite.agent.program import main
sys.exit(main())
"""
_TIME = (1980, 1, 1, 0, 0, 0)    # the earliest that a zip archive knows, so that equal sources give equal bytes


def archive() -> bytes:
    """The file's content."""
    folder = Path(__file__).parent
    members = {"__main__.py": _MAIN, "ratite/__init__.py": ""}
    for path in sorted(folder.rglob("*.py")):
        members[f"ratite/agent/{path.relative_to(folder).as_posix()}"] = path.read_text(encoding="utf-8")
    stream = io.BytesIO()
    stream.write(INTERPRETER.encode())
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            file.writestr(info, text)
    return stream.getvalue()


def main(words: Sequence[str] | None = None) -> int:
    """Write the file that the command line names; returns the exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        if len(words) != 1 or words[0].startswith("-"):
            raise SetupError("usage: python -m ratite.agent.pack FILE")
        _write(words[0])
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _write(path: str) -> None:
    try:
        with open(path, "wb") as file:
            file.write(archive())
        os.chmod(path, 0o755)
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror}") from None


if __name__ == "__main__":
    raise SystemExit(main())
