"""The shape of the tree: who may import whom; that things are registered, documented and tested; that pages agree."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratite.cli.ratite import COMMANDS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ratite"

BASE = {"bits", "digest", "errors", "keyval", "log", "record", "settings"}

# A part of the tree, and what it may import besides itself and BASE. From the bottom up; `isa` has parts of its own.
LAYERS: dict[str, set[str]] = {
    "bits": set(),
    "errors": set(),
    "keyval": set(),
    "log": set(),
    "settings": set(),
    "digest": set(),
    "record": set(),
    "ir": set(),
    "fp": set(),
    "isa.dsl": {"ir"},
    "isa.arch": {"isa.dsl"},
    "isa": {"ir", "isa.dsl", "isa.arch"},
    "codegen": {"ir", "fp", "isa.dsl", "isa.arch"},
    "memory": set(),
    "cpu": {"codegen", "ir", "isa.dsl", "isa.arch", "memory"},
    "chardev": set(),
    "block": {"chardev"},
    "net": {"chardev"},
    "hw": {"memory", "chardev", "block", "net"},
    "boards": {"hw", "memory", "isa", "isa.arch", "cpu"},
    "profiling": {"cpu"},
    "user": {"cpu", "isa", "isa.arch", "profiling"},
    "fetch": set(),
    "guests": set(),
    "agent": set(),
}

# What no rule binds: programs and the glue below them see everything, tests' helpers too.
FREE = {"cli", "library", "testing", "machine_runner", "__init__"}

# Known exceptions, each with its reason.
EXCEPTIONS = {
    ("cpu", "isa"): "cpu.user and cpu.system choose the instruction set by the architecture's name, lazily; cpu.service too",
}


def modules() -> Iterator[Path]:
    return (path for path in sorted(SOURCE.rglob("*.py")) if "__pycache__" not in path.parts)


def part_of(dotted: str) -> str:
    """The layer of a module, from its name without `ratite.`."""
    words = dotted.split(".")
    two = ".".join(words[:2])
    return two if two in LAYERS else words[0]


def imports(path: Path) -> Iterator[str]:
    """The ratite modules that a file names in import statements, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("ratite.") for name in names if name.startswith("ratite."))


def test_layers_import_only_what_is_below() -> None:
    """`bits <- ir <- isa.dsl <- isa.* <- codegen <- cpu`; hw never sees an ISA; nobody imports the command line."""
    wrong = []
    for path in modules():
        part = part_of(".".join(path.relative_to(SOURCE).with_suffix("").parts))
        if part in FREE:
            continue
        assert part in LAYERS, f"{path}: add '{part}' to the layers of this test"
        for name in imports(path):
            other = part_of(name)
            allowed = other == part or other in LAYERS[part] or other in BASE or (part, other) in EXCEPTIONS
            if not allowed:
                wrong.append(f"{path.relative_to(ROOT)}: {part} imports {other} ({name})")
    assert not wrong, "\n".join(wrong)


def test_devices_know_no_instruction_set() -> None:
    """The rule that keeps thirty boards of fifteen architectures possible, also through other layers' re-exports."""
    code = "import sys, ratite.hw; ratite.hw.load_all(); print(*(m for m in sys.modules if m.startswith('ratite.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith(("ratite.isa", "ratite.codegen", "ratite.cpu"))]


@pytest.mark.parametrize("folder", ["hw", "boards"])
def test_files_are_registered(folder: str) -> None:
    """Every file in a folder of devices or boards is imported by its `__init__`, and every folder is loaded."""
    package = importlib.import_module(f"ratite.{folder}")
    folders = getattr(package, "FOLDERS", None) or importlib.import_module(f"ratite.{folder}.registry").FOLDERS
    helpers = {"model", "support"}
    present = {path.parent.name for path in (SOURCE / folder).glob("*/__init__.py")} - helpers
    assert present == set(folders)
    for name in folders:
        listed = set(imports(SOURCE / folder / name / "__init__.py"))
        for path in (SOURCE / folder / name).glob("*.py"):
            if path.stem != "__init__" and registers(path):
                assert f"{folder}.{name}.{path.stem}" in listed, f"{path} is not imported by its folder"


def registers(path: Path) -> bool:
    """Whether importing the file has an effect that others look for: it declares a device or a board."""
    text = path.read_text()
    return bool(
        re.search(r"^class \w+\([^)]*\bname=", text, re.MULTILINE) or re.search(r"^@board\(", text, re.MULTILINE)
    )


def test_public_names_have_documentation() -> None:
    """Every module, class and function without an underscore says what it is (hooks and nested registers apart)."""
    missing = []
    for path in modules():
        tree = ast.parse(path.read_text())
        relative = path.relative_to(ROOT)
        if tree.body and not ast.get_docstring(tree):
            missing.append(f"{relative}")
        for node in tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and not explains_itself(node):
                missing.append(f"{relative}:{node.lineno} {node.name}")
    assert not missing, "\n".join(missing)


def explains_itself(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Overloads belong to a function with documentation; `@settings` records document each field."""
    names = {decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)}
    return bool(names & {"overload", "settings"})


def sources_of_tests(*folders: str) -> str:
    """All test sources below these folders."""
    files = (
        path for folder in folders for path in (ROOT / "tests" / folder).rglob("*") if path.suffix in (".py", ".c")
    )
    return "\n".join(path.read_text() for path in files)


def test_devices_and_boards_have_tests() -> None:
    """Every device's class or `-device` name, and every board's name, occurs in the tests of its folder."""
    from ratite.boards import BOARDS, boards_of
    from ratite.hw import load_all
    from ratite.hw.model import DEVICES
    from ratite.isa import ARCHITECTURES

    load_all()
    text = sources_of_tests("hw", "boards")
    untested = [name for name, kind in DEVICES.items() if name not in text and kind.__name__ not in text]
    assert not untested
    assert all(boards_of(arch) for arch in ARCHITECTURES)
    assert not [name for _, name in BOARDS if f'"{name}"' not in text]


def test_other_files_are_installed() -> None:
    """What is in the package and is no Python is matched by pyproject.toml's package-data, so that a wheel has it."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["ratite"]
    matched = {path for pattern in patterns for path in SOURCE.glob(pattern) if path.is_file()}
    others = {path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    missing = sorted(str(path.relative_to(SOURCE)) for path in others - matched)
    assert not missing, f"pyproject.toml, package-data: add {missing}"


def test_commands_have_modules() -> None:
    """Each command of `ratite` names a module with a `main`."""
    for command in COMMANDS.values():
        assert callable(importlib.import_module(f"ratite.cli.{command.module}").main)
        assert command.help


def test_reference_pages_are_up_to_date() -> None:
    """The pages in docs/reference are what the code says now."""
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    folder, note, pages = generate["FOLDER"], generate["NOTE"], generate["PAGES"]
    stale = [name for name, make in pages.items() if not same(folder / name, note + make())]
    assert not stale, f"run: python docs/generate.py (out of date: {', '.join(stale)})"
    assert {path.name for path in folder.iterdir()} == set(pages)


def same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def prose() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", prose(), ids=lambda path: path.name)
def test_pages_name_files_that_exist(page: Path) -> None:
    """A path in a page is one of the tree, and a link leads somewhere."""
    text = page.read_text()
    named = re.findall(r"`((?:src|tests|docs|bench)/[\w./-]+)`", text)
    linked = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [target for target in linked if not (page.parent / target).exists()]
    assert not missing


def test_no_host_is_named() -> None:
    """Package hosts are the machine's affair, and no path of a developer's machine gets in."""
    hosts = re.compile(
        r"https?://[\w.-]*(?:pypi|debian|pythonhosted|npmjs|artifactregistry)[\w.-]*\.(?!example)\w+|/work/|/home/\w+/"
    )
    files = [
        path
        for pattern in (
            "src/**/*",
            "tests/**/*",
            "bench/*",
            "bench/programs/*",
            "bench/mixed/*",
            "bench/inside/*",
            "docs/**/*",
            "*.md",
            "demo",
            "test",
            ".ci/*",
            "*.toml",
        )
        for path in ROOT.glob(pattern)
        if path.is_file() and path != Path(__file__)
    ]
    found = []
    for path in files:
        if (
            path.suffix in (".pyc", ".elf", ".bin", ".gz", ".dtb", ".so")
            or "egg-info" in str(path)
            or "build" in path.parts
        ):
            continue
        for match in hosts.finditer(path.read_text(errors="replace")):
            found.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert not found, "\n".join(found)
