"""Machines with harts that only note what happens to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ratite.boards.machine import Machine
from ratite.hw.model import VirtualClock


class FakeHart:
    """A hart that records its inputs and runs nothing."""

    isa = "rv64imafdc_zicsr_zifencei"
    mmu_type = "riscv,sv48"
    cache_properties: Mapping[str, int] = {}

    def __init__(self, machine: Machine, index: int) -> None:
        self.index = index
        self.inputs: dict[str, bool] = {}
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def save(self) -> dict[str, Any]:
        return {"inputs": dict(self.inputs)}

    def load(self, state: dict[str, Any]) -> None:
        self.inputs = dict(state["inputs"])

    def software(self, level: bool) -> None:
        self.inputs["software"] = level

    def software_s(self, level: bool) -> None:
        self.inputs["software_s"] = level or self.inputs.get("software_s", False)

    def timer(self, level: bool) -> None:
        self.inputs["timer"] = level

    def external_m(self, level: bool) -> None:
        self.inputs["external_m"] = level

    def external_s(self, level: bool) -> None:
        self.inputs["external_s"] = level


Build = Callable[..., Machine]


@pytest.fixture
def build() -> Iterator[Build]:
    """Makes `virt` machines of riscv64 without firmware, unless the arguments say otherwise."""
    made: list[Machine] = []

    def make(board: str = "virt", **arguments: Any) -> Machine:
        options = {"firmware": "none", **arguments.pop("options", {})}
        arguments = {"arch": "riscv64", "ram_size": 64 << 20, "clock": VirtualClock(), **arguments}
        made.append(Machine(board, make_cpu=FakeHart, options=options, **arguments))
        return made[-1]

    yield make
    for machine in made:
        machine.close()
