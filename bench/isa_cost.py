"""What an instruction set costs: lines of code for each of its parts and for each instruction, and where else its name stands.

    python bench/isa_cost.py

Lines count that hold code: no blank lines, comments and documentation. An instruction is an entry of the decode table.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ratite.isa.target import FOLDERS, find_target
from ratite.testing.conformance.profile import find_profile

SOURCE = Path(__file__).resolve().parent.parent / "src" / "ratite"

#: By folder: how the rest of the tree may name the instruction set.
NAMES = {"riscv": r"riscv|rv32|rv64", "loongarch": r"loong|\bla464\b"}

#: Parts of an instruction set: files by pattern, in the order in which they are taken. FOLDER stands for its folder's name.
PARTS = {
    "instructions": ("isa/FOLDER/rv_*.py", "isa/FOLDER/la_*.py", "isa/FOLDER/csr_insns.py", "isa/FOLDER/priv.py"),
    "operands, shared by instructions": (
        "isa/FOLDER/formats*.py", "isa/FOLDER/floats.py", "isa/FOLDER/vectors.py", "isa/FOLDER/fcsr.py", "isa/FOLDER/units.py",
    ),
    "state, CPU models, glue": tuple(
        f"isa/FOLDER/{name}.py" for name in ("state", "cpus", "cpucfg", "config", "arch", "target", "table", "__init__", "hart", "core")
    ),
    "privileged: registers, memory, exceptions": ("isa/FOLDER/*.py",),
    "board, firmware": ("boards/FOLDER/*.py", "boards/support/*FOLDER*.py"),
    "devices": ("hw/**/*FOLDER*.py", "hw/**/sifive_plic.py", "hw/**/loongson.py", "hw/**/ls7a_rtc.py"),
    "Linux ABI": ("user/abi/FOLDER.py",),
    "conformance": ("testing/conformance/FOLDER.*",),
}  # fmt: skip
#: Devices of another one's boards, which the patterns find too.
OTHERS = {"riscv": ("loongson.py", "ls7a_rtc.py"), "loongarch": ("sifive_plic.py",)}


def code_lines(path: Path) -> int:
    """Lines with code."""
    text = path.read_text()
    if path.suffix != ".py":
        bare = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        return sum(bool(line.strip()) for line in bare.splitlines())
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - set(documentation(ast.parse(text))))


def documentation(tree: ast.Module) -> Iterator[int]:
    """The lines of texts that are statements by themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def parts(folder: str) -> dict[str, list[Path]]:
    """The files of an instruction set by part, each once."""
    taken: set[Path] = set()
    found: dict[str, list[Path]] = {}
    for name, patterns in PARTS.items():
        files = {path for pattern in patterns for path in SOURCE.glob(pattern.replace("FOLDER", folder))}
        found[name] = sorted(path for path in files - taken if path.is_file() and path.name not in OTHERS[folder])
        taken.update(files)
    return found


def elsewhere(folder: str, own: Iterable[Path]) -> dict[Path, int]:
    """Other files with lines of code that name an instruction set, and how many."""
    name, mine = re.compile(NAMES[folder], re.IGNORECASE), set(own)
    found: dict[Path, int] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if path in mine or any(f"/{other}" in str(path) for other in FOLDERS.values() if other != folder):
            continue
        text = path.read_text()
        hidden = set(documentation(ast.parse(text)))
        lines = [line.partition("#")[0] for n, line in enumerate(text.splitlines(), 1) if n not in hidden]
        if count := sum(bool(name.search(line)) for line in lines):
            found[path] = count
    return found


def instructions(folder: str) -> int:
    """Entries of the decode table, of all of its widths and modes."""
    found: set[tuple[str, int, int]] = set()
    for name in (name for name, of in FOLDERS.items() if of == folder):
        find_target(name)
        found |= {(insn.name, insn.mask, insn.value) for insn in find_profile(name).machine().decoder.insns}
    return len(found)


def main() -> None:
    """Print the table, and for each instruction set where else its name stands."""
    folders = list(dict.fromkeys(FOLDERS.values()))
    files: Mapping[str, dict[str, list[Path]]] = {folder: parts(folder) for folder in folders}
    print(f"{'lines of code':44}" + "".join(f"{folder:>12}" for folder in folders))
    for part in PARTS:
        print(f"{part:44}" + "".join(f"{sum(map(code_lines, files[folder][part])):>12}" for folder in folders))
    totals = {folder: sum(code_lines(path) for group in files[folder].values() for path in group) for folder in folders}
    print(f"{'all':44}" + "".join(f"{totals[folder]:>12}" for folder in folders))
    count = {folder: instructions(folder) for folder in folders}
    print(f"{'instructions':44}" + "".join(f"{count[folder]:>12}" for folder in folders))
    for text, chosen in (("lines for an instruction: its own files", 1), ("  with operands and what is shared", 2)):
        ratios = [sum(code_lines(p) for part in [*PARTS][:chosen] for p in files[f][part]) / count[f] for f in folders]
        print(f"{text:44}" + "".join(f"{ratio:>12.2f}" for ratio in ratios))
    for folder in folders:
        found = elsewhere(folder, (path for group in files[folder].values() for path in group))
        print(f"\n{folder} elsewhere: {len(found)} files, {sum(found.values())} lines")
        for path, lines in found.items():
            print(f"  {path.relative_to(SOURCE)}: {lines}")


if __name__ == "__main__":
    main()
