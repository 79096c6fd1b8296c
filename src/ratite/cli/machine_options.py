"""The command line of the system emulators: what each option means, and the configuration that they build together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ratite import keyval
from ratite.cli.options import Option, OptionTable, Refused, accept, append, store, switch
from ratite.errors import UsageError, unknown
from ratite.keyval import Pairs
from ratite.profiling.request import Request
from ratite.profiling.request import parse as parse_profile

if TYPE_CHECKING:
    from ratite.cli.options import Action

MAX_CPUS = 512


#: Largest `-icount shift`, and what `auto` begins with.
MAX_SHIFT, AUTO_SHIFT = 10, 3


class Icount(NamedTuple):
    """`-icount`: an instruction takes 2 to the power of `shift` nanoseconds. adaptive: shift changes so that time follows the host's. sleep: while
    all processors wait, the host does too; without, time jumps to what comes next.
    """

    shift: int
    adaptive: bool
    sleep: bool


class SystemConfig:
    """A machine as the command line describes it, before anything of it is built.

    Texts with a grammar of their own (`serial`, `drives`, `netdevs`, ...) are kept as they were written, for the part
    of Ratite that owns the grammar.
    """

    #: What is compiled as a whole where nothing is said of that; see `Tuning`.
    usual_regions = "on"

    def __init__(self, arch: str) -> None:
        self.arch = arch
        """The ISA: `riscv64`, `riscv32` or `loongarch64`."""
        self.show = ""
        """What to print instead of running: `help`, `version`, `machines`, `cpus`, `devices`, `log`, or empty."""
        self.machine = "virt"
        self.machine_properties: list[tuple[str, str]] = []
        self.cpu = ""
        """`MODEL,property=value,...`; empty for the machine's default."""
        self.seed: int | None = None
        """What random numbers for the guest are made of; None for true ones, or where runs repeat exactly, for 0."""
        self.cpus = 1
        self.memory = 0
        """Bytes of guest RAM; 0 for the machine's default."""
        self.bios = ""
        """Firmware file, `none`, `default`, or empty."""
        self.kernel = ""
        self.initrd = ""
        self.append = ""
        self.dtb = ""
        self.drives: list[str] = []
        self.devices: list[Pairs] = []
        self.objects: list[str] = []
        self.globals: list[tuple[str, str, str]] = []
        """Property defaults as (device, property, value)."""
        self.netdevs: list[str] = []
        self.nics: list[str] = []
        self.nets: list[str] = []
        self.chardevs: list[str] = []
        self.serial: list[str] = []
        self.fw_cfg: list[Pairs] = []
        self.data_folders: list[str] = []
        """Where firmware is looked for first."""
        self.nographic = False
        self.display = ""
        self.defaults = True
        """Whether the machine gets the devices that nobody asked for: a serial port on the terminal."""
        self.reboot = True
        """False when a guest's reset ends the program."""
        self.rtc_base = ""
        """`utc`, `localtime` or a date; empty for `utc`, or a fixed date where time goes by instructions."""
        self.icount: Icount | None = None
        """How time goes by executed instructions; None: it goes with the host's."""
        self.rtc_clock = "host"
        self.log_items: list[str] = []
        self.log_file = ""
        self.single_step = False
        self.parallel = True
        """Every processor has a thread of its own."""
        self.parallel_named = False
        """Whether somebody asked for that."""
        self.region = ""
        """What is compiled as a whole, where somebody says so; see `regions`."""
        self.disk_cache = True
        """Stencils and translations are kept in the user's cache folder."""
        self.profile: Request | None = None
        """Where the time goes is sampled into a file."""
        self.perf_map = False
        """Names of generated code are written for Linux perf."""
        self.symbols: list[str] = []
        """Files that name guest code."""
        self.name = ""
        self.pid_file = ""

    @property
    def regions(self) -> str:
        """What is compiled as a whole: `on`, hot loops, unless somebody says otherwise; `off` where that goes together with something else
        only if it is asked for: counting instructions, executing them one by one, and finding callers for a profile."""
        alone = self.icount is not None or self.single_step or self.profile is not None
        return self.region or ("off" if alone else self.usual_regions)


def _machine(config: SystemConfig, text: str) -> None:
    pairs = keyval.parse(text, "type")
    for key, value in pairs:
        if key == "type" and value == "help":
            config.show = "machines"
        elif key == "type":
            config.machine = value
        elif key == "accel":
            _accelerator(config, value)
        else:
            config.machine_properties.append((key, value))


def _cpu(config: SystemConfig, text: str) -> None:
    if text == "help":
        config.show = "cpus"
    config.cpu = text


def _device(config: SystemConfig, text: str) -> None:
    pairs = keyval.parse(text, "driver")
    if pairs.get("driver") == "help":
        config.show = "devices"
        return
    if not pairs.get("driver"):
        raise UsageError("the device's type is missing; 'help' lists the types")
    config.devices.append(pairs)


def _accelerator(config: SystemConfig, text: str) -> None:
    """Translation is the accelerator there is."""
    pairs = keyval.parse(text, "accel")
    for name in pairs.get("accel").split(":"):
        if name == "tcg":
            properties = pairs.without("accel")
            properties.expect("property of accelerator tcg", ("thread", "region", "cache"))
            config.parallel = _one_of("thread", properties.get("thread", "multi"), ("single", "multi")) == "multi"
            config.parallel_named = config.parallel and bool(properties.get("thread"))
            config.region = _region(properties.get("region")) if properties.get("region") else config.region
            config.disk_cache = keyval.switch(properties.get("cache", "on"))
            return
        if name not in ("kvm", "xen", "hax", "hvf", "nvmm", "whpx", "qtest"):
            raise unknown("accelerator", name, ("tcg",))
    raise UsageError(f"accelerator '{text}' is not supported yet; supported: tcg (translation)")


def _region(text: str) -> str:
    """What is compiled as a whole: a switch, or `always` for tests."""
    return _one_of("region", text, ("on", "off", "always"))


def _memory_size(text: str) -> int:
    pairs = keyval.parse(text, "size")
    if pairs.without("size"):
        raise UsageError("memory hotplug (slots, maxmem) is not supported yet; give the size alone")
    size = keyval.size(pairs.get("size"), unit="M")
    if size == 0:
        raise UsageError("a machine needs memory")
    return size


def _cpu_count(text: str) -> int:
    """CPUs of `-smp [cpus=]n[,sockets=a,cores=b,threads=c]`; a topology alone says how many as well."""
    pairs = keyval.parse(text, "cpus")
    topology = ("sockets", "dies", "clusters", "cores", "threads")
    pairs.expect("-smp item", ("cpus", "maxcpus", *topology))
    product = 1
    for key in topology:
        product *= keyval.number(pairs.get(key, "1"), 1, MAX_CPUS)
    count = keyval.number(pairs.get("cpus", str(product)), 1, MAX_CPUS)
    if any(pairs.get(key) for key in ("sockets", "cores", "threads")) and count % product:
        raise UsageError(f"{count} CPUs do not fill a topology of {product}")
    if keyval.number(pairs.get("maxcpus", str(count)), 1, MAX_CPUS) != count:
        raise UsageError("CPU hotplug (maxcpus above cpus) is not supported yet")
    return count


def _global(text: str) -> tuple[str, str, str]:
    """`driver.property=value`, or the same in three named parts."""
    if text.startswith(("driver=", "{")):
        pairs = keyval.parse(text)
        pairs.expect("-global item", ("driver", "property", "value"))
        return pairs.get("driver"), pairs.get("property"), pairs.get("value")
    path, equals, value = text.partition("=")
    driver, dot, name = path.rpartition(".")
    if not (equals and dot and driver and name):
        raise UsageError("expected DRIVER.PROPERTY=VALUE")
    return driver, name, value


def _fw_cfg(text: str) -> Pairs:
    pairs = keyval.parse(text, "name")
    pairs.expect("-fw_cfg item", ("name", "file", "string"))
    if not pairs.get("name") or bool(pairs.get("file")) == bool(pairs.all("string")):
        raise UsageError("expected name=NAME and either file=FILE or string=TEXT")
    return pairs


def _rtc(config: SystemConfig, text: str) -> None:
    pairs = keyval.parse(text)
    pairs.expect("-rtc item", ("base", "clock", "driftfix"))
    config.rtc_base = _rtc_base(pairs.get("base", config.rtc_base or "utc"))
    config.rtc_clock = _one_of("clock", pairs.get("clock", config.rtc_clock), ("host", "rt", "vm"))
    if pairs.get("driftfix", "none") != "none":
        raise UsageError("driftfix is not supported yet; only 'none'")


def _rtc_base(text: str) -> str:
    if text in ("utc", "localtime"):
        return text
    import datetime

    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"base '{text}' is neither utc, localtime nor a date such as 2006-06-17T16:01:21") from None
    return text


def _icount(config: SystemConfig, text: str) -> None:
    """`[shift=]N|auto[,sleep=on|off]`; what needs a comparison with the host's clock, or a recording, is not there."""
    pairs = keyval.parse(text, "shift")
    pairs.expect("-icount item", ("shift", "sleep", "align", "rr", "rrfile", "rrsnapshot"))
    if keyval.switch(pairs.get("align", "off")):
        raise UsageError("align=on is not supported; time follows the host's with shift=auto")
    if any(pairs.get(key) for key in ("rr", "rrfile", "rrsnapshot")):
        raise UsageError("recording and replaying (rr) is not supported yet")
    if not pairs.get("shift"):
        raise UsageError("shift is missing: shift=N makes an instruction take 2 to the power of N nanoseconds, shift=auto follows the host's time")
    adaptive = pairs.get("shift") == "auto"
    sleep = keyval.switch(pairs.get("sleep", "on"))
    if adaptive and not sleep:
        raise UsageError("shift=auto follows the host's time, with sleep=off time leaps ahead of it: choose one of them")
    config.icount = Icount(AUTO_SHIFT if adaptive else keyval.number(pairs.get("shift"), 0, MAX_SHIFT), adaptive, sleep)


def _one_of(kind: str, text: str, known: Iterable[str]) -> str:
    if text not in known:
        raise unknown(kind, text, known)
    return text


def _display(text: str) -> str:
    if text.partition(",")[0] in ("gtk", "sdl", "curses", "vnc", "spice-app", "egl-headless", "dbus", "cocoa"):
        raise UsageError("not supported yet; supported: none (consoles are serial ports)")
    return _one_of("display", text, ("none",))


def _monitor(config: SystemConfig, text: str) -> None:
    if text not in ("none", "null"):
        raise UsageError("the monitor is not supported yet; supported: none")


def _preset_drive(interface: str) -> Action:
    """Options that are short for `-drive`: the argument is the file alone."""
    return append("drives", lambda file: f"{interface},file={file.replace(',', ',,')}")


def _log(config: SystemConfig, text: str) -> None:
    if text in ("help", "?"):
        config.show = "log"
    config.log_items.extend(item for item in text.split(",") if item)


SERIAL_ONLY = "consoles are serial ports: -nographic, -serial"
MONITOR = "the monitor comes later"
STORAGE = "use -drive file=FILE,format=raw,if=none,id=ID with -device virtio-blk-device,drive=ID"

OPTIONS = OptionTable("[options] [disk image]", {
    "Information": [
        Option("-h -help", "", "print this list", switch("show", "help")),
        Option("-version", "", "print the version", switch("show", "version")),
    ],
    "Machine": [
        Option("-machine -M", "[type=]NAME[,PROP=VALUE...]", "the board and its properties; 'help' lists", _machine),
        Option("-cpu", "MODEL[,PROP=VALUE...]", "the CPU model and its extensions; 'help' lists", _cpu),
        Option("-accel", "tcg[,thread=single|multi][,region=on|off|always][,cache=on|off]", "how guest code runs: translated", _accelerator),
        Option("-smp", "[cpus=]N[,sockets=,cores=,threads=]", "number of CPUs (1)", store("cpus", _cpu_count)),
        Option("-m", "[size=]N[K|M|G|T]", "guest RAM; a bare number counts MiB", store("memory", _memory_size)),
        Option("-device", "TYPE[,PROP=VALUE...]", "add a device; 'help' lists, 'TYPE,help' too", _device),
        Option("-global", "TYPE.PROP=VALUE", "set the default of a device's property", append("globals", _global)),
        Option("-object", "TYPE,id=ID[,PROP=VALUE...]", "add a back end object", append("objects")),
        Option("-icount", "[shift=]N|auto[,sleep=on|off]", "time goes by instructions, 2^N ns each: runs repeat exactly", _icount),
        Option("-seed", "N", "repeatable random numbers for the guest", store("seed", keyval.number)),
        Option("-rtc", "[base=utc|localtime|DATE][,clock=host|rt|vm]", "what the clock chip shows", _rtc),
        Option("-name", "NAME", "a name for the machine", store("name")),
        Option("-nodefaults", "", "leave out what nobody asked for", switch("defaults", False)),
        Option("-no-reboot", "", "exit when the guest resets the machine", switch("reboot", False)),
    ],
    "Boot": [
        Option("-bios", "FILE|none|default", "firmware; where there is none, Ratite answers SBI calls", store("bios")),
        Option("-kernel", "FILE", "kernel: a raw or gzip'd Image, or an ELF file", store("kernel")),
        Option("-initrd", "FILE", "initial RAM disk", store("initrd")),
        Option("-append", "TEXT", "kernel command line", store("append")),
        Option("-dtb", "FILE", "device tree to use in place of the board's own", store("dtb")),
        Option("-fw_cfg", "[name=]NAME,file=FILE|string=TEXT", "a firmware configuration item",
               append("fw_cfg", _fw_cfg)),
        Option("-L", "DIR", "look for firmware in DIR first", append("data_folders")),
    ],
    "Storage": [
        Option("-drive", "file=FILE[,format=raw][,if=none|virtio|pflash][,id=ID]", "a disk image", append("drives")),
        Option("-hda", "FILE", "a disk on virtio", _preset_drive("if=virtio,index=0")),
        Option("-pflash", "FILE", "contents of a parallel flash", _preset_drive("if=pflash,format=raw")),
    ],
    "Network": [
        Option("-netdev", "user|tap,id=ID[,...]", "a network back end for a -device", append("netdevs")),
        Option("-nic", "user|tap|none[,model=...][,...]", "a network card with its back end", append("nics")),
        Option("-net", "nic|user|tap|none[,...]", "the older form: a card, and a back end for it", append("nets")),
    ],
    "Consoles": [
        Option("-nographic", "", "first serial port on this terminal (C-a x leaves)", switch("nographic")),
        Option("-display", "none", "no display; serial ports only where -serial says", store("display", _display)),
        Option("-serial", "stdio|mon:stdio|null|file:|pty|unix:|tcp:", "next serial port", append("serial")),
        Option("-chardev", "TYPE,id=ID[,...]", "a character back end for a -device", append("chardevs")),
        Option("-monitor", "none", "no monitor", _monitor),
    ],
    "Looking inside": [
        Option("-d", "ITEM[,ITEM...]", "log these items; 'help' lists them", _log),
        Option("-D", "FILE", "log into FILE in place of standard error", store("log_file")),
        Option("-singlestep", "", "run guest code in the reference evaluator (slow)", switch("single_step")),
        Option("-profile", "FILE[,frequency=HZ][,seconds=N]", "sample into FILE; `ratite profile` shows such", store("profile", parse_profile)),
        Option("-perfmap", "", "name generated code in /tmp/perf-PID.map, for Linux perf", switch("perf_map")),
        Option("-symbols", "FILE", "names for guest code: ELF file, System.map or kallsyms", append("symbols")),
        Option("-pidfile", "FILE", "write the process number into FILE", store("pid_file")),
        Option("-no-user-config", "", "accepted: there is no configuration file of the user's", accept()),
    ],
    "Not supported yet": [
        Refused("-enable-kvm", "supported: -accel tcg"),
        Refused("-numa -mem-path -mem-prealloc -overcommit", "guest RAM is -m alone"),
        Refused("-blockdev -mtdblock -iscsi -snapshot -fsdev -virtfs", STORAGE),
        Refused("-fda -fdb -hdb -hdc -hdd -cdrom -sd -option-rom", STORAGE),
        Refused("-usb -usbdevice", "there are virtio devices: -device help"),
        Refused("-audio -audiodev -audio-help -soundhw -k"),
        Refused("-vga -full-screen -g -portrait -rotate -spice -vnc -sdl -curses", SERIAL_ONLY),
        Refused("-parallel -debugcon", SERIAL_ONLY),
        Refused("-qmp -qmp-pretty -mon -echr", MONITOR),
        Refused("-S -preconfig -loadvm -incoming -only-migratable -dump-vmstate", MONITOR),
        Refused("-gdb -s", "see -d and -singlestep"),
        Refused("-plugin -trace -dfilter -qtest -qtest-log", "see -d help"),
        Refused("-no-shutdown -action -watchdog -watchdog-action -set -boot -uuid -compat"),
        Refused("-daemonize -chroot -runas -sandbox -async-teardown -add-fd -msg -readconfig -writeconfig"),
        Refused("-semihosting -semihosting-config -tpmdev -acpitable -smbios -no-acpi -no-hpet"),
        Refused("-no-fd-bootchk -win2k-hack -prom-env -old-param -enable-sync-profile -enable-fips"),
        Refused("-xen-domid -xen-attach -xen-domid-restrict"),
    ],
})


def parse(arch: str, words: list[str]) -> SystemConfig:
    """Read a system emulator's command line."""
    config = SystemConfig(arch)
    images = OPTIONS.parse(words, config)
    if config.icount is not None and config.parallel_named:
        raise UsageError("-icount counts on one thread: choose -accel tcg,thread=single or leave thread out")
    if config.icount is not None and config.regions != "off":
        raise UsageError("-icount counts instruction by instruction: it does not go together with -accel tcg,region=on")
    config.drives += [f"if=virtio,file={image.replace(',', ',,')}" for image in images]
    return config
