"""The code that native functions find for instruction words among drafts is the code that Python makes for them."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable

import pytest

from ratite.bits import mask, signed
from ratite.codegen.choosing import DONE, FULL, UNKNOWN, Words
from ratite.cpu import translate
from ratite.cpu.engine import Engine, Tuning
from ratite.cpu.memo import Memo, Missing
from ratite.cpu.words import FreeBits
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn
from ratite.isa.loongarch.arch import make_arch as make_loongarch
from ratite.isa.loongarch.cpus import parse_cpu as loongarch_cpu
from ratite.isa.riscv.arch import make_arch as make_riscv
from ratite.isa.riscv.cpus import parse_cpu as riscv_cpu
from ratite.memory.ram import RamBlock
from ratite.memory.space import AddressSpace
from tests.isa.riscv import harts

#: Instructions of every sort of operand, by their text's name.
COMMON = {
    "riscv": (
        "addi", "add", "sub", "lui", "auipc", "beq", "bltu", "jal", "jalr", "ld", "lw", "sd", "sb", "slli", "srliw", "sltiu", "andi", "csrrs", "mul",
        "amoadd.w", "fld", "fadd.d", "ecall", "lr.w",
    ),
    "loongarch": (
        "addi.d", "add.w", "lu12i.w", "lu32i.d", "pcaddu12i", "beq", "b", "bl", "jirl", "beqz", "ld.d", "st.w", "stptr.d", "ldx.d", "slli.d",
        "alsl.d", "bstrins.d", "bstrpick.w", "amadd.w", "fadd.d", "fld.d",
    ),
}  # fmt: skip


def arch_of(name: str) -> Arch:
    return make_riscv(riscv_cpu("rv64", 64)) if name == "riscv" else make_loongarch(loongarch_cpu("la464"))


@pytest.fixture(scope="module", params=list(COMMON))
def engine(request: pytest.FixtureRequest) -> Engine:
    memory = AddressSpace()
    memory.add_ram(0, RamBlock("ram", 1 << 20))
    return Engine(arch_of(request.param), space=memory, code_size=4 << 20, tuning=Tuning())


def chosen(engine: Engine) -> list[Insn]:
    names = COMMON["riscv" if engine.arch.name.startswith("riscv") else "loongarch"]
    found = [i for i in engine.arch.decoder.insns if i.text.name in names]
    assert {i.text.name for i in found} >= set(names)
    return found


def some_word(insn: Insn, chance: random.Random) -> int:
    """A word whose registers are of all sorts, and whose immediates are small as often as not."""
    word = chance.getrandbits(32)
    if chance.random() < 0.5:
        word &= chance.getrandbits(32) & chance.getrandbits(32)
    return (insn.value | word & ~insn.mask) & (1 << 8 * insn.length) - 1


def make(engine: Engine, memo: Memo, word: int, length: int) -> bytes:
    """The record that Python makes."""
    while True:
        try:
            entry = memo.make(word, length)
            return ctypes.string_at(entry[5], record_size(entry[5]))
        except Missing as missing:
            engine.library.compile([missing.job])


def record_size(at: int) -> int:
    length, lates = ctypes.c_uint32.from_address(at).value, ctypes.c_uint16.from_address(at + 4).value
    return 8 + -(-length // 8) * 8 + 16 * lates


def native_record(engine: Engine, add: Callable[[int, int, int], int], memo: Memo, word: int, length: int) -> bytes | None:
    """The record that is found among drafts."""
    words = memo.words.address
    assert engine.choosing.find_word(words, word) == 0
    while (status := add(words, word, length // 2)) == FULL:
        memo.words.make_room()
    if status == UNKNOWN:
        return None
    assert status == DONE
    info = ctypes.c_uint64.from_address(engine.choosing.find_word(words, word) + 8).value
    at = info & (1 << 48) - 1
    return ctypes.string_at(at, record_size(at))


def test_records_are_those_that_python_makes(engine: Engine) -> None:
    add = engine.function("add_by_draft", ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    memo, found, asked = engine.translator.memos[0], 0, 0
    chance = random.Random(7)
    for insn in chosen(engine):
        for _ in range(24):
            make(engine, memo, some_word(insn, chance), insn.length)
        plain = Memo(engine, 0)  # one that knows no drafts
        for _ in range(60):
            word = some_word(insn, chance)
            if engine.choosing.find_word(memo.words.address, word):
                continue
            asked += 1
            record = native_record(engine, add, memo, word, insn.length)
            if record is not None:
                found += 1
                assert record == make(engine, plain, word, insn.length), f"{insn.name} {word:#x}"
                check_entry(memo, plain, word, insn.length)
    assert found > asked / 3
    engine.save()


def check_entry(memo: Memo, plain: Memo, word: int, length: int) -> None:
    """What the tables say of a word beside its record is the same, too."""
    assert memo.entry(word, length)[2:5] == plain.entry(word, length)[2:5], f"{word:#x}"


def test_asking_again_takes_no_memory(engine: Engine) -> None:
    memo, insn = engine.translator.memos[0], chosen(engine)[0]
    make(engine, memo, insn.value, insn.length)
    before = engine.joiner.records.room.view.tolist()
    assert memo.entry(insn.value, insn.length) == memo.entry(insn.value, insn.length)
    assert engine.joiner.records.room.view.tolist() == before


def test_special_patterns_stay_out_of_groups_of_general_ones(engine: Engine) -> None:
    """Words of one group are all of one instruction."""
    decoder, chance = engine.arch.decoder, random.Random(3)
    memo = engine.translator.memos[0]
    for insn in chosen(engine):
        bits = memo.words._find_free(insn).bits
        for _ in range(50):
            word = some_word(insn, chance)
            if decoder.decode(word, insn.length) is insn:
                other = word & ~bits | chance.getrandbits(32) & bits
                assert decoder.decode(other, insn.length) is insn, f"{insn.name} {word:#x} {other:#x}"


def test_free_bits_are_what_operands_are_made_of() -> None:
    """Registers and immediates, but for bits on which the text depends."""
    by_name = {i.name: i for i in arch_of("riscv").decoder.insns}
    assert FreeBits.of(by_name["addi"]).bits == 0xFFFFFFFF & ~by_name["addi"].mask
    assert FreeBits.of(by_name["csrrs"]).bits == 0  # its registers and CSR are all asked about


def test_bits_that_are_compared_with_others_are_not_free() -> None:
    """Few words have the relation that a static operand asks about: it is found in the getter."""
    by_name = {i.name: i for i in arch_of("loongarch").decoder.insns}
    assert FreeBits.of(by_name["amadd.w"]).bits == 0  # whether the destination is a source
    assert FreeBits.of(by_name["bstrins.d"]).bits == 0x3FF  # whether the most significant bit is below the least


def test_tables_grow(engine: Engine) -> None:
    """More words than the tables have room for at first are all found again."""
    memo = Memo(engine, 0)
    for word in range(3, 40003, 4):
        memo.words.put(word, 0x1000 + word, 0, 2, word - 20000)
    for word in range(3, 40003, 4):
        at = engine.choosing.find_word(memo.words.address, word)
        assert ctypes.c_uint64.from_address(at + 8).value & (1 << 48) - 1 == 0x1000 + word
        assert ctypes.c_int32.from_address(at + 4).value == word - 20000
    assert ctypes.c_int64.from_address(memo.words.address + Words.COUNT).value == 10000


def test_room_for_records_needs_no_larger_table(engine: Engine) -> None:
    """The table of words grows when it is three quarters full, not with the memory that records take."""
    words = engine.translator.memos[0].words
    before, room = words._words, engine.joiner.records.room.view.tobytes()
    words.make_room()
    assert words._words is before
    assert engine.joiner.records.room.view.tobytes() != room


def test_words_without_end_need_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest makes up as many instruction words as it likes; what is known of them is forgotten when it is much, and code runs as before."""
    monkeypatch.setattr(translate, "MOST_RECORDS", 1 << 20)
    bench = harts.Bench(native=True)
    bench.run(harts.NOP)
    records, sizes = bench.engine.joiner.records, set()
    for n in range(1 << 12):
        constants = [(n << 8 | k) << 12 & 0xFFFFF000 for k in range(200)]
        bench.run(*(constant | 28 << 7 | 0x37 for constant in constants))  # lui t3
        assert bench.x[28] == signed(constants[-1], 32) & mask(64)
        sizes.add(bench.engine.joiner.records.size)
        if bench.engine.joiner.records is not records:
            break
    else:
        raise AssertionError("nothing was forgotten")
    assert max(sizes) <= 2 << 20
    bench.run(harts.NOP)
    bench.close()
