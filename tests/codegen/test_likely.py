"""Forms that are compiled ahead: they are what is asked for later, and they can be compiled."""

from __future__ import annotations

import pytest

from ratite.codegen.forms import Form, Key
from ratite.codegen.likely import Likely
from ratite.codegen.stencil import compile_stencils
from ratite.isa.arch import Arch
from ratite.isa.target import find_target


def arch_of(name: str) -> Arch:
    target = find_target(name)
    return target.make_arch(target.parse_cpu(""))


RISCV = arch_of("riscv64")


def everything(likely: Likely) -> list[Key]:
    while likely.looking:
        likely.look()
    found: list[Key] = []
    while jobs := likely.next(10):
        found += [job.key for job in jobs]
    return found


def key(name: str, regs: tuple[int, ...], *imms: str) -> Key:
    return Key(Form(name, (), -1), regs, imms)


def test_relatives_of_a_form() -> None:
    """Registers in memory and in the host's; two that are read are different ones, one may be written as well."""
    likely = Likely(RISCV)
    likely.needed(key("mul", (0, 1, 6)))
    both = {(-2, -2, -2), (0, -2, -2), (-2, 0, -2), (-2, -2, 0), (0, 0, -2), (0, 1, -2), (0, -2, 0), (0, -2, 1), (-2, 0, 1), (0, 0, 1), (0, 1, 0)}
    assert {k.regs for k in everything(likely)} == both | {(0, 1, 6)}


def test_a_zero_stays_and_immediates_vary() -> None:
    likely = Likely(RISCV)
    likely.needed(key("bne", (-2, -1), "f"))
    assert {(k.regs, k.imms) for k in everything(likely)} == {(regs, (way,)) for regs in ((-2, -1), (0, -1)) for way in "bf"}


def test_what_is_known_is_not_compiled_again() -> None:
    likely = Likely(RISCV)
    likely.known.update((key("mul", (0, 1, 6)), key("mul", (0, 0, 1))))
    likely.needed(key("mul", (0, 1, 6)))
    assert not set(everything(likely)) & {key("mul", (0, 1, 6)), key("mul", (0, 0, 1))}
    likely.needed(key("mul", (0, -2, 1)))
    assert not everything(likely)


def test_a_page_is_looked_through() -> None:
    """From an offset on, in instructions of either length; what cannot be decoded, or does not fit into the page, is passed over."""
    likely = Likely(RISCV)
    before, mul, c_addi, nothing, remu, half = "3335b540", "3305b502", "7d15", "0000", "3375b502", "3305"
    likely.page(bytes.fromhex(before + mul + c_addi + nothing + remu + half), 4, 0)
    assert {k.form.name for k in everything(likely)} == {"mul", "addi", "remu"}


def test_random_pages_and_keys_of_no_instruction() -> None:
    """Pages hold data too, and a guest says what is in them."""
    import random

    chance = random.Random(3)
    for arch in (RISCV, arch_of("loongarch64")):
        likely = Likely(arch)
        for context in range(2):
            likely.page(chance.randbytes(4096), 2 * chance.randrange(8), context)
        assert len(everything(likely)) > 50


@pytest.mark.parametrize("name", ["riscv32", "riscv64", "loongarch64"])
def test_the_base_can_be_compiled(name: str) -> None:
    """A part of it here; none of it has to be compiled for other registers again."""
    arch = arch_of(name)
    likely = Likely(arch)
    likely.begin()
    found = everything(likely)
    assert 300 < len(found) < 2000
    assert len(set(found)) == len(found)
    jobs = [likely.job(one) for one in found[::40]]
    assert set(compile_stencils(arch, jobs)) == {job.key for job in jobs}
