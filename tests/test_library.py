"""Machines as Python objects (`ratite.library`), with the monitor that ships with Ratite as the guest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ratite import Machine, guests
from ratite.errors import HostError, MemoryAccessError, UsageError

MONITOR = ("-m", "64", "-bios", "none", "-kernel", str(guests.monitor("riscv64")))
RAM = 0x8000_0000
PROMPT = "ratite> "


def test_a_conversation() -> None:
    """The example of the documentation: start a guest, ask it something, read its memory, take its exit status."""
    with Machine("virt", *MONITOR) as machine:
        machine.console.wait_for(PROMPT)
        assert "64 MiB at 0x80000000" in machine.console.ask("info", until=PROMPT)
        machine.write(RAM + 0x100_0000, b"from outside")
        assert "66 72 6f 6d 20 6f 75 74" in machine.console.ask("mem 0x81000000 16", until=PROMPT)
        assert machine.read(RAM + 0x100_0000, 4) == b"from"
        with pytest.raises(MemoryAccessError):
            machine.read(0, 4)
        assert not machine.ended
        machine.console.send("poweroff 5")
        assert machine.wait(60) == 5
        assert machine.ended


def test_statistics() -> None:
    """What is counted grows as the guest works: a device access is an exit, new code one to the translator."""
    with Machine("virt", *MONITOR) as machine:
        machine.console.wait_for(PROMPT)
        first = machine.statistics()
        machine.console.ask("mem 0x80000000 64", until=PROMPT)
        second = machine.statistics()
    assert 0 < first.engine["units"] <= second.engine["units"]
    assert 0 < first.engine["code-bytes"] <= second.engine["code-bytes-peak"] <= second.engine["code-size"]
    assert second.engine["translation-time"] > 0 < second.engine["memory"] <= second.engine["memory-peak"]
    assert first.exits()["device"] < second.exits()["device"]
    assert second.exits()["translate"] > 0
    assert len(second.vcpus) == 1
    assert second.vcpus[0]["exits"] == sum(second.exits().values())


def test_waits_have_an_end() -> None:
    """What the guest does not say ends in TimeoutError, and in EOFError once the machine is gone; so does waiting for its end."""
    with Machine("virt", *MONITOR) as machine:
        machine.console.wait_for(PROMPT)
        with pytest.raises(TimeoutError, match=r"did not print 'unheard of' within 0\.01 s"):
            machine.console.wait_for("unheard of", timeout=0.01)
        with pytest.raises(TimeoutError, match="still runs"):
            machine.wait(0.01)
        machine.console.send("poweroff")
        assert machine.wait(60) == 0
        with pytest.raises(EOFError, match="ended before it printed 'unheard of'"):
            machine.console.wait_for("unheard of")


def test_machines_give_everything_back() -> None:
    """More machines, one after the other, than there is room for code memory at a time; two of them at once."""
    for _ in range(4):
        with Machine("virt", *MONITOR) as one, Machine("virt", *MONITOR) as other:
            one.console.wait_for(PROMPT)
            other.console.wait_for(PROMPT)


def test_the_smallest_loop_can_be_interrupted(tmp_path: Path) -> None:
    """A guest that does nothing but jump to itself takes interrupts, so the machine can be ended. (In a process, which a test can kill.)"""
    kernel = tmp_path / "loop.bin"
    kernel.write_bytes(bytes.fromhex("6f000000"))    # j .
    code = """if True:
        import sys
        from ratite import Machine
        with Machine("virt", "-bios", "none", "-kernel", sys.argv[1]) as machine:
            while machine.read(0x80000000, 4) != bytes.fromhex("6f000000"):
                pass
            try:
                machine.wait(0.2)
            except TimeoutError:
                pass
    """
    subprocess.run([sys.executable, "-c", code, str(kernel)], timeout=60, check=True)


def test_mistakes() -> None:
    """Each is one line that says what is wrong."""
    with pytest.raises(UsageError, match="did you mean 'virt'"):
        Machine("vrit")
    with pytest.raises(UsageError, match="option '-kernle' is not known"):
        Machine("virt", "-kernle", "x")
    with pytest.raises(UsageError, match="not 'version'"):
        Machine("virt", "-version")
    machine = Machine("virt", *MONITOR, "-serial", "null")
    with pytest.raises(UsageError, match="-serial"):
        machine.console    # noqa: B018 (a property that raises)
    machine.close()
    machine.close()
    for use in (machine.start, machine.wait, lambda: machine.read(RAM, 4)):
        with pytest.raises(HostError, match="closed"):
            use()


def test_the_name_costs_nothing_until_it_is_used() -> None:
    """`import ratite` imports no other module of it; a wrong name is an AttributeError that tells the right ones."""
    code = "import sys, ratite; print(*(name for name in sys.modules if name.startswith('ratite.')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
    import ratite

    with pytest.raises(AttributeError, match="Console, Machine"):
        ratite.Machin    # noqa: B018
