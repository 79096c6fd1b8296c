"""CPU models and their properties: what `-cpu MODEL,property=value,...` accepts, under QEMU 7.1's names.

    parse_cpu("rv64,zba=off,priv_spec=v1.11.0")

Properties apply to every model. Not modelled, and refused by name when they are switched on: the hypervisor, vector,
half-precision, cryptography and float-in-x extensions, RV32E, enhanced PMP, the advanced interrupt architecture, RV128.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ratite import keyval
from ratite.errors import UsageError, unknown
from ratite.isa.riscv.config import EXTENSIONS, NEED_SUPERVISOR, PRIV_SPECS, SATP_MODES, SINCE_1_12, RiscvConfig
from ratite.record import Record


class Model(Record, frozen=True):
    """A CPU model as it is named on the command line."""

    name: str
    summary: str
    config: RiscvConfig


def _names(letters: str, extra: str = "") -> frozenset[str]:
    """Extensions of a model: single letters, those that every QEMU model has, and `extra`."""
    return frozenset((*letters, "zicsr", "zifencei", "zicntr", "zihpm", *extra.split()))


#: What the generic models have beside their letters.
_GENERIC = "zihintpause zba zbb zbc zbs zicbom zicboz"


def _model(
    name: str, xlen: int, summary: str, letters: str, extra: str = "", mmu: str = "", priv_spec: str = "v1.10.0"
) -> Model:
    return Model(name, summary, RiscvConfig(xlen, _names(letters, extra), name, priv_spec, mmu))


#: Models by name; "any" exists once for each register width.
MODELS: dict[int, dict[str, Model]] = {
    xlen: {model.name: model for model in models}
    for xlen, models in {
        64: (
            _model("rv64", 64, "generic hart with all that is supported", "imafdcsu", f"{_GENERIC} sstc", "sv57", "v1.12.0"),
            _model("any", 64, "64-bit hart with machine and user mode", "imafdcu", _GENERIC, "", "v1.12.0"),
            _model("shakti-c", 64, "Shakti C class", "imafdcsu"),
            _model("sifive-e51", 64, "SiFive E51 monitor core", "imacu"),
            _model("sifive-u54", 64, "SiFive U54 application core", "imafdcsu", "", "sv39"),
        ),
        32: (
            _model("rv32", 32, "generic hart with all that is supported", "imafdcsu", f"{_GENERIC} sstc", "sv32", "v1.12.0"),
            _model("any", 32, "32-bit hart with machine and user mode", "imafdcu", _GENERIC, "", "v1.12.0"),
            _model("sifive-e31", 32, "SiFive E31 monitor core", "imacu"),
            _model("sifive-e34", 32, "SiFive E34 monitor core with single-precision floating point", "imafcu"),
            _model("sifive-u34", 32, "SiFive U34 application core", "imafdcsu", "", "sv32"),
        ),
    }.items()
}

#: Models that QEMU 7.1 has and Ratite has not, with what they need.
_MISSING_MODELS = {"lowrisc-ibex": "enhanced PMP (x-epmp)", "x-rv128": "128-bit registers"}

Apply = Callable[[RiscvConfig, str], RiscvConfig]


class Property(Record, frozen=True):
    """A property of a CPU. `apply` gives the configuration with the property set, or raises a UsageError that says what
    it accepts. extensions: those that it switches on and off.
    """

    name: str
    accepts: str
    meaning: str
    apply: Apply
    extensions: tuple[str, ...] = ()


def _changed(config: RiscvConfig, names: Iterable[str], on: bool) -> RiscvConfig:
    """The configuration with extensions added or taken away, not yet checked against each other."""
    extensions = config.extensions | set(names) if on else config.extensions - set(names)
    return _unchecked(config, extensions=extensions)


def _unchecked(config: RiscvConfig, **changes: object) -> RiscvConfig:
    """`replace` without the checks: properties come one by one and may contradict each other until the last."""
    made = object.__new__(RiscvConfig)
    made.__dict__.update({name: getattr(config, name) for name in RiscvConfig._names} | changes)
    return made


def _extension(name: str, meaning: str, *names: str) -> Property:
    """A switch for extension `name`, or for all of `names`."""
    extensions = names or (name,)
    return Property(name, "on|off", meaning, lambda c, text: _changed(c, extensions, keyval.switch(text)), extensions)


def _unsupported(name: str, meaning: str) -> Property:
    """A switch that QEMU has and that can only be off here."""

    def apply(config: RiscvConfig, text: str) -> RiscvConfig:
        if keyval.switch(text):
            raise UsageError(f"it is not supported yet; supported extensions: {', '.join(sorted(EXTENSIONS))}")
        return config

    return Property(name, "off", f"{meaning} (not supported yet)", apply)


def _flag(name: str, meaning: str, change: Callable[[RiscvConfig, bool], dict[str, object]]) -> Property:
    return Property(name, "on|off", meaning, lambda c, text: _unchecked(c, **change(c, keyval.switch(text))))


def _number(name: str, field: str, meaning: str, width: int) -> Property:
    def apply(config: RiscvConfig, text: str) -> RiscvConfig:
        return _unchecked(config, **{field: keyval.number(text, 0, (1 << width) - 1)})

    return Property(name, f"number of {width} bits", meaning, apply)


def _ignored(name: str, accepts: str, meaning: str, check: Callable[[str], object]) -> Property:
    """A property of something that is not supported: its value is checked and has no effect."""

    def apply(config: RiscvConfig, text: str) -> RiscvConfig:
        check(text)
        return config

    return Property(name, accepts, f"{meaning} (no effect without 'v')", apply)


def _one_of(text: str, values: Iterable[str]) -> str:
    if text not in (known := list(values)):
        raise UsageError(f"'{text}' is not one of {', '.join(known)}")
    return text


def _power_of_two(text: str, least: int, most: int) -> int:
    value = keyval.number(text, least, most)
    if value & (value - 1):
        raise UsageError(f"'{text}' is not a power of two")
    return value


def _set_priv_spec(config: RiscvConfig, text: str) -> RiscvConfig:
    return _unchecked(config, priv_spec=_one_of(text, PRIV_SPECS))


def _set_mode(mode: str) -> Apply:
    """`sv57=off` keeps the deepest mode below it; `sv57=on` allows it."""

    def apply(config: RiscvConfig, text: str) -> RiscvConfig:
        modes = list(SATP_MODES[config.xlen])
        if mode not in modes:
            raise UsageError(f"a {config.xlen}-bit hart has {', '.join(modes)}")
        rank, now = modes.index(mode), modes.index(config.mmu) if config.mmu else -1
        best = max(rank, now) if keyval.switch(text) else min(rank - 1, now)
        return _unchecked(config, mmu=modes[best] if best >= 0 else "")

    return apply


def _set_mmu(config: RiscvConfig, on: bool) -> dict[str, object]:
    modes = SATP_MODES[config.xlen]
    return {"mmu": (config.mmu or list(modes)[-1]) if on else ""}


def _block_size(text: str) -> None:
    if keyval.number(text) != 64:
        raise UsageError(f"'{text}' is not supported; supported: 64")


PROPERTIES: dict[str, Property] = {
    p.name: p
    for p in (
        _extension("i", "base integer instructions"),
        _extension("g", "the general set: i, m, a, f, d, Zicsr, Zifencei", *"imafd", "zicsr", "zifencei"),
        _extension("m", "multiplication and division"),
        _extension("a", "atomics"),
        _extension("f", "single-precision floating point"),
        _extension("d", "double-precision floating point"),
        _extension("c", "compressed instructions"),
        _extension("s", "supervisor mode"),
        _extension("u", "user mode"),
        _extension("Counters", "zicntr and zihpm", "zicntr", "zihpm"),
        _extension("zicntr", "cycle, time and instret counters"),
        _extension("zihpm", "hardware performance counters (all read zero)"),
        _extension("Zicsr", "control and status registers", "zicsr"),
        _extension("Zifencei", "instruction-fetch fence", "zifencei"),
        _extension("Zihintpause", "pause hint", "zihintpause"),
        _extension("zba", "address generation"),
        _extension("zbb", "basic bit manipulation"),
        _extension("zbc", "carry-less multiplication"),
        _extension("zbs", "single-bit instructions"),
        _extension("zicbom", "cache-block management"),
        _extension("zicboz", "cache-block zero"),
        _ignored("cbom_blocksize", "64", "cache-block size of Zicbom in bytes", _block_size),
        _ignored("cboz_blocksize", "64", "cache-block size of Zicboz in bytes", _block_size),
        _extension("sstc", "timer of supervisor mode, stimecmp"),
        _extension("svinval", "fine-grained translation-cache invalidation"),
        _extension("svnapot", "64 KiB translation contiguity"),
        _extension("svpbmt", "page-based memory types"),
        Property("priv_spec", "|".join(PRIV_SPECS), "version of the privileged architecture", _set_priv_spec),
        _flag("mmu", "address translation", _set_mmu),
        *(
            Property(mode, "on|off", f"{mode.capitalize()} address translation", _set_mode(mode))
            for modes in SATP_MODES.values()
            for mode in modes
        ),
        _flag("pmp", "physical memory protection, 16 entries", lambda c, on: {"pmp": 16 if on else 0}),
        _flag("debug", "trigger registers (there are no triggers behind them)", lambda c, on: {"debug": on}),
        _flag("short-isa-string", "device tree: name single letters only", lambda c, on: {"short_isa_string": on}),
        _number("resetvec", "reset_vector", "address of the first instruction", 64),
        _number("mvendorid", "vendor", "value of mvendorid", 32),
        _number("marchid", "arch_id", "value of marchid", 64),
        _number("mimpid", "imp_id", "value of mimpid", 64),
        _unsupported("e", "RV32E, sixteen registers"),
        _unsupported("h", "hypervisor"),
        _unsupported("v", "vectors"),
        _ignored("vext_spec", "v1.0", "version of the vector extension", lambda text: _one_of(text, ("v1.0",))),
        _ignored("vlen", "128..1024", "vector length in bits", lambda text: _power_of_two(text, 128, 1024)),
        _ignored("elen", "8..64", "largest vector element in bits", lambda text: _power_of_two(text, 8, 64)),
        *(
            _unsupported(name, "not modelled")
            for name in (
                "Zfh", "Zfhmin", "Zve32f", "Zve64f", "zfinx", "zdinx", "zhinx", "zhinxmin", "zmmul", "zbkb", "zbkc",
                "zbkx", "zk", "zkn", "zknd", "zkne", "zknh", "zkr", "zks", "zksed", "zksh", "zkt", "sscofpmf",
                "x-j", "x-epmp", "x-aia", "x-smaia", "x-ssaia", "xventanacondops", "rvv_ta_all_1s", "rvv_ma_all_1s",
            )
        ),
    )
}  # fmt: skip


def parse_cpu(text: str, xlen: int = 64) -> RiscvConfig:
    """The configuration of `MODEL[,property=value...]`; an empty text is the generic model. Raises a UsageError for
    what does not exist, is not supported, or contradicts itself.
    """
    pairs = keyval.parse(text or f"rv{xlen}", "model")
    model, config = "", None
    asked: set[str] = set()
    for key, value in pairs:
        if config is None:
            if key != "model":
                raise UsageError(f"-cpu {text}: the model comes first, such as rv{xlen},{key}={value}")
            model, config = value, _find_model(value, xlen).config
        else:
            found = _find_property(model, key)
            config = _apply(found, config, model, value)
            asked = asked - set(found.extensions) | config.extensions & set(found.extensions)
    if config is None:
        raise UsageError("-cpu needs the name of a model; 'help' lists them")
    return _without_later(config, asked).changed()


def _without_later(config: RiscvConfig, asked: set[str]) -> RiscvConfig:
    """The configuration without what is later than its version of the privileged architecture, or needs a mode that it lacks, and that nobody has
    asked for.
    """
    later = set() if config.since("v1.12.0") else SINCE_1_12
    orphans = set() if config.has("s") else NEED_SUPERVISOR
    return _changed(config, (later | orphans) - asked, False)


def _find_model(name: str, xlen: int) -> Model:
    if name in _MISSING_MODELS:
        raise UsageError(f"CPU model '{name}' needs {_MISSING_MODELS[name]}, which is not supported yet")
    if name not in MODELS[xlen]:
        raise unknown("CPU model", name, MODELS[xlen])
    return MODELS[xlen][name]


def _find_property(model: str, key: str) -> Property:
    found = PROPERTIES.get(key) or next((p for p in PROPERTIES.values() if p.name.lower() == key.lower()), None)
    if found is None:
        raise unknown(f"CPU {model}: property", key, PROPERTIES)
    return found


def _apply(found: Property, config: RiscvConfig, model: str, value: str) -> RiscvConfig:
    try:
        return found.apply(config, value)
    except UsageError as error:
        raise UsageError(f"CPU {model}: {found.name}: {error}") from None


def cpu_help(xlen: int = 64) -> str:
    """The models and properties, for `-cpu help`."""
    models = [f"  {model.name:<14} {model.summary}" for model in MODELS[xlen].values()]
    properties = [f"  {p.name + '=' + p.accepts:<42} {p.meaning}" for p in PROPERTIES.values()]
    return "\n".join(("Models:", *models, "Properties (-cpu MODEL,property=value,...):", *properties))
