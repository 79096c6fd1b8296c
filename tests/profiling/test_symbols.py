"""Functions are found by address, in every kind of file that names them; what is damaged or empty is said so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.errors import ImageError, RatiteError, UsageError
from ratite.profiling.symbols import ElfFile, MappedFiles, Mapping, Symbol, Symbols, first_of, load
from tests.user.cross import RISCV_CC, needs_riscv_cc


def test_the_function_at_an_address() -> None:
    """The one that begins at or before it, as far as its size goes; without a size up to the next, but not for ever."""
    symbols = Symbols([Symbol(0x1000, 0x20, "first"), Symbol(0x2000, 0, "second"), Symbol(0x3000, 0, "last")])
    names = {at: found and found.name for at in (0xFFF, 0x1000, 0x101F, 0x1020, 0x2FFF, 0x3000, 0x10_3000) for found in [symbols.find(at)]}
    assert names == {
        0xFFF: None, 0x1000: "first", 0x101F: "first", 0x1020: None, 0x2FFF: "second", 0x3000: "last", 0x10_3000: None,
    }  # fmt: skip


def test_of_several_names_the_plainest() -> None:
    """A C library has `__libc_malloc` and `malloc` at one address."""
    symbols = Symbols([Symbol(16, 8, "__libc_malloc"), Symbol(16, 8, "malloc"), Symbol(16, 0, "m")])
    assert symbols.find(17) == Symbol(16, 8, "malloc")


def test_kallsyms(tmp_path: Path) -> None:
    """Code only; modules have their names behind."""
    path = tmp_path / "kallsyms"
    path.write_text("ffffffff80000000 T _start\nffffffff80000040 t helper\t[a_module]\nffffffff80000080 D data\nrubbish\n")
    symbols = load(str(path))
    assert len(symbols) == 2
    assert symbols.find(0xFFFF_FFFF_8000_0084) == Symbol(0xFFFF_FFFF_8000_0040, 0, "helper", "a_module")


@pytest.mark.parametrize("text", ["", "no symbols at all\n", "0000000000000000 T _start\n0000000000000000 t other\n"])
def test_a_file_without_symbols(tmp_path: Path, text: str) -> None:
    """Empty, something else, or kallsyms as a user without rights reads it."""
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(ImageError, match="has no symbols"):
        load(str(path))


def test_an_absent_file() -> None:
    with pytest.raises(UsageError, match="No such file"):
        load("/nonexistent/System.map")


@given(st.binary(max_size=400))
def test_damaged_files(data: bytes) -> None:
    """Whatever follows the magic number, the error is one that says so."""
    for head in (b"\x7fELF\2\1\1", b"\x7fELF\1\1\1"):
        try:
            elf = ElfFile(head + data, "file")
            elf.symbols()
            elf.loads()
        except RatiteError:
            pass


SOURCE = "int first(int a) { return a + 1; }\nint main(void) { return first(2); }\n"


@needs_riscv_cc
@pytest.mark.parametrize("link", ["-static", "-pie"])
def test_a_compiled_program(tmp_path: Path, link: str) -> None:
    """The linker's own tool lists the same functions; mapped somewhere, they are found there."""
    assert RISCV_CC is not None
    source, program = tmp_path / "a.c", tmp_path / "a"
    source.write_text(SOURCE)
    subprocess.run([RISCV_CC, "-O0", link, "-o", str(program), str(source)], check=True)
    listed = subprocess.run(["riscv64-linux-gnu-nm", str(program)], capture_output=True, text=True, check=True).stdout
    address = {words[2]: int(words[0], 16) for line in listed.splitlines() if len(words := line.split()) == 3}
    symbols = load(str(program))
    for name in ("first", "main"):
        found = symbols.find(address[name] + 4)
        assert found is not None
        assert (found.name, found.start) == (name, address[name])
    offset, size, linked = next(row for row in ElfFile(program.read_bytes(), "a").loads() if row[2] <= address["first"] < row[2] + row[1])
    base = 0x5555_0000_0000
    files = MappedFiles(lambda: [Mapping(base, base + size, offset, str(program))])
    where = base + address["first"] - linked
    assert files.find(where + 2) == Symbol(where, symbols.find(address["first"]).size, "first", "a")  # type: ignore[union-attr]
    assert files.find(base - 1) is None


def test_the_first_that_knows() -> None:
    """The user's symbols come before those of files."""
    one, other = Symbols([Symbol(0, 8, "one")]), Symbols([Symbol(0, 16, "other")])
    find = first_of([one.find, other.find])
    assert [found and found.name for found in map(find, (7, 8, 16))] == ["one", "other", None]
