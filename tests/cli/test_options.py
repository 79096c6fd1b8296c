"""The option tables: how command lines are read, and what is said about wrong ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.cli import machine_options, user_options
from ratite.cli.machine_options import SystemConfig
from ratite.cli.options import Option, OptionTable, Refused
from ratite.cli.user_options import UserConfig
from ratite.errors import RatiteError, UsageError


def system(*words: str) -> SystemConfig:
    return machine_options.parse("riscv64", list(words))


def user(*words: str, **environment: str) -> UserConfig:
    return user_options.parse("riscv64", words, environment)


def test_a_typical_linux_boot() -> None:
    """The command line of QEMU's documentation for the virt board is understood."""
    config = system(
        "-nographic",
        "-machine",
        "virt,aclint=on",
        "-smp",
        "4",
        "-m",
        "2G",
        "-kernel",
        "Image",
        "-append",
        "root=/dev/vda ro",
        "-drive",
        "file=rootfs.ext4,format=raw,id=hd0",
        "-device",
        "virtio-blk-device,drive=hd0",
        "-netdev",
        "user,id=n0",
        "-device",
        "virtio-net-device,netdev=n0",
        "-bios",
        "none",
        "-no-reboot",
    )
    assert config.machine == "virt"
    assert config.machine_properties == [("aclint", "on")]
    assert (config.cpus, config.memory) == (4, 2 << 30)
    assert (config.kernel, config.append, config.bios) == ("Image", "root=/dev/vda ro", "none")
    assert config.drives == ["file=rootfs.ext4,format=raw,id=hd0"]
    assert config.netdevs == ["user,id=n0"]
    assert [device.to_dict() for device in config.devices] == [
        {"driver": "virtio-blk-device", "drive": "hd0"},
        {"driver": "virtio-net-device", "netdev": "n0"},
    ]
    assert config.nographic
    assert not config.reboot


@pytest.mark.parametrize(
    "text, size",
    [
        ("128", 128 << 20),
        ("1G", 1 << 30),
        ("512M", 512 << 20),
        ("size=64M", 64 << 20),
        ("65536K", 64 << 20),
        ("0x10", 16 << 20),
        ("1.5G", 3 << 29),
    ],
)
def test_memory_sizes(text: str, size: int) -> None:
    """A bare number counts MiB, as QEMU's -m does."""
    assert system("-m", text).memory == size


@pytest.mark.parametrize(
    "text, count",
    [
        ("4", 4),
        ("cpus=2", 2),
        ("4,sockets=1,cores=4,threads=1", 4),
        ("sockets=2,cores=3", 6),
        ("2,maxcpus=2", 2),
    ],
)
def test_cpu_counts(text: str, count: int) -> None:
    """Given directly, or by a topology."""
    assert system("-smp", text).cpus == count


def test_double_dash_is_the_same_as_single() -> None:
    """Every option may be written with two dashes."""
    assert system("--smp", "2", "--nographic").cpus == 2


def test_a_word_without_dash_is_a_disk() -> None:
    """Commas of its name survive the trip through the drive grammar."""
    assert system("disk,1.img").drives == ["if=virtio,file=disk,,1.img"]


def test_json_and_doubled_commas_in_devices() -> None:
    """-device takes JSON, with booleans as on and off; a doubled comma is one inside a value."""
    config = system("-device", '{"driver": "x", "on": true, "n": 3}', "-device", "y,name=a,,b")
    assert config.devices[0] == [("driver", "x"), ("on", "on"), ("n", "3")]
    assert config.devices[1] == [("driver", "y"), ("name", "a,b")]


def test_globals_in_both_forms() -> None:
    """DRIVER.PROPERTY=VALUE, and three named parts."""
    config = system(
        "-global", "virtio-mmio.force-legacy=false", "-global", "driver=riscv.sifive.plic,property=p,value=v"
    )
    assert config.globals == [("virtio-mmio", "force-legacy", "false"), ("riscv.sifive.plic", "p", "v")]


@pytest.mark.parametrize(
    "words, show",
    [
        (["-M", "help"], "machines"),
        (["-cpu", "help"], "cpus"),
        (["-device", "help"], "devices"),
        (["-version"], "version"),
        (["--help"], "help"),
        (["-d", "help"], "log"),
    ],
)
def test_questions(words: list[str], show: str) -> None:
    """'help' as a value asks for a list."""
    assert system(*words).show == show


@pytest.mark.parametrize(
    "words, message",
    [
        (["-kernle", "x"], "option '-kernle' is not known: did you mean '-kernel'?"),
        (["-vnc", ":0"], "-vnc: not supported yet; consoles are serial ports: -nographic, -serial"),
        (["-m"], "-m: an argument is missing: -m [size=]N[K|M|G|T]"),
        (["-m", "lots"], "-m lots: 'lots' is not a size: expected a number with an optional suffix K, M, G or T"),
        (["-m", "0"], "-m 0: a machine needs memory"),
        (
            ["-m", "1G,slots=2,maxmem=4G"],
            "-m 1G,slots=2,maxmem=4G: memory hotplug (slots, maxmem) is not supported yet; give the size alone",
        ),
        (["-smp", "0"], "-smp 0: '0' is out of range: expected 1 to 512"),
        (["-smp", "3,cores=2"], "-smp 3,cores=2: 3 CPUs do not fill a topology of 2"),
        (["-smp", "2,maxcpus=4"], "-smp 2,maxcpus=4: CPU hotplug (maxcpus above cpus) is not supported yet"),
        (["-smp", "2,core=1"], "-smp 2,core=1: -smp item 'core' is not known: did you mean 'cores'?"),
        (["-accel", "kvm"], "-accel kvm: accelerator 'kvm' is not supported yet; supported: tcg (translation)"),
        (["-device", '{"driver":'], None),
        (
            ["-rtc", "base=yesterday"],
            "-rtc base=yesterday: base 'yesterday' is neither utc, localtime nor a date such as 2006-06-17T16:01:21",
        ),
        (
            ["-icount", "auto,sleep=off"],
            "-icount auto,sleep=off: shift=auto follows the host's time, with sleep=off time leaps ahead of it: choose one of them",
        ),
        (["-icount", "11"], "-icount 11: '11' is out of range: expected 0 to 10"),
        (
            ["-icount", "sleep=on"],
            "-icount sleep=on: shift is missing: shift=N makes an instruction take 2 to the power of N nanoseconds, "
            "shift=auto follows the host's time",
        ),
        (["-icount", "3,align=on"], "-icount 3,align=on: align=on is not supported; time follows the host's with shift=auto"),
        (["-icount", "3,rr=record,rrfile=x"], "-icount 3,rr=record,rrfile=x: recording and replaying (rr) is not supported yet"),
        (["-icount", "3,slep=off"], "-icount 3,slep=off: -icount item 'slep' is not known: did you mean 'sleep'?"),
        (["-icount", "3", "-accel", "tcg,thread=multi"], "-icount counts on one thread: choose -accel tcg,thread=single or leave thread out"),
        (
            ["-icount", "3", "-accel", "tcg,region=on"],
            "-icount counts instruction by instruction: it does not go together with -accel tcg,region=on",
        ),
        (["-monitor", "stdio"], "-monitor stdio: the monitor is not supported yet; supported: none"),
        (["-fw_cfg", "name=x"], "-fw_cfg name=x: expected name=NAME and either file=FILE or string=TEXT"),
        (["-global", "x"], "-global x: expected DRIVER.PROPERTY=VALUE"),
    ],
)
def test_mistakes_are_named(words: list[str], message: str | None) -> None:
    """Every mistake is one line that repeats what was written and says what would be right."""
    with pytest.raises(UsageError) as caught:
        system(*words)
    assert "\n" not in str(caught.value)
    assert message is None or str(caught.value) == message


@pytest.mark.parametrize(
    "table, config", [(machine_options.OPTIONS, SystemConfig("x")), (user_options.OPTIONS, UserConfig("x"))]
)
def test_rows_fill_fields_that_exist(table: OptionTable, config: object) -> None:
    """Every row that names a field names one of the configuration object; every spelling and variable is used once."""
    names = [name for row in table for name in row.names]
    variables = [row.env for row in table if row.env]
    assert len(names) == len(set(names))
    assert len(variables) == len(set(variables))
    for row in table:
        field = getattr(row.action, "field", None)
        assert field is None or hasattr(config, field), row.name
        assert isinstance(row, Refused) or row.help, row.name


def test_help_names_every_option() -> None:
    """-h shows all options that are supported, within 120 columns."""
    text = machine_options.OPTIONS.help("ratite-system-riscv64")
    assert all(row.name in text for row in machine_options.OPTIONS if not isinstance(row, Refused))
    assert all(len(line) <= 120 for line in text.splitlines())


def test_options_of_qemu_are_all_known() -> None:
    """Each option that QEMU 7.1 lists is either supported or refused by its name. (From `qemu-system-riscv64 -h`.)"""
    names = (
        "h version machine cpu accel smp numa add-fd set global boot m mem-path mem-prealloc k audio-help audio "
        "audiodev device name uuid fda hda hdc cdrom blockdev drive mtdblock sd snapshot fsdev virtfs iscsi usb "
        "usbdevice display nographic spice portrait rotate vga full-screen vnc netdev nic net chardev tpmdev bios "
        "pflash kernel append initrd dtb compat fw_cfg serial parallel monitor qmp qmp-pretty mon debugcon "
        "pidfile singlestep preconfig S overcommit gdb s d D dfilter seed L enable-kvm no-reboot no-shutdown "
        "action loadvm daemonize option-rom rtc icount watchdog-action echr incoming only-migratable nodefaults "
        "chroot runas semihosting semihosting-config sandbox readconfig no-user-config trace plugin msg "
        "dump-vmstate enable-sync-profile object "
    )
    known = {name for row in machine_options.OPTIONS for name in row.names}
    assert {f"-{name}" for name in names.split()} <= known


def test_a_program_ends_the_options() -> None:
    """What follows the program belongs to it, dashes and all."""
    config = user("-L", "/sysroot", "-strace", "/bin/ls", "-L", "--color")
    assert (config.sysroot, config.strace) == ("/sysroot", True)
    assert (config.program, config.arguments) == ("/bin/ls", ["/bin/ls", "-L", "--color"])


def test_the_name_a_program_is_told() -> None:
    """-0 changes the zeroth word alone."""
    config = user("-0", "sh", "/bin/busybox", "-c", "true")
    assert (config.program, config.arguments) == ("/bin/busybox", ["sh", "-c", "true"])


def test_environment_changes_apply_in_order() -> None:
    """The last change of a variable stays; several stand between commas."""
    config = user("-E", "A=1,B=2", "-U", "A", "-E", "C=x=y,,z", "prog")
    assert config.environment({"A": "0", "D": "4"}) == {"B": "2", "C": "x=y,z", "D": "4"}


def test_variables_stand_for_options() -> None:
    """A variable gives an option; the command line overrides it."""
    variables = {"RATITE_LD_PREFIX": "/a", "RATITE_STACK_SIZE": "64K", "RATITE_STRACE": "1", "RATITE_LOG": "in_asm,int"}
    config = user("prog", **variables)
    assert (config.sysroot, config.stack_size, config.strace, config.log_items) == (
        "/a",
        65536,
        True,
        ["in_asm", "int"],
    )
    assert user("-L", "/b", "prog", **variables).sysroot == "/b"


def test_no_program_is_a_mistake() -> None:
    """Unless the command line only asks something."""
    with pytest.raises(UsageError, match="a program to run is missing"):
        user("-strace")
    assert user("-version").show == "version"


@given(
    st.lists(
        st.sampled_from(
            [*(name for row in machine_options.OPTIONS for name in row.names), "help", "a=b", "x", "{", ","]
        )
        | st.text(max_size=8),
        max_size=8,
    )
)
def test_no_command_line_makes_a_traceback(words: list[str]) -> None:
    """Whatever is written, the answer is a configuration or a one-line error."""
    for parse in (system, user):
        try:
            parse(*words)
        except RatiteError as error:
            assert str(error)


def test_an_option_without_argument_takes_none() -> None:
    """A table of two rows, as small as tables get."""

    class Config:
        loud = False
        name = ""

    def name(config: Config, text: str) -> None:
        config.name = text

    def loud(config: Config, text: str) -> None:
        config.loud = True

    table = OptionTable("", {"All": [Option("-name", "TEXT", "a name", name), Option("-loud", "", "shout", loud)]})
    config = Config()
    assert table.parse(["-loud", "-name", "-x", "rest"], config) == ["rest"]
    assert (config.loud, config.name) == (True, "-x")


@pytest.mark.parametrize(
    ("words", "regions"),
    [
        ([], "on"),
        (["-accel", "tcg,thread=single"], "on"),
        (["-accel", "tcg,region=off"], "off"),
        (["-accel", "tcg,region=always"], "always"),
        (["-icount", "3"], "off"),
        (["-icount", "3", "-accel", "tcg,region=off"], "off"),
        (["-singlestep"], "off"),
        (["-profile", "x"], "off"),
        (["-profile", "x", "-accel", "tcg,region=on"], "on"),
    ],
)
def test_regions_are_on_where_nothing_speaks_against_them(words: list[str], regions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only implied is never an error."""
    monkeypatch.setattr(machine_options.SystemConfig, "usual_regions", "on")  # also where tests are told otherwise
    assert machine_options.parse("riscv64", words).regions == regions
