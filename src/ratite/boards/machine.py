"""A machine: what a board has put together, and how it starts, resets and ends.

A board function records into a Machine and reads like the memory map in a manual:

    @board("virt", arch=("riscv64",), summary="...")
    def virt(m: Machine) -> None:
        plic = m.add("plic", SiFivePlic(hart_config="MS"), at=0x0C00_0000)
        m.add("uart0", Ns16550(chardev=m.serial(0)), at=0x1000_0000, irq=plic.input(10))

The Machine knows no CPU: it makes them through the function that it is given, resets them with the rest, and leaves
running them to whoever made it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from ratite.boards.registry import Board, MachineOptions, find_board
from ratite.errors import DefinitionError, ImageError, UsageError, unknown
from ratite.hw.model import BlockBackend, Bus, CharBackend, Clock, Device, Links, RealClock, Sink
from ratite.hw.model.properties import GlobalDefaults, global_defaults
from ratite.memory import AddressSpace, RamBlock

D = TypeVar("D", bound=Device)
NO_DEFAULTS: GlobalDefaults = MappingProxyType({})


class Cpu(Protocol):
    """What every CPU offers to a machine."""

    def reset(self) -> None:
        """Take the state after power-on."""

    def save(self) -> dict[str, Any]:
        """The whole state, as a device's."""

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""


class Machine:
    """One machine, built but not running.

    `arch` and `board` name what to build; `options` are the board's (`-M NAME,option=value`), by their names;
    `make_cpu(machine, index)` makes a CPU; `serial` and `flash` are back ends in order, None where nothing is
    connected; `fw_cfg` is a list of further firmware files as (name, content); `firmware_folders` are looked through
    before the usual ones; `defaults` are property defaults by device type (`-global`). `random` gives random bytes. Raises
    UsageError or ImageError for what the user got wrong.
    """

    def __init__(
        self, board: str, *, arch: str, make_cpu: Callable[[Machine, int], Any], cpus: int = 1, ram_size: int = 0,
        options: Mapping[str, object] | None = None, serial: Sequence[CharBackend | None] = (),
        flash: Sequence[BlockBackend | None] = (), fw_cfg: Sequence[tuple[str, bytes]] = (),
        firmware_folders: Sequence[str] = (), defaults: GlobalDefaults = NO_DEFAULTS, lock: Any = None,
        clock: Clock | None = None, random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.board: Board = find_board(arch, board)
        self.arch = arch
        self.options: MachineOptions = self.board.options.from_options(options or {})
        self.ram_size = ram_size or self.board.ram_size
        self.cpu_count = cpus
        if not 0 < cpus <= self.board.max_cpus:
            raise UsageError(f"machine '{board}' runs 1 to {self.board.max_cpus} CPUs, not {cpus}")
        self.lock = lock or threading.RLock()
        self.clock = clock or RealClock(self.lock)
        self.random = random
        self.memory = AddressSpace()
        self.cpus: list[Any] = []
        self.devices: dict[str, Device] = {}
        """Devices by QOM path, in the order in which they were added."""
        self.ram_blocks: dict[str, RamBlock] = {}
        """All memory that a guest sees, that of flash chips too: what a snapshot holds besides `save()`."""
        self.fw_cfg_files = tuple(fw_cfg)
        self.firmware_folders = tuple(firmware_folders)
        self.boot: Any = None
        """How the machine starts; each family of boards has its own type (`boards.riscv.boot.BootPlan`)."""
        self.shutdown_status: int | None = None
        """Exit status, once somebody has asked for the machine to power off."""
        self.reset_requested = False
        self.on_request: Callable[[], None] = lambda: None
        """Called, in any thread, when one of the two above has changed: whoever runs the CPUs then looks."""
        self._defaults = defaults
        self._make_cpu, self._serial, self._flash = make_cpu, tuple(serial), tuple(flash)
        self._loaders: list[Callable[[], None]] = []
        try:
            with global_defaults(defaults):
                self.board.build(self)
            self.reset()
        except BaseException:
            self.close()
            raise

    # --- for boards

    def add_cpu(self) -> Any:
        """Make the next CPU."""
        self.cpus.append(self._make_cpu(self, len(self.cpus)))
        return self.cpus[-1]

    def ram(self, name: str, *, at: int, size: int, readonly: bool = False) -> RamBlock:
        """Put memory at an address."""
        block = RamBlock(name, size)
        self._keep(block)
        self.memory.add_ram(at, block, readonly=readonly)
        return block

    def add(
        self, name: str, device: D, *, at: int | None = None, irq: Sink | None = None, on: Bus | None = None,
    ) -> D:
        """Put a device at an address or on a bus, and connect its output `irq`."""
        device.id = name
        if on is not None:
            on.check(device)
            device.parent_bus = on
        self._register(f"/machine/{name}", device)
        if at is not None:
            device.map_into(self.memory, at)
        if irq is not None:
            device.irq.connect(irq)    # type: ignore[attr-defined]
        device.realize(self)
        if on is not None:
            on.plug(device)
        return device

    def unmodelled(self, name: str, *, at: int, size: int) -> None:
        """Put a place-holder where the board has hardware that Ratite does not model."""
        from ratite.hw.misc.unimplemented import Unimplemented

        self.add(name, Unimplemented(label=name, size_=size), at=at)

    def serial(self, number: int) -> CharBackend | None:
        """The back end of a serial port."""
        return self._serial[number] if number < len(self._serial) else None

    def flash(self, number: int) -> BlockBackend | None:
        """The content of a flash chip."""
        return self._flash[number] if number < len(self._flash) else None

    def on_reset(self, load: Callable[[], None]) -> None:
        """Call `load` at each reset, the first included, after the devices and before the CPUs: it fills memory."""
        self._loaders.append(load)

    # --- for whoever runs the machine

    def plug(self, driver: str, options: Mapping[str, object], *, links: Links | None = None) -> Device:
        """Add a device as `-device driver,options...` does; `id` and `bus` are taken from the options.

        `links` are the objects that properties such as `drive=` or `chardev=` refer to. Raises UsageError.
        """
        from ratite.hw.model import find_device

        own = {name: value for name, value in options.items() if name not in ("id", "bus")}
        kind = find_device(driver)
        bus = self._choose_bus(kind, str(options.get("bus", "")))
        with global_defaults(self._defaults):
            device: Device = kind.from_options(own, links or {})
        device.id = str(options.get("id", ""))
        bus.check(device)
        device.parent_bus = bus
        self._register(self._user_path(device.id), device)
        try:
            device.realize(self)
        except BaseException:
            self._forget(device)
            raise
        bus.plug(device)
        return device

    def reset(self) -> None:
        """Bring everything into the state after power-on. Raises ImageError when a kernel file has gone meanwhile."""
        with self.lock:
            self.reset_requested = False
            for device in self.devices.values():
                device.reset()
            for load in self._loaders:
                load()
            for cpu in self.cpus:
                cpu.reset()

    def request_shutdown(self, status: int = 0) -> None:
        """Ask for the machine to power off; the first asker's status counts."""
        if self.shutdown_status is None:
            self.shutdown_status = status
        self.on_request()

    def request_reset(self) -> None:
        """Ask for a reset."""
        self.reset_requested = True
        self.on_request()

    def close(self) -> None:
        """Give memory and threads back."""
        self.clock.close()
        for block in self.ram_blocks.values():
            block.close()

    def device(self, name: str) -> Device:
        """A device by its name or path. Raises UsageError."""
        found = self.devices.get(name) or next((one for one in self.devices.values() if one.id == name), None)
        if found is None:
            raise unknown("device", name, (one.id or path for path, one in self.devices.items()))
        return found

    def buses(self) -> Iterator[Bus]:
        """All buses that devices can be plugged into; the newest first, which is the order in which those fill that are
        equally far from the board.
        """
        for device in reversed(self.devices.values()):
            yield from device.buses

    # --- what the machine is

    def mtree(self) -> str:
        """The memory map as the monitor's `info mtree` shows it."""
        return self.memory.mtree()

    def qom_tree(self) -> str:
        """All devices as the monitor's `info qom-tree` shows them."""
        lines = [f"/machine ({self.board.name}-machine)"]
        lines += [f"  {path.removeprefix('/machine')} ({device.name})" for path, device in sorted(self.devices.items())]
        return "\n".join(lines) + "\n"

    def page(self) -> str:
        """A page of documentation: the memory map, in Markdown."""
        lines = [f"# {self.board.name}", "", self.board.summary, "", "| address | size | what |", "|---|---|---|"]
        for region in self.memory.regions():
            what = f"{region.name} (`{region.device.name}`)" if isinstance(region.device, Device) else region.name
            lines.append(f"| {region.base:#x} | {region.size:#x} | {what} |")
        return "\n".join(lines) + "\n"

    # --- saved state

    def save(self) -> dict[str, Any]:
        """The state of everything but the content of memory (`ram_blocks`)."""
        with self.lock:
            return {
                "board": self.board.name, "arch": self.arch, "clock": self.clock.save(),
                "devices": {path: device.save() for path, device in self.devices.items()},
                "cpus": [cpu.save() for cpu in self.cpus],
            }

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved state; memory has been filled before. Raises ImageError when it is not of this machine."""
        with self.lock:
            try:
                self._load(state)
            except (KeyError, TypeError, ValueError) as error:
                raise ImageError(f"the saved state does not fit the machine '{self.board.name}': {error!r}") from None

    def _load(self, state: dict[str, Any]) -> None:
        if (state["board"], state["arch"], set(state["devices"])) != (self.board.name, self.arch, set(self.devices)):
            raise ImageError(f"the saved state is not of this machine, '{self.board.name}' with its devices")
        self.clock.load(state["clock"])
        for path, device in self.devices.items():
            device.load(state["devices"][path])
        for cpu, saved in zip(self.cpus, state["cpus"], strict=True):
            cpu.load(saved)
        for device in self.devices.values():
            for line in device.lines():
                line.announce()

    # --- inside

    def _register(self, path: str, device: Device) -> None:
        if path in self.devices:
            raise DefinitionError(f"there are two devices at {path}")
        device.path = path
        for bus in device.buses:
            bus.name += f".{sum(other.name.rpartition('.')[0] == bus.name for other in self.buses())}"
        self.devices[path] = device
        for block in device.memories:
            self._keep(block)

    def _forget(self, device: Device) -> None:
        del self.devices[device.path]
        for block in device.memories:
            del self.ram_blocks[block.name]

    def _keep(self, block: RamBlock) -> None:
        if block.name in self.ram_blocks:
            raise DefinitionError(f"there are two blocks of memory called {block.name}")
        self.ram_blocks[block.name] = block

    def _user_path(self, name: str) -> str:
        if not name:
            count = sum(path.startswith("/machine/peripheral-anon/") for path in self.devices)
            return f"/machine/peripheral-anon/device[{count}]"
        path = f"/machine/peripheral/{name}"
        if path in self.devices or "/" in name:
            raise UsageError(f"a device cannot have the id '{name}': it is taken, or no name")
        return path

    def _choose_bus(self, kind: type[Device], name: str) -> Bus:
        buses = list(self.buses())
        if name:
            found = next((bus for bus in buses if bus.name == name), None)
            if found is None:
                raise unknown("bus", name, (bus.name for bus in buses))
            return found
        fitting = [bus for bus in buses if bus.kind == kind.bus]
        if not fitting:
            raise UsageError(f"device '{kind.name}' needs a {kind.bus} bus, which this machine does not have")
        free = min((bus for bus in fitting if not bus.full), key=lambda bus: bus.depth, default=None)
        if free is None:
            raise UsageError(f"there is no free {kind.bus} bus for device '{kind.name}'")
        return free
