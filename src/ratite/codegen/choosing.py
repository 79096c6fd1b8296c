"""Following guest code through a page and finding the machine code of every instruction word: natively, because a boot meets half a million.

Of an instruction word that has been seen before, the table of words knows the record (`ratite.codegen.joining`), its flow and the distance of its
branch. A word that has not is looked for among the drafts: records that are finished but for their operands. Words which differ only in
bits of registers and immediates belong to one group; it says how these are found in the word. The classes of the operands then tell which draft
it is. What neither table knows is left to Python (`ratite.cpu.memo`), which adds to both.
"""

from __future__ import annotations

from ratite.codegen.compiled import compiled, copy, load8, load16, load32, load64, load_signed32, store8, store32, store64
from ratite.codegen.joining import NOT_AN_ENTRY, NOT_AN_INSTRUCTION
from ratite.codegen.kinds import MEMORY, ZERO

_PAGE = 4096

#: Where execution goes from an instruction: to the next one; elsewhere; elsewhere, and later to the next one; or to either.
GOES_ON, ENDS, RETURNS, FORKS = range(4)

#: What `choose` gives: all has been chosen; the word at AT is not known; the instruction at AT reaches into the next page; there is no
#: room for another word, or for its record.
DONE, UNKNOWN, BEYOND, FULL = range(4)

_NEITHER = NOT_AN_ENTRY | NOT_AN_INSTRUCTION

#: What a word's entry says beside the address of the record.
FLOW_AT, UNITS_AT, BRANCHES = 48, 52, 1 << 56
_ADDRESS = (1 << FLOW_AT) - 1

#: Most operands of a group's words; and how many bits the class of a register has, and those of all operands.
MOST_REGISTERS, MOST_IMMEDIATES = 4, 3
REGISTER_BITS, CLASS_BITS = 3, 24

#: A factor that spreads numbers over a table; small enough that products with words stay below 2**63.
_SPREAD = 0x1E3779B1


class Walk:
    """What `choose` works on: places in a table of 64-bit numbers.

    Where things are: the bytes of the page (BYTES_OF_PAGE), the table of words (WORDS), for every first unit the number of units of an instruction
    (UNITS), the table of entries of the page (PAGE_ENTRIES), the records of code that goes on near and elsewhere (NEAR, GOTO_RECORD).
    Where it is: the offset AT, or -1 to take one of the WAITING ones; these; and a byte for every offset that has been SEEN.
    What it makes: COUNT pieces: their RECORDS, OFFSETS, and what is known of them (INFOS, as in an entry of the table of words; zero for code that
    goes on elsewhere); the distances of their branches (BRANCHES_OF); RETURNED offsets to which calls return (RETURN_OFFSETS).
    """

    BYTES_OF_PAGE, WORDS, UNITS, PAGE_ENTRIES, NEAR, GOTO_RECORD = range(0, 48, 8)
    AT, WAITING, WAITING_OFFSETS, SEEN = range(48, 80, 8)
    COUNT, RECORDS, OFFSETS, INFOS, BRANCHES_OF, RETURNED, RETURN_OFFSETS = range(80, 136, 8)
    BYTES = 136


class Words:
    """The table of words of one context, and of drafts: places in a table of 64-bit numbers.

    TABLE: entries {word (4 bytes), distance of its branch (4), record, flow, units, branches (8)}, MASK + 1 of them, COUNT used; DRAFTS: entries
    {key, address}, DRAFT_MASK + 1 of them, DRAFTED used. MASKS: bits that tell groups apart, MASKED of them as {bits, units of the words}.
    RECORDS: where the next record goes, and where their room ends. For the word in hand: PINNED different pinned registers are its operands, PINS
    {pinned register, host's number}, and VALUES of its operands.
    """

    TABLE, MASK, COUNT, DRAFTS, DRAFT_MASK, DRAFTED, MASKED, MASKS, RECORDS, PINNED = range(0, 80, 8)
    PINS = 80
    VALUES = PINS + 16 * MOST_REGISTERS
    BYTES = VALUES + 8 * (MOST_REGISTERS + MOST_IMMEDIATES)


class Group:
    """A group of words: its NUMBER, how many OPERANDS they have, registers before immediates, and from FIRST on for each {number where all its free
    bits are 0, address of a `Number`, address of a file of registers or 0}. A file: for every register {ZERO, MEMORY or the pinned register (2
    bytes), the host's number of that (2), place in the state (4)}."""

    NUMBER, OPERANDS, FIRST = range(0, 24, 8)
    SIZE = 24


class Number:
    """How an operand is found: the BITS of the word that count, what each adds (WEIGHTS, for all 32), and the class of every interval of values of an
    immediate (CLASSES, four bits for each)."""

    BITS, CLASSES, WEIGHTS = range(0, 24, 8)


class Draft:
    """A record but for its operands: SIZE in bytes, INFO as in the table of words without the address, the operand that is the distance of its
    TARGET (-1: none), pinned registers that can not be its operands (OTHERS); how many HOLES {operand, place, size, what to add}, places that count
    from the target (DISTANT) {place, what to add} and FIELDS with numbers of pinned registers {which, 1 where all is in one, place and bit of the
    highest bit, inverted, place and bit of the others: one byte each, places two} follow from FIRST on, behind which the record is."""

    SIZE, INFO, TARGET, OTHERS, HOLES, DISTANT, FIELDS, FIRST = range(0, 64, 8)
    HOLE_SIZE, DISTANT_SIZE, FIELD_SIZE = 32, 16, 16
    WHICH, WHOLE, HIGH, HIGH_BIT, INVERTED, LOW, LOW_BIT = 0, 1, 2, 4, 5, 6, 8


@compiled
def choose(walk: int) -> int:
    """Follow the code from AT, and after it that to which its branches lead in the page, taken or not: finding it costs less than another entry."""
    page = load64(walk + Walk.BYTES_OF_PAGE)
    seen = load64(walk + Walk.SEEN)
    entries = load64(walk + Walk.PAGE_ENTRIES)
    at = load64(walk + Walk.AT)
    if at < 0:
        at = next_waiting(walk)
    while at >= 0:
        if at >= _PAGE:
            add_piece(walk, load64(walk + Walk.GOTO_RECORD), at | _NEITHER, 0, 0)
            at = next_waiting(walk)
            continue
        if load8(seen + (at >> 1)) or load32(entries + 2 * at):
            add_piece(walk, load64(walk + Walk.NEAR), at | _NEITHER, 0, 0)
            at = next_waiting(walk)
            continue
        word = load16(page + at)
        units = load8(load64(walk + Walk.UNITS) + word)
        if units > 1:
            if at + 2 >= _PAGE:
                store64(walk + Walk.AT, at)
                return BEYOND
            word |= load16(page + at + 2) << 16
        known = find_word(load64(walk + Walk.WORDS), word)
        if not known:
            status = add_by_draft(load64(walk + Walk.WORDS), word, units)
            if status != DONE:
                store64(walk + Walk.AT, at)
                return status
            known = find_word(load64(walk + Walk.WORDS), word)
        at = follow(walk, at, known)
    return DONE


@compiled
def follow(walk: int, at: int, known: int) -> int:
    """Take the instruction at an offset, whose entry in the table of words is at `known`; the offset to go on at, or -1."""
    info = load64(known + 8)
    branch = load_signed32(known + 4)
    store8(load64(walk + Walk.SEEN) + (at >> 1), 1)
    add_piece(walk, info & _ADDRESS, at, info, branch)
    if info & BRANCHES and at + branch >= 0 and at + branch < _PAGE:
        waiting = load64(walk + Walk.WAITING)
        store32(load64(walk + Walk.WAITING_OFFSETS) + 4 * waiting, at + branch)
        store64(walk + Walk.WAITING, waiting + 1)
    flow = info >> FLOW_AT & 15
    behind = at + 2 * (info >> UNITS_AT & 15)
    if flow == RETURNS:
        returned = load64(walk + Walk.RETURNED)
        store32(load64(walk + Walk.RETURN_OFFSETS) + 4 * returned, behind)
        store64(walk + Walk.RETURNED, returned + 1)
    return behind if flow != ENDS else next_waiting(walk)


@compiled
def next_waiting(walk: int) -> int:
    """An offset that waits and has no code yet; -1 when there is none."""
    waiting = load64(walk + Walk.WAITING)
    while waiting > 0:
        waiting -= 1
        at = load32(load64(walk + Walk.WAITING_OFFSETS) + 4 * waiting)
        if not load8(load64(walk + Walk.SEEN) + (at >> 1)) and not load32(load64(walk + Walk.PAGE_ENTRIES) + 2 * at):
            store64(walk + Walk.WAITING, waiting)
            return at
    store64(walk + Walk.WAITING, 0)
    return -1


@compiled
def add_piece(walk: int, piece: int, offset: int, info: int, branch: int) -> None:
    """Append a piece."""
    count = load64(walk + Walk.COUNT)
    store64(load64(walk + Walk.RECORDS) + 8 * count, piece)
    store32(load64(walk + Walk.OFFSETS) + 4 * count, offset)
    store64(load64(walk + Walk.INFOS) + 8 * count, info)
    store32(load64(walk + Walk.BRANCHES_OF) + 4 * count, branch)
    store64(walk + Walk.COUNT, count + 1)


# --- the table of words -----------------------------------------------------------------------------------------------------------------
@compiled
def slot_of(table: int, mask: int, word: int) -> int:
    """The entry of a word, or the free one where it would be."""
    slot = word * _SPREAD >> 12 & mask
    while load64(table + 16 * slot + 8) and load32(table + 16 * slot) != word:
        slot = slot + 1 & mask
    return table + 16 * slot


@compiled
def find_word(words: int, word: int) -> int:
    """The address of a word's entry; 0 where it is not known."""
    entry = slot_of(load64(words + Words.TABLE), load64(words + Words.MASK), word)
    return entry if load64(entry + 8) else 0


@compiled
def put_word(words: int, word: int, branch: int, info: int) -> None:
    """Enter a word; there is room for it."""
    entry = slot_of(load64(words + Words.TABLE), load64(words + Words.MASK), word)
    store32(entry, word)
    store32(entry + 4, branch)
    store64(entry + 8, info)
    store64(words + Words.COUNT, load64(words + Words.COUNT) + 1)


@compiled
def move_words(words: int, old: int, size: int) -> None:
    """Enter the words of an old table of `size` entries."""
    for n in range(size):
        entry = old + 16 * n
        if load64(entry + 8):
            put_word(words, load32(entry), load_signed32(entry + 4), load64(entry + 8))


# --- drafts -----------------------------------------------------------------------------------------------------------------------------
@compiled
def draft_slot(words: int, key: int) -> int:
    """The entry of a key among drafts and groups, or the free one where it would be."""
    table = load64(words + Words.DRAFTS)
    mask = load64(words + Words.DRAFT_MASK)
    slot = ((key & 0xFFFFFFFF) + (key >> 32) * 133) * _SPREAD >> 14 & mask
    while load64(table + 16 * slot) and load64(table + 16 * slot) != key:
        slot = slot + 1 & mask
    return table + 16 * slot


@compiled
def put_draft(words: int, key: int, address: int) -> None:
    """Enter a draft or group; there is room for it."""
    entry = draft_slot(words, key)
    store64(entry, key)
    store64(entry + 8, address)
    store64(words + Words.DRAFTED, load64(words + Words.DRAFTED) + 1)


@compiled
def move_drafts(words: int, old: int, size: int) -> None:
    """Enter the drafts and groups of an old table of `size` entries."""
    for n in range(size):
        if load64(old + 16 * n):
            put_draft(words, load64(old + 16 * n), load64(old + 16 * n + 8))


@compiled
def group_key(bits: int, index: int) -> int:
    """The key of a group: the bits that its words share, and which of the masks leaves them."""
    return bits | index + 1 << 32


@compiled
def draft_key(group: int, classes: int) -> int:
    """The key of the draft of a group for operands of these classes."""
    return group | (1 << CLASS_BITS | classes) << 32


@compiled
def add_by_draft(words: int, word: int, units: int) -> int:
    """Enter a word of which there is a draft; DONE, UNKNOWN or FULL."""
    masks = load64(words + Words.MASKS)
    for index in range(load64(words + Words.MASKED)):
        if load64(masks + 16 * index + 8) == units:
            group = load64(draft_slot(words, group_key(word & load64(masks + 16 * index), index)) + 8)
            if group:
                return add_of_group(words, word, group)
    return UNKNOWN


@compiled
def add_of_group(words: int, word: int, group: int) -> int:
    """Enter a word of a group; DONE, UNKNOWN or FULL."""
    draft = load64(draft_slot(words, draft_key(load64(group + Group.NUMBER), find_operands(words, word, group))) + 8)
    if not draft:
        return UNKNOWN
    for n in range(load64(words + Words.PINNED)):
        if load64(draft + Draft.OTHERS) >> load64(words + Words.PINS + 16 * n) & 1:
            return UNKNOWN
    room = load64(words + Words.RECORDS)
    if load64(room) + load64(draft + Draft.SIZE) > load64(room + 8) or 4 * load64(words + Words.COUNT) >= 3 * load64(words + Words.MASK):
        return FULL
    target = load64(draft + Draft.TARGET)
    distance = load64(words + Words.VALUES + 8 * target) if target >= 0 else 0
    put_word(words, word, distance, load64(draft + Draft.INFO) | load64(room))
    write_record(words, draft, load64(room), distance)
    store64(room, load64(room) + load64(draft + Draft.SIZE))
    return DONE


@compiled
def find_operands(words: int, word: int, group: int) -> int:
    """Find the VALUES and PINS of a word, and the classes of its operands."""
    classes = 0
    shift = 0
    store64(words + Words.PINNED, 0)
    operand = group + Group.FIRST
    for n in range(load64(group + Group.OPERANDS)):
        number = load64(operand + 8)
        value = load64(operand) + weigh(number, word)
        registers = load64(operand + 16)
        if registers:
            classes |= register_class(words, registers + 8 * value) << shift
            value = load_signed32(registers + 8 * value + 4)
            shift += REGISTER_BITS
        else:
            classes |= (load64(number + Number.CLASSES) >> 4 * interval(value) & 15) << shift
            shift += 4
        store64(words + Words.VALUES + 8 * n, value)
        operand += Group.SIZE
    return classes


@compiled
def register_class(words: int, register: int) -> int:
    """The class of a register: the zero register, one in memory, or the first, second, ... of the PINS."""
    pin = load16(register)
    if pin >= MEMORY & 0xFFFF:
        return 0 if pin == ZERO & 0xFFFF else 1
    pinned = load64(words + Words.PINNED)
    for n in range(pinned):
        if load64(words + Words.PINS + 16 * n) == pin:
            return 2 + n
    store64(words + Words.PINS + 16 * pinned, pin)
    store64(words + Words.PINS + 16 * pinned + 8, load16(register + 2))
    store64(words + Words.PINNED, pinned + 1)
    return 2 + pinned


@compiled
def weigh(number: int, word: int) -> int:
    """What the free bits of a word add to an operand."""
    left = word & load64(number + Number.BITS)
    at = number + Number.WEIGHTS
    result = 0
    while left:
        if left & 1:
            result += load64(at)
        left = left >> 1
        at += 8
    return result


@compiled
def interval(value: int) -> int:
    """In which interval of `ratite.codegen.stencil.INTERVALS` a number lies."""
    if value <= 0:
        return 3 if value == 0 else 2 if value >= -112 else 1 if value >= -(1 << 31) + 16 else 0
    return 4 if value < 32 else 5 if value <= 111 else 6 if value < (1 << 31) - 16 else 7


@compiled
def write_record(words: int, draft: int, to: int, distance: int) -> None:
    """Write the record of a draft with its operands."""
    hole = draft + Draft.FIRST
    distant = hole + Draft.HOLE_SIZE * load64(draft + Draft.HOLES)
    field = distant + Draft.DISTANT_SIZE * load64(draft + Draft.DISTANT)
    text = field + Draft.FIELD_SIZE * load64(draft + Draft.FIELDS)
    copy(to, text, load64(draft + Draft.SIZE))
    while hole < distant:
        value = load64(words + Words.VALUES + 8 * load64(hole)) + load64(hole + 24)
        place = to + load64(hole + 8)
        size = load64(hole + 16)
        if size == 1:
            store8(place, value)
        elif size == 4:
            store32(place, value)
        else:
            store64(place, value)
        hole += Draft.HOLE_SIZE
    while distant < field:
        store64(to + load64(distant), load64(distant + 8) + distance)
        distant += Draft.DISTANT_SIZE
    while field < text:
        name_register(field, to, load64(words + Words.PINS + 16 * load8(field + Draft.WHICH) + 8))
        field += Draft.FIELD_SIZE


@compiled
def name_register(field: int, to: int, number: int) -> None:
    """Write the number of a register into one of the FIELDS of a draft whose record is at `to`: see `ratite.codegen.inspect_x86_64.rename`."""
    low = to + load16(field + Draft.LOW)
    high = to + load16(field + Draft.HIGH)
    shift = load8(field + Draft.LOW_BIT)
    bit = load8(field + Draft.HIGH_BIT)
    if load8(field + Draft.WHOLE):
        store8(low, load8(low) & ~0x78 | (~number & 15) << 3)
    else:
        store8(high, load8(high) & ~(1 << bit) | (number >> 3 ^ load8(field + Draft.INVERTED)) << bit)
        store8(low, load8(low) & ~(7 << shift) | (number & 7) << shift)


#: `choose`, what it calls, and what Python calls to enter what it has found.
FUNCTIONS = (
    choose, follow, next_waiting, add_piece, slot_of, find_word, put_word, move_words, draft_slot, put_draft, move_drafts, group_key, draft_key,
    add_by_draft, add_of_group, find_operands, register_class, weigh, interval, write_record, name_register,
)  # fmt: skip


def choosing_text() -> str:
    """`choose` and the rest as LLVM text."""
    from ratite.codegen.native import text_of

    return "".join(text_of(function) for function in FUNCTIONS)
