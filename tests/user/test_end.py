"""The end of a process, which nothing keeps from happening."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.user.fake import FakeVcpu, Stop, make_process


def no_program(vcpu: FakeVcpu) -> Iterator[Stop]:
    """Never asked."""
    raise AssertionError(vcpu)
    yield


def finish(self: Any) -> None:
    raise RuntimeError("the disk is full of dragons")


@pytest.mark.parametrize(("end", "status"), [(lambda p: p.leave(5), 5 << 8), (lambda p: p.main.signals._die(9), 9)], ids=["exit", "signal"])
def test_it_ends_whatever_becomes_of_its_translations(end: Callable[[Any], None], status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong while they are kept is said, and is neither another exit status nor a thread that never ends the process."""
    monkeypatch.setattr(FakeVcpu, "finish", finish)
    child = os.fork()
    if not child:
        try:
            end(make_process(no_program))
        finally:
            os._exit(99)
    assert os.waitpid(child, 0)[1] == status
