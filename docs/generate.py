"""Write the reference pages from the declarations in the code: options, machines, CPUs, devices, instructions.

python docs/generate.py           write docs/reference
python docs/generate.py --check   say which pages are out of date; exit status 1 when there are any
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ratite.cli import inventory
from ratite.cli.machine_options import OPTIONS as SYSTEM_OPTIONS
from ratite.cli.options import OptionTable, Refused
from ratite.cli.user_options import OPTIONS as USER_OPTIONS
from ratite.hw.model import PropertyOwner
from ratite.isa import ARCHITECTURES
from ratite.isa.dsl import Table

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py from the code. Do not edit. -->\n\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Text as code, or nothing."""
    return f"`{text}`" if text else ""


def options(title: str, options: OptionTable) -> str:
    """A page of options, those that are refused at its end."""
    parts = [f"# {title}\n"]
    for group, rows in options.groups.items():
        shown = [row for row in rows if not isinstance(row, Refused)]
        if shown:
            parts.append(f"## {group}\n")
            head = (
                ("option", "argument", "meaning", "variable")
                if any(row.env for row in shown)
                else ("option", "argument", "meaning")
            )
            cells = [(", ".join(map(code, row.names)), code(row.argument), row.help, code(row.env)) for row in shown]
            parts.append(table(head, [row[: len(head)] for row in cells]))
    refused = [row for row in options if isinstance(row, Refused)]
    names = ", ".join(code(name) for row in refused for name in row.names)
    parts.append(f"## Options of QEMU's that are refused by name\n\n{names}\n")
    return "\n".join(parts)


def machines() -> str:
    """Boards of every architecture, and what they accept."""
    from ratite.boards import boards_of

    parts = ["# Machines\n"]
    for arch in ARCHITECTURES:
        parts.append(f"## {arch}\n")
        rows = [
            (code(board.name), str(board.max_cpus), f"{board.ram_size >> 20} MiB", board.summary)
            for board in boards_of(arch)
        ]
        parts.append(table(("`-M`", "CPUs", "usual RAM", "what it is"), rows))
        for board in boards_of(arch):
            parts.append(f"### Properties of {board.name}\n")
            parts.append(properties(board.options))
    return "\n".join(parts)


def properties(owner: type[PropertyOwner]) -> str:
    """The properties of a device or a board."""
    rows = [
        (
            code(name),
            prop.kind.name,
            prop.kind.show(prop.default) if prop.default not in (None, "") else "",
            prop.description,
        )
        for name, prop in sorted(owner.properties.items())
    ]
    return table(("property", "type", "default", "meaning"), rows) if rows else "None.\n"


def devices() -> str:
    """All devices: documentation and properties."""
    from ratite.hw.model import DEVICES

    parts = [
        "# Devices\n",
        table(
            ("`-device`", "bus", "what it is"), ((code(row.name), row.kind, row.summary) for row in inventory.devices())
        ),
    ]
    for name in sorted(DEVICES):
        parts.append(f"## {name}\n\n{paragraphs(DEVICES[name].__doc__)}\n")
        parts.append(properties(DEVICES[name]))
    return "\n".join(parts)


def paragraphs(text: str | None) -> str:
    """A docstring without its indentation."""
    import inspect

    return inspect.cleandoc(text or "")


def cpus() -> str:
    """CPU models and their properties."""
    from ratite.isa.riscv.cpus import PROPERTIES
    from ratite.isa.target import FOLDERS

    parts = ["# CPUs\n"]
    for arch in FOLDERS:
        parts.append(f"## {arch}\n")
        parts.append(
            table(
                ("`-cpu`", "ISA string", "what it is"),
                ((code(row.name), code(row.kind), row.summary) for row in inventory.cpus(arch)),
            )
        )
    parts.append("## Properties of RISC-V\n")
    parts.append(
        table(("property", "accepts", "meaning"), ((code(p.name), p.accepts, p.meaning) for p in PROPERTIES.values()))
    )
    return "\n".join(parts)


def riscv_instructions() -> str:
    """Every RISC-V instruction form with its encoding."""
    from ratite.isa.riscv.arch import load
    from ratite.isa.riscv.table import RISCV

    load()
    return instructions("RISC-V", RISCV, {32: "RV32", 64: "RV64"})


def loongarch_instructions() -> str:
    """Every LoongArch instruction form with its encoding."""
    from ratite.isa.loongarch.arch import load
    from ratite.isa.loongarch.table import LOONGARCH

    load()
    return instructions("LoongArch", LOONGARCH)


def instructions(title: str, instructions: Table, only: dict[int, str] | None = None) -> str:
    """The instruction forms of a table; `only` names register widths where there are several."""
    parts = [f"# Instructions of {title}\n", f"{len(instructions.insns)} forms.\n"]
    head = ("form", "encoding", "only", "meaning") if only else ("form", "encoding", "meaning")
    for extension in dict.fromkeys(insn.extension for insn in instructions.insns):
        parts.append(f"## {extension}\n")
        rows = []
        for insn in instructions.insns:
            if insn.extension == extension:
                width = [only.get(insn.xlen, "")] if only else []
                rows.append((code(insn.syntax), code(bits(insn.mask, insn.value, insn.length)), *width, first_sentence(insn.doc)))
        parts.append(table(head, rows))
    return "\n".join(parts)


def bits(mask: int, value: int, length: int) -> str:
    """An encoding as fixed bits and dots, in groups of four."""
    text = "".join(str(value >> i & 1) if mask >> i & 1 else "." for i in reversed(range(8 * length)))
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def first_sentence(text: str) -> str:
    """A docstring's first paragraph on one line."""
    return " ".join(text.split("\n\n")[0].split())


PAGES: dict[str, Callable[[], str]] = {
    "options-system.md": lambda: options("Options of the system emulators", SYSTEM_OPTIONS),
    "options-user.md": lambda: options("Options of the user-mode emulators", USER_OPTIONS),
    "machines.md": machines,
    "cpus.md": cpus,
    "devices.md": devices,
    "instructions-riscv.md": riscv_instructions,
    "instructions-loongarch.md": loongarch_instructions,
}


def main() -> int:
    """Write all pages, or compare them."""
    stale = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, NOTE + make()
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
        else:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"out of date: {', '.join(stale)}; run: python docs/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
