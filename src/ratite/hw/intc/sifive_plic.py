"""The RISC-V platform-level interrupt controller."""

from __future__ import annotations

from functools import partial

from ratite.errors import UsageError
from ratite.hw.model import STR, UINT32, Device, Outputs, Property, Register, Sink

SOURCE_LIMIT, CONTEXT_LIMIT = 1024, 15872    # the specification's


class SiFivePlic(Device, name="riscv.sifive.plic", size=0x60_0000, access=(4, 4)):
    """PLIC (RISC-V Platform-Level Interrupt Controller Specification 1.0.0).

    All sources are level-triggered: a source whose line is high becomes pending, stays so until a context claims it,
    and can become pending again only after its completion. Priority 0 means never. Source 0 does not exist.
    """

    hart_config = Property(STR, "MS", "contexts: for each hart the modes that take interrupts, as in MS,MS")
    num_sources = Property(UINT32, 96, "number of sources, the missing source 0 counted")
    num_priorities = Property(UINT32, 7, "highest priority")
    irqs = Outputs("external interrupt of each context, in the order of hart-config", "contexts")
    state = ("pending_set", "claimed_set", "levels")

    class priority(Register, offset=0x4, count="last_source", stride=4):
        def on_write(self, dev: SiFivePlic) -> None:
            self.value &= dev.priority_mask
            dev.priorities[self.index + 1] = self.value
            dev.update()

    class pending(Register, offset=0x1000, count="words", stride=4, mode="ro"):
        def on_read(self, dev: SiFivePlic) -> None:
            self.value = dev.pending_set >> 32 * self.index & 0xFFFF_FFFF

    class enable(Register, offset=0x2000, count=("contexts", "words"), stride=(0x80, 4)):
        def on_write(self, dev: SiFivePlic) -> None:
            context, word = divmod(self.index, dev.words)
            self.value &= dev.sources >> 32 * word
            dev.gather_enables(context)
            dev.update_context(context)

    class threshold(Register, offset=0x20_0000, count="contexts", stride=0x1000):
        def on_write(self, dev: SiFivePlic) -> None:
            self.value &= dev.priority_mask
            dev.thresholds[self.index] = self.value
            dev.update_context(self.index)

    class claim(Register, offset=0x20_0004, count="contexts", stride=0x1000):
        """A read claims the most urgent source, a write completes one."""

        def on_read(self, dev: SiFivePlic) -> None:
            self.value = dev.claim_best(self.index)

        def on_write(self, dev: SiFivePlic) -> None:
            self.value = 0
            dev.complete(self.index, self.written)

    def setup(self) -> None:
        self.modes = [mode for hart in self.hart_config.split(",") for mode in hart]
        self.contexts = len(self.modes)
        if not 0 < self.contexts <= CONTEXT_LIMIT or set(self.modes) - set("MSU"):
            raise UsageError(f"{self.name}: property 'hart-config': '{self.hart_config}' is not a list such as MS,MS")
        if not 2 <= self.num_sources <= SOURCE_LIMIT:
            raise UsageError(f"{self.name}: property 'num-sources': {self.num_sources} is not within 2 to 1024")
        self.last_source = self.num_sources - 1
        self.words = (self.num_sources + 31) // 32
        self.sources = (1 << self.num_sources) - 2
        self.priority_mask = (1 << self.num_priorities.bit_length()) - 1
        self.pending_set = self.claimed_set = self.levels = 0    # sets of sources as bits
        self._clear_copies()

    def _clear_copies(self) -> None:
        """What the registers say, in the form that the path of an interrupt wants."""
        self.priorities = [0] * self.num_sources
        self.thresholds = [0] * self.contexts
        self._enabled = [0] * self.contexts

    def reset(self) -> None:
        super().reset()
        self._clear_copies()
        self.claimed_set, self.pending_set = 0, self.levels
        self.update()

    def loaded(self) -> None:
        self.priorities = [0, *(register.value for register in self.priority)]
        self.thresholds = [register.value for register in self.threshold]
        for context in range(self.contexts):
            self.gather_enables(context)

    def input(self, source: int) -> Sink:
        """The input for this source, to connect a device's line to. Raises ValueError outside 1..num_sources-1."""
        if not 0 < source < self.num_sources:
            raise ValueError(f"{self.name} has no source {source}")
        return partial(self._set_level, 1 << source)

    def context(self, hart: int, mode: str) -> int:
        """The number of a hart's context for mode `M` or `S`. Raises ValueError when there is none."""
        harts = self.hart_config.split(",")
        return sum(len(modes) for modes in harts[:hart]) + harts[hart].index(mode)

    def _set_level(self, bit: int, level: bool) -> None:
        if not level:
            self.levels &= ~bit
        elif not self.levels & bit:
            self.levels |= bit
            if not self.claimed_set & bit:
                self._make_pending(bit)

    def _make_pending(self, bit: int) -> None:
        self.pending_set |= bit
        priority = self.priorities[bit.bit_length() - 1]
        for context, enabled in enumerate(self._enabled):
            if enabled & bit and priority > self.thresholds[context]:
                self.irqs[context].set(True)

    # --- claim and completion

    def claim_best(self, context: int) -> int:
        """Take the pending source with the highest priority, the lowest number among equals; 0 when there is none."""
        best = best_priority = 0
        candidates = self.pending_set & self._enabled[context]
        while candidates:
            bit = candidates & -candidates
            candidates ^= bit
            priority = self.priorities[bit.bit_length() - 1]
            if priority > best_priority:
                best, best_priority = bit, priority
        if not best:
            return 0
        self.pending_set &= ~best
        self.claimed_set |= best
        for other, enabled in enumerate(self._enabled):
            if enabled & best and self.irqs[other].level:
                self.update_context(other)
        return best.bit_length() - 1

    def complete(self, context: int, source: int) -> None:
        """The handler is done; the source may become pending again. Ignored unless the context has it enabled."""
        bit = 1 << source if source < self.num_sources else 0
        if not bit & self.claimed_set & self._enabled[context]:
            self.guest_error(f"completion of source {source}, which context {context} has not claimed")
            return
        self.claimed_set &= ~bit
        if self.levels & bit:
            self._make_pending(bit)

    # --- outputs

    def gather_enables(self, context: int) -> None:
        """Join a context's enable registers to one set of sources."""
        first = context * self.words
        self._enabled[context] = sum(self.enable[first + word].value << 32 * word for word in range(self.words))

    def update(self) -> None:
        """Drive all outputs."""
        for context in range(self.contexts):
            self.update_context(context)

    def update_context(self, context: int) -> None:
        """Drive one output: high while a source above the threshold is pending."""
        candidates = self.pending_set & self._enabled[context]
        self.irqs[context].set(bool(candidates) and self._exceeds(candidates, self.thresholds[context]))

    def _exceeds(self, candidates: int, threshold: int) -> bool:
        while candidates:
            bit = candidates & -candidates
            if self.priorities[bit.bit_length() - 1] > threshold:
                return True
            candidates ^= bit
        return False
