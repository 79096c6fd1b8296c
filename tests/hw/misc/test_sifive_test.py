"""The finisher: what each word asks of the machine."""

from __future__ import annotations

import pytest

from ratite.hw.misc.sifive_test import SiFiveTest
from ratite.testing import DeviceBench


@pytest.mark.parametrize(("word", "shutdowns", "resets"), [
    (0x5555, [0], 0), (0x0001_3333, [1], 0), (0x002A_3333, [42], 0), (0x7777, [], 1), (0x1234, [], 0), (0, [], 0),
])
def test_each_word(word: int, shutdowns: list[int], resets: int) -> None:
    """PASS, FAIL with a status, RESET, and what is none of them."""
    bench = DeviceBench(SiFiveTest)
    bench.write(0, word)
    assert (bench.shutdowns, bench.resets) == (shutdowns, resets)
    assert bench.read(0) == 0
