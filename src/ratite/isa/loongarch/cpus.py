"""CPU models: what `-cpu` accepts, under QEMU's names."""

from __future__ import annotations

from ratite.errors import UsageError, unknown
from ratite.isa.loongarch.config import LoongArchConfig
from ratite.isa.loongarch.cpucfg import MONITORS
from ratite.record import Record

#: A core of the Loongson 3A5000 (Loongson 3A5000/3B5000 Processor Reference Manual, v1.03, chapter 8.1, for performance
#: monitors; what that leaves open is as in QEMU 11.1; caches as number of ways - 1, log2 of sets, log2 of the line).
_LA464: dict[str, int] = {
    "PRID": 0x14C010,
    "ARCH": 2, "PGMMU": 1, "IOCSR": 1, "PALEN": 47, "VALEN": 47, "UAL": 1, "RI": 1, "EP": 1, "RPLV": 1, "HP": 1, "CRC": 1,
    "FP": 1, "FP_SP": 1, "FP_DP": 1, "FP_VER": 1, "LLFTP": 1, "LLFTP_VER": 1, "LSPW": 1, "LAM": 1, "LSX": 1, "LASX": 1,
    "CCDMA": 1, "UCACC": 1, "LLEXC": 1, "SCDLY": 1, "LLDBAR": 1, "ITLBTHMC": 1, "ICHMC": 1, "SPW_LVL": 4, "SPW_HP_HF": 1,
    "CC_FREQ": 100_000_000, "CC_MUL": 1, "CC_DIV": 1,
    "PMP": 1, "PMVER": 1, "PMNUM": MONITORS - 1, "PMBITS": 63, "UPM": 1,
    "L1_IU_PRESENT": 1, "L1_D_PRESENT": 1, "L2_IU_PRESENT": 1, "L2_IU_UNIFY": 1, "L2_IU_PRIVATE": 1,
    "L3_IU_PRESENT": 1, "L3_IU_UNIFY": 1, "L3_IU_INCLUSIVE": 1,
    "L1_IU_WAYS": 3, "L1_IU_SETS": 8, "L1_IU_LINE": 6, "L1_D_WAYS": 3, "L1_D_SETS": 8, "L1_D_LINE": 6,
    "L2_IU_WAYS": 15, "L2_IU_SETS": 8, "L2_IU_LINE": 6, "L3_IU_WAYS": 15, "L3_IU_SETS": 14, "L3_IU_LINE": 6,
}  # fmt: skip

#: What version 1.1 of the architecture added and Ratite has.
_V1_1 = {
    "HPTW": 1, "FRECIPE": 1, "DIV32": 1, "LAM_BH": 1, "LAMCAS": 1, "LLACQ_SCREL": 1, "SCQ": 1, "DBAR_HINTS": 1,
}  # fmt: skip


class Model(Record, frozen=True):
    """A CPU model as it is named on the command line."""

    name: str
    summary: str
    config: LoongArchConfig


def _model(name: str, summary: str, fields: dict[str, int]) -> Model:
    return Model(name, summary, LoongArchConfig(name, tuple(fields.items())))


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        _model("la464", "core of the Loongson 3A5000", _LA464),
        _model("la464-loongarch-cpu", "the same", _LA464),
        _model("max", "la464 with all that is supported", {**_LA464, **_V1_1}),
    )
}

#: Properties of every model: the field of CPUCFG that each switches. `ptw` is QEMU's name.
_PROPERTIES = {"lsx": "LSX", "lasx": "LASX", "ptw": "HPTW", "hptw": "HPTW"}
_SWITCH = {"on": 1, "off": 0}

#: Properties that QEMU has, 11.1 or with KVM, and what Ratite does not have of them: they can be off.
_ABSENT = {
    "msgint": "message-signalled interrupts inside the core", "lbt": "binary translation instructions",
    "kvm-steal-time": "paravirtual time", "kvm-pv-ipi": "paravirtual interrupts",
}  # fmt: skip

#: The fields of a switch that belong together.
_MONITORS = ("PMP", "PMVER", "PMNUM", "PMBITS", "UPM")

#: The model of a program or machine that asks for none.
DEFAULT = "la464"


def parse_cpu(text: str) -> LoongArchConfig:
    """The configuration that the argument of `-cpu` describes: a model, and properties that are `on` or `off`."""
    name, *words = text.split(",")
    if name not in MODELS:
        raise unknown("CPU model", name, MODELS)
    fields = dict(MODELS[name].config.fields)
    for word in words:
        key, value = _property(name, word)
        if key == "pmu":
            fields.update({field: _LA464[field] * value for field in _MONITORS})
        elif key in _PROPERTIES:
            fields[_PROPERTIES[key]] = value
    if not fields.get("LSX"):
        fields["LASX"] = 0  # wide vectors are made of narrow ones
    return LoongArchConfig(name, tuple((field, value) for field, value in fields.items() if value))


def _property(name: str, word: str) -> tuple[str, int]:
    """A property and its value."""
    key, _, value = word.partition("=")
    if key not in _PROPERTIES and key not in _ABSENT and key != "pmu":
        raise unknown(f"property of CPU {name}", key, [*_PROPERTIES, "pmu", *_ABSENT])
    if value not in _SWITCH:
        raise UsageError(f"CPU {name}: {key} is 'on' or 'off', not '{value}'")
    if key in _ABSENT and value == "on":
        raise UsageError(f"CPU {name}: {key}=on: there are no {_ABSENT[key]} here")
    return key, _SWITCH[value]


def cpu_help() -> str:
    """The models, for `-cpu help`."""
    return "\n".join((
        "Models:", *(f"  {model.name:<20} {model.summary}" for model in MODELS.values()),
        "Properties, on or off:",
        "  lsx, lasx            vectors of 128 and 256 bits",
        "  ptw, hptw            page tables are walked by the hardware, where software asks for that (on in max)",
        "  pmu                  performance monitors",
    ))  # fmt: skip
