"""The place-holder for hardware that is not modelled."""

from __future__ import annotations

import io

from ratite import log
from ratite.hw.misc.unimplemented import Unimplemented
from ratite.testing import DeviceBench


def test_reads_zero_and_logs() -> None:
    """The log names the hardware, the access and the place."""
    bench = DeviceBench(lambda: Unimplemented(label="qspi0", size_=0x100))
    stream = io.StringIO()
    log.configure(["unimp"])
    log.send_to(stream)
    try:
        assert bench.read(0x10, 2) == 0
        bench.write(0x20, 0xAB, 1)
    finally:
        log.configure([])
    assert stream.getvalue() == ("qspi0: read of 2 bytes at offset 0x10\n"
                                 "qspi0: write of 0xab (1 bytes) at offset 0x20\n")
    assert bench.device.size == 0x100
