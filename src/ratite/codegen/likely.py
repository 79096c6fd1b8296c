"""Forms that a guest is likely to need soon, so that they can be compiled before it does.

Three things are looked at, in this order: the rest of the page in which something was missing; for each form that was asked for, the same instruction
with its registers and immediates held in the other usual ways; and, where nothing at all is known yet, what every program consists of: the
instructions of the base that the instruction set lists first. What is found in vain has cost time that nobody else wanted.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from ratite.codegen.forms import Form, FormInfo, Key, canonical, imm_class, of_either_sign, register_classes
from ratite.codegen.kinds import MEMORY, ZERO
from ratite.codegen.stencil import Job, analyse, block_of, texts
from ratite.ir import Block
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn

#: Classes of immediates that compilers use all the time, by kind.
_USUAL = {"branch": ("b", "f"), "shift": ("s", "S"), "pcrel": ("-",), "unused": ("-",), "wide": ("q",)}
_USUAL_NUMBERS = ("p8", "n8", "p", "n")
#: Classes which say so much about an instruction that its relatives have them too.
_PECULIAR = frozenset("0q")
#: Most relatives of a form.
_MOST = 64
#: Words of a page that are looked at between two looks at orders.
_STEP = 128


class Likely:
    """What is likely to be needed soon. known: what has been compiled, or will be."""

    def __init__(self, arch: Arch) -> None:
        self._arch = arch
        self.texts = texts(arch)
        self.known: set[Key] = set()
        self._classes = register_classes(arch.layout)
        self._pinned = {file for file, _ in arch.layout.pinned}
        self._blocks: dict[Form, tuple[Block, FormInfo]] = {}
        self._seen: set[tuple[int, int, int]] = set()  # {word, length, context}
        self._related: set[tuple[Form, tuple[bool, ...], tuple[str, ...]]] = set()
        self._pages: deque[Iterator[None]] = deque()
        self._near: list[deque[Key]] = []  # of each page; what was missing last is behind
        self._far: list[deque[Key]] = []  # relatives of each form, likewise
        self._base: deque[Key] = deque()

    def job(self, key: Key) -> Job:
        """What is to be done for a key. Raises KeyError where its instruction does not exist."""
        return Job(key, self.texts[key.form.name], self._look(key.form)[0])

    def _look(self, form: Form) -> tuple[Block, FormInfo]:
        found = self._blocks.get(form)
        if found is None:
            insn = self.texts[form.name]
            block = block_of(insn, self._arch, form)
            found = self._blocks[form] = block, analyse(block, insn)
        return found

    # --- what is known to be needed -------------------------------------------------------------------------------------------------
    def needed(self, key: Key) -> None:
        """A form was missing: so will be the same with other operands."""
        mark = key.form, tuple(cls == ZERO for cls in key.regs), tuple(c if c in _PECULIAR else "" for c in key.imms)
        if key.regs and not key.form.statics and mark not in self._related:
            self._related.add(mark)
            self._far.append(deque(itertools.islice(self._relatives(key), _MOST)))

    def page(self, data: bytes, offset: int, context: int) -> None:
        """Something was missing for code at an offset of a page, in a context: so it may be for what follows."""
        self._pages.append(self._walk(data, offset, context))

    def begin(self) -> None:
        """Nothing at all has been compiled."""
        self._base.extend(self._basic())

    def next(self, count: int) -> list[Job]:
        """Some forms to be compiled now."""
        found: list[Job] = []
        for key in self._keys():
            if key not in self.known:
                self.known.add(key)
                found.append(self.job(key))
                if len(found) == count:
                    break
        return found

    def _keys(self) -> Iterator[Key]:
        """What is queued, the most likely first."""
        for queues in self._near, self._far, [self._base]:
            while queues:
                while queues[-1]:
                    yield queues[-1].popleft()
                queues.pop()

    @property
    def looking(self) -> bool:
        """Whether there are pages to be looked at before `next` says the best."""
        return bool(self._pages)

    def look(self) -> None:
        """Look at some more words of a page."""
        if next(self._pages[-1], self) is self:  # it ends
            self._pages.pop()

    # --- pages ----------------------------------------------------------------------------------------------------------------------
    def _walk(self, data: bytes, at: int, context: int) -> Iterator[None]:
        """Note the forms of the code in a page, with pauses."""
        count = 0
        found = deque[Key]()
        self._near.append(found)
        while at + 2 <= len(data):
            length = 2 * self._arch.long[int.from_bytes(data[at : at + 2], "little")]
            word = int.from_bytes(data[at : at + length], "little")
            at += length
            if at > len(data) or (word, length, context) in self._seen:
                continue
            self._seen.add((word, length, context))
            key = self._key_of(word, length, context)
            if key is not None and key not in self.known:
                found.append(key)
            count += 1
            if count % _STEP == 0:
                yield

    def _key_of(self, word: int, length: int, context: int) -> Key | None:
        """What has to be compiled for an instruction word; None where nothing has to."""
        insn = self._arch.decoder.decode(word, length)
        if insn is None:
            return None
        static_of, regs_of, imms_of = insn.getters
        form = Form(insn.text.name, tuple([int(get(word)) for get in static_of]), context if insn.text.privileged else -1)
        info = self._look(form)[1]
        if info.interpreted:
            return None
        files = [self._classes[r.file] for r in insn.text.fmt.regs]
        regs = tuple([classes[get(word)] for get, classes in zip(regs_of, files, strict=True)])
        imms = [imm_class(kind, get(word)) for get, kind in zip(imms_of, info.imms, strict=True)]
        return _key(form, regs, [of_either_sign(kind, cls, regs) for kind, cls in zip(info.imms, imms, strict=True)])

    # --- relatives ------------------------------------------------------------------------------------------------------------------
    def _relatives(self, key: Key) -> Iterator[Key]:
        """The same form with its operands held in the other usual ways."""
        insn = self.texts[key.form.name]
        block, info = self._look(key.form)
        for regs in self._registers(insn, block, key.regs):
            kinds = [_classes(kind, cls, regs) for kind, cls in zip(info.imms, key.imms, strict=True)]
            for imms in itertools.product(*kinds):
                found = _key(key.form, regs, imms)
                if found is not None:
                    yield found

    def _registers(self, insn: Insn, block: Block, like: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Register classes of relatives. What reads several registers reads different ones, as a rule."""
        written = {v.attr[1] for v in block.code if v.op == "reg.set"}
        choices = []
        for r, cls in zip(insn.fmt.regs, like, strict=True):
            pinned = tuple(range(len(like))) if r.file in self._pinned else ()
            choices.append((ZERO,) if cls == ZERO else (MEMORY, *pinned))
        read = [n for n, r in enumerate(insn.fmt.regs) if r.name not in written]
        for regs in itertools.product(*choices):
            sources = [regs[n] for n in read if regs[n] >= 0]
            same = canonical(regs)
            if same is not None and same[1] == tuple(range(len(same[1]))) and len(set(sources)) == len(sources):
                yield regs

    def _basic(self) -> Iterator[Key]:
        """The instructions of which every program consists, with their operands held in the usual ways."""
        insns = self._arch.decoder.insns
        for insn in dict.fromkeys(insn.text for insn in insns if insn.extension == insns[0].extension):
            files = {r.file for r in insn.fmt.regs}
            if not files or not files <= self._pinned or insn.fmt.statics or insn.privileged:
                continue
            form = Form(insn.name, (), -1)
            _, info = self._look(form)
            if not info.interpreted:
                yield from self._relatives(Key(form, (MEMORY,) * len(insn.fmt.regs), ("",) * len(info.imms)))


def _classes(kind: str, like: str, regs: tuple[int, ...]) -> Iterable[str]:
    """Classes of an immediate of relatives, in a form with such registers."""
    usual: Sequence[str] = (like,) if like in _PECULIAR else _USUAL.get(kind, _USUAL_NUMBERS)
    return dict.fromkeys(of_either_sign(kind, cls, regs) for cls in usual)


def _key(form: Form, regs: tuple[int, ...], imms: Iterable[str]) -> Key | None:
    same = canonical(regs)
    return None if same is None else Key(form, same[0], tuple(imms))
