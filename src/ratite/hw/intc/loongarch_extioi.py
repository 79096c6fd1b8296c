"""The extended I/O interrupt controller of Loongson processors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ratite.errors import UsageError
from ratite.hw.model import UINT32, Device, Outputs, Property, Register, Sink

VECTORS, PINS = 256, 8
#: Cores of a node, and nodes of a machine.
CORE_LIMIT, NODE_LIMIT = 4, 4

#: Pending vectors of core n as it sees them are at CORE_STATUS + n * CORE_BLOCK.
CORE_STATUS, CORE_BLOCK, CORE_STATUS_SIZE = 0x400, 0x100, 0x20

#: The register that makes a vector pending, in IOCSR away from the others.
TRIGGER, TRIGGER_SIZE = 0x900, 4

_WORDS = VECTORS // 32
_WORD = 0xFFFF_FFFF


class LoongArchExtioi(Device, name="loongarch.extioi", size=TRIGGER + TRIGGER_SIZE):
    """EXTIOI (Loongson 3A5000/3B5000 processor reference manual, v1.03, chapter 11.2): 256 vectors, each routed to a
    core, and in groups of 32 to one of the first four interrupt pins of that core.

    A vector becomes pending when its input rises, as with the messages that devices send, and stays so until a core
    writes its bit. Each node of four cores has a controller of its own; a vector that is routed to another node becomes
    pending in that one's, which the board puts into `nodes`. Not modelled: rotating delivery (`bounce`, and routes to
    several cores or nodes, which go to the lowest), and pins as numbers (bit 49 of IOCSR 0x420), whose feature bit reads zero.
    """

    num_cpu = Property(UINT32, 1, "number of cores of this node")
    node = Property(UINT32, 0, "number of this node")
    irqs = Outputs("pins of each core, eight of the first core first", "pin_count")
    state = ("pending",)

    class node_map(Register, offset=0xA0, count=8, stride=4):
        """Two entries of 16 bits: nodes, a bit each, by the numbers that routes have; none is this one."""

        def on_write(self, dev: LoongArchExtioi) -> None:
            dev.rebuild()

    class pin_map(Register, offset=0xC0, count=2, stride=4):
        """For each group of 32 vectors a byte: the pin, as a bit."""

        def on_write(self, dev: LoongArchExtioi) -> None:
            dev.rebuild()

    class enable(Register, offset=0x200, count=_WORDS, stride=4):
        def on_write(self, dev: LoongArchExtioi) -> None:
            dev.rebuild()

    class bounce(Register, offset=0x280, count=_WORDS, stride=4):
        """Rotating delivery."""

    class status(Register, offset=0x300, count=_WORDS, stride=4, live=True):
        """All pending vectors; ones that are written are cleared."""

        def on_read(self, dev: LoongArchExtioi) -> None:
            self.value = dev.pending >> 32 * self.index & _WORD

        def on_write(self, dev: LoongArchExtioi) -> None:
            dev.acknowledge(self.written << 32 * self.index)

    class core_status(Register, offset=CORE_STATUS, count=("num_cpu", _WORDS), stride=(CORE_BLOCK, 4), live=True):
        """Pending vectors that are enabled and routed to a core; ones that are written are cleared."""

        def on_read(self, dev: LoongArchExtioi) -> None:
            core, word = divmod(self.index, _WORDS)
            self.value = dev.pending_at(core) >> 32 * word & _WORD

        def on_write(self, dev: LoongArchExtioi) -> None:
            core, word = divmod(self.index, _WORDS)
            dev.acknowledge(dev.routes[core] & self.written << 32 * word)

    class route(Register, offset=0x800, width=1, count=VECTORS, stride=1):
        """3:0 core of the node, a bit each; 7:4 which entry of the node map."""

        def on_write(self, dev: LoongArchExtioi) -> None:
            dev.rebuild()

    class trigger(Register, offset=TRIGGER, mode="wo"):
        """Make the vector in the low byte pending."""

        def on_write(self, dev: LoongArchExtioi) -> None:
            dev.post(self.written & 0xFF)

    def setup(self) -> None:
        if not 0 < self.num_cpu <= CORE_LIMIT:
            raise UsageError(f"{self.name}: property 'num-cpu': {self.num_cpu} is not within 1 to {CORE_LIMIT}")
        self.pin_count = PINS * self.num_cpu
        self.pending = 0
        if self.node >= NODE_LIMIT:
            raise UsageError(f"{self.name}: property 'node': {self.node} is not within 0 to {NODE_LIMIT - 1}")
        self.nodes: Sequence[LoongArchExtioi] = (self,)
        self.routes = [0] * self.num_cpu    # vectors of each core, as bits
        self._elsewhere: dict[int, int] = {}    # node of each vector that goes to another one
        self._enabled = 0
        self._groups: list[tuple[int, int]] = []    # pin and vectors

    def reset(self) -> None:
        super().reset()
        self.pending = 0
        self.rebuild()

    def loaded(self) -> None:
        self.rebuild()

    def input(self, vector: int) -> Sink:
        """The input for a vector. Raises ValueError outside 0 to 255."""
        if not 0 <= vector < VECTORS:
            raise ValueError(f"{self.name} has no vector {vector}")
        return partial(self._set_level, vector)

    def post(self, vector: int) -> None:
        """A message with this vector has come."""
        there = self._elsewhere.get(vector, self.node)
        if there != self.node and there < len(self.nodes):
            self.nodes[there].receive(vector)
        else:
            self.receive(vector)

    def receive(self, vector: int) -> None:
        """A message for this node has come."""
        self.pending |= 1 << vector
        self.update()

    def acknowledge(self, vectors: int) -> None:
        """Forget pending vectors."""
        self.pending &= ~vectors
        self.update()

    def pending_at(self, core: int) -> int:
        """Vectors that a core is to see."""
        return self.pending & self._enabled & self.routes[core]

    def _set_level(self, vector: int, level: bool) -> None:
        if level:
            self.post(vector)

    def rebuild(self) -> None:
        """Follow registers that say where vectors go."""
        self._enabled = sum(register.value << 32 * n for n, register in enumerate(self.enable))
        self.routes = [0] * self.num_cpu
        self._elsewhere = {}
        nodes = [entry.value >> half & 0xFFFF for entry in self.node_map for half in (0, 16)]
        for vector, register in enumerate(self.route):
            core = _lowest(register.value & 0xF)
            self.routes[core if core < self.num_cpu else 0] |= 1 << vector
            chosen = nodes[register.value >> 4]
            if chosen:
                self._elsewhere[vector] = _lowest(chosen)
        self._groups = []
        for group in range(_WORDS):
            pin = _lowest(self.pin_map[group // 4].value >> 8 * (group % 4) & 0xF)
            self._groups.append((pin, _WORD << 32 * group))
        self.update()

    def update(self) -> None:
        """Drive all pins."""
        for core in range(self.num_cpu):
            mine, pins = self.pending_at(core), 0
            if mine:
                for pin, vectors in self._groups:
                    if mine & vectors:
                        pins |= 1 << pin
            for pin in range(PINS):
                self.irqs[PINS * core + pin].set(bool(pins >> pin & 1))


def _lowest(bits: int) -> int:
    """Number of the lowest bit that is set, 0 when none is."""
    return max((bits & -bits).bit_length() - 1, 0)
