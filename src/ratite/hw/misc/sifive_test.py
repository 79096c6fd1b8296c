"""The SiFive test finisher: the way out of a RISC-V machine."""

from __future__ import annotations

from ratite.hw.model import WO, Device, Register

FAIL, PASS, RESET = 0x3333, 0x5555, 0x7777


class SiFiveTest(Device, name="riscv.sifive.test", size=0x1000):
    """Test finisher (SiFive E31 coreplex "Test Finisher"; device tree binding `sifive,test0`).

    PASS powers the machine off with status 0, FAIL with the status in the upper half, RESET resets it.
    """

    class finisher(Register, offset=0):
        status, code = WO(15, 0), WO(31, 16)

        def on_write(self, dev: SiFiveTest) -> None:
            dev.finish(self.status, self.code)

    def finish(self, status: int, code: int) -> None:
        """Do what the guest's word says."""
        if status == PASS:
            self.platform.request_shutdown(0)
        elif status == FAIL:
            self.platform.request_shutdown(code & 0xFF)
        elif status == RESET:
            self.platform.request_reset()
        else:
            self.guest_error(f"{status:#x} is no way to finish")
