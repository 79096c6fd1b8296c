"""The stencil library on disk: a damaged file is as good as none, and two processes may add to one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ratite.codegen import library
from ratite.codegen.forms import Form, Key
from ratite.codegen.library import Library
from ratite.codegen.stencil import Job, block_of
from ratite.isa.arch import Arch
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu


@pytest.fixture(scope="module")
def arch() -> Arch:
    return make_arch(parse_cpu("rv64", 64).for_user_mode())


def add(lib: Library, arch: Arch, name: str) -> None:
    """Compile one form of a register-to-register instruction."""
    insn = next(i for i in arch.decoder.insns if i.name == name)
    form = Form(name, (), -1)
    lib.compile([Job(Key(form, (0, 1, 2), ()), insn, block_of(insn, arch, form))])


def test_what_was_saved_is_there_again(arch: Arch, tmp_path: Path) -> None:
    first = Library(arch, str(tmp_path))
    add(first, arch, "add")
    first.close()
    assert Library(arch, str(tmp_path)).stencils == first.stencils != {}


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign", "empty"])
def test_a_damaged_file_is_ignored_and_replaced(arch: Arch, tmp_path: Path, damage: str) -> None:
    first = Library(arch, str(tmp_path))
    add(first, arch, "add")
    first.close()
    data = bytearray(Path(first.path).read_bytes())
    if damage == "truncated":
        del data[-10:]
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray(b"something else\n" * 9 if damage == "foreign" else b"")
    Path(first.path).write_bytes(data)
    second = Library(arch, str(tmp_path))
    assert second.stencils == {}
    add(second, arch, "add")
    second.close()
    assert Library(arch, str(tmp_path)).stencils == first.stencils


def test_two_processes_keep_what_the_other_adds(arch: Arch, tmp_path: Path) -> None:
    one, two = Library(arch, str(tmp_path)), Library(arch, str(tmp_path))
    add(one, arch, "add")
    add(two, arch, "sub")
    one.close()
    two.close()
    assert len(Library(arch, str(tmp_path)).stencils) == 2


def test_a_folder_that_can_not_be_written_costs_nothing_but_time(arch: Arch) -> None:
    lib = Library(arch, "/proc/nowhere")
    add(lib, arch, "add")
    lib.close()


def test_files_that_nobody_uses_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, until the rest is within the limit; never those of the library in use, nor other files."""
    monkeypatch.setattr(library, "_FOLDER_LIMIT", 250)
    for age, name in enumerate(("new.pages", "mine.pages", "old.stencils", "older.pages", "other.txt")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    library.prune(str(tmp_path), str(tmp_path / "mine.pages"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.pages", "new.pages", "other.txt"]


def test_the_key_follows_the_source(arch: Arch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of the source is remembered while the files look as they did, and made again when one changes or the memory is damaged."""
    source = tmp_path / "generator.py"
    source.write_text("one")
    monkeypatch.setattr(library, "_sources", lambda modules: iter([str(source)]))
    folder = tmp_path / "cache"
    first = library.key_of(arch, str(folder))
    read: list[str] = []
    content = library._content
    monkeypatch.setattr(library, "_content", lambda paths: read.append("again") or content(paths))
    assert library.key_of(arch, str(folder)) == first and not read
    source.write_text("two")
    second = library.key_of(arch, str(folder))
    assert second != first and read == ["again"]
    (folder / f"{arch.name}.sources").write_bytes(b"")
    assert library.key_of(arch, str(folder)) == second and len(read) == 2
