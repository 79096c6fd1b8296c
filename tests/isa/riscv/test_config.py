"""CPU models and properties: names and defaults are QEMU's, contradictions and unknown names are refused in one line.
"""

from __future__ import annotations

import pytest

from ratite.errors import UsageError
from ratite.isa.riscv.arch import make_arch, register_name
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.cpus import MODELS, PROPERTIES, cpu_help, parse_cpu


def test_generic_cpu_has_what_is_supported() -> None:
    """rv64 is the default and has the extensions that are on by default."""
    config = parse_cpu("")
    assert config == parse_cpu("rv64")
    assert config.isa_string == (
        "rv64imafdc_zicbom_zicboz_zicntr_zicsr_zifencei_zihpm_zihintpause_zba_zbb_zbc_zbs_sstc"
    )
    assert config.mmu_type == "riscv,sv48"
    assert config.satp_modes == {8: 3, 9: 4, 10: 5}


@pytest.mark.parametrize(("text", "xlen", "isa"), [
    ("sifive-u54", 64, "rv64imafdc_zicntr_zicsr_zifencei_zihpm"),
    ("sifive-e31", 32, "rv32imac_zicntr_zicsr_zifencei_zihpm"),
    ("sifive-e34", 32, "rv32imafc_zicntr_zicsr_zifencei_zihpm"),
    ("rv64,short-isa-string=on", 64, "rv64imafdc"),
    ("rv64,c=off,zba=off,zbb=off,zbc=off,zbs=off,zicbom=off,zicboz=off,sstc=off", 64,
     "rv64imafd_zicntr_zicsr_zifencei_zihpm_zihintpause"),
    ("rv64,svinval=true,svnapot=on,svpbmt=yes,Counters=off,short-isa-string=off", 64,
     "rv64imafdc_zicbom_zicboz_zicsr_zifencei_zihintpause_zba_zbb_zbc_zbs_sstc_svinval_svnapot_svpbmt"),
    ("rv64,priv_spec=v1.11.0", 64, "rv64imafdc_zicntr_zicsr_zifencei_zihpm_zihintpause"),
    ("rv64,zba=on,zba=off,priv_spec=v1.11.0", 64, "rv64imafdc_zicntr_zicsr_zifencei_zihpm_zihintpause"),
    ("rv64,priv_spec=v1.10.0,sstc=off,priv_spec=v1.12.0", 64,
     "rv64imafdc_zicbom_zicboz_zicntr_zicsr_zifencei_zihpm_zihintpause_zba_zbb_zbc_zbs"),
    ("rv64,s=off", 64, "rv64imafdc_zicbom_zicboz_zicntr_zicsr_zifencei_zihpm_zihintpause_zba_zbb_zbc_zbs"),
    ("sifive-e31,g=on", 32, "rv32imafdc_zicntr_zicsr_zifencei_zihpm"),
])  # fmt: skip
def test_isa_string(text: str, xlen: int, isa: str) -> None:
    """The ISA string names what a model and its properties give."""
    assert parse_cpu(text, xlen).isa_string == isa


@pytest.mark.parametrize(("text", "xlen", "modes", "mmu_type"), [
    ("rv64,sv57=off", 64, [8, 9], "riscv,sv48"),
    ("rv64,sv48=off", 64, [8], "riscv,sv39"),
    ("rv64,sv39=off", 64, [], "riscv,none"),
    ("rv64,mmu=off", 64, [], "riscv,none"),
    ("sifive-u54,sv57=on", 64, [8, 9, 10], "riscv,sv48"),
    ("shakti-c,mmu=on", 64, [8, 9, 10], "riscv,sv48"),
    ("rv32", 32, [1], "riscv,sv32"),
])  # fmt: skip
def test_translation_modes(text: str, xlen: int, modes: list[int], mmu_type: str) -> None:
    """The deepest mode that is left decides which are there."""
    config = parse_cpu(text, xlen)
    assert (list(config.satp_modes), config.mmu_type) == (modes, mmu_type)


@pytest.mark.parametrize(("text", "words"), [
    ("rv65", ["CPU model 'rv65'", "rv64"]),
    ("rv64,zbx=on", ["property 'zbx'", "did you mean"]),
    ("rv64,zba=maybe", ["zba", "'maybe'", "'on'"]),
    ("rv64,v=on", ["v:", "not supported", "zba"]),
    ("rv64,Zfh=true", ["Zfh", "not supported"]),
    ("rv64,h=on", ["h:", "not supported"]),
    ("rv64,f=off", ["'d' needs 'f'"]),
    ("rv64,u=off", ["'s' needs 'u'"]),
    ("rv64,i=off", ["base instruction set"]),
    ("rv64,Zicsr=off", ["needs 'zicsr'"]),
    ("rv64,priv_spec=v1.13.0", ["priv_spec", "v1.12.0"]),
    ("rv64,priv_spec=v1.10.0,zba=on", ["zba", "v1.12.0"]),
    ("rv64,zba=on,priv_spec=v1.10.0", ["zba", "v1.12.0"]),
    ("rv64,sstc=on,priv_spec=v1.11.0", ["sstc", "v1.12.0"]),
    ("rv64,svnapot=on,priv_spec=v1.12.0,priv_spec=v1.10.0", ["svnapot", "v1.12.0"]),
    ("rv64,sstc=on,s=off", ["'sstc' needs 's'"]),
    ("any,svpbmt=on", ["'svpbmt' needs 's'"]),
    ("rv64,vlen=100", ["vlen"]),
    ("rv64,vlen=192", ["vlen", "power of two"]),
    ("rv64,vext_spec=v0.7", ["vext_spec", "v1.0"]),
    ("rv64,sv32=on", ["sv32", "sv39"]),
    ("rv64,resetvec=x", ["resetvec", "not a number"]),
    ("rv64,mvendorid=0x100000000", ["mvendorid", "out of range"]),
    ("rv64,cbom_blocksize=32", ["cbom_blocksize", "64"]),
    ("x-rv128", ["128-bit"]),
    ("zba=on", ["model comes first"]),
    (",", ["name of a model"]),
])  # fmt: skip
def test_wrong_cpus_are_refused(text: str, words: list[str]) -> None:
    """One line that names what is wrong and what would be right."""
    with pytest.raises(UsageError) as raised:
        parse_cpu(text)
    message = str(raised.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("text", [
    "rv64,v=off", "rv64,h=false", "rv64,vlen=256,elen=32", "rv64,zicsr=on", "rv64,zihintpause=off",
    "rv64,marchid=0x1234,mimpid=7,mvendorid=3", "rv64,resetvec=0x80000000", "rv64,debug=off,pmp=off",
])  # fmt: skip
def test_accepted(text: str) -> None:
    """Properties that change nothing, or numbers only; QEMU's spelling and the manual's are both taken."""
    parse_cpu(text)


def test_models_match_qemu() -> None:
    """The names of `-cpu help` in QEMU 7.1, without those that are refused by name."""
    assert set(MODELS[64]) == {"any", "rv64", "shakti-c", "sifive-e51", "sifive-u54"}
    assert set(MODELS[32]) == {"any", "rv32", "sifive-e31", "sifive-e34", "sifive-u34"}
    for xlen in (32, 64):
        text = cpu_help(xlen)
        assert all(f"  {name}" in text for name in MODELS[xlen])
        assert all(f"  {name}=" in text for name in PROPERTIES)


def test_key_tells_variants_apart() -> None:
    """Caches of machine code of different harts never meet; what texts can not see does not matter."""
    texts = ["rv64", "rv64,zba=off", "rv64,pmp=off", "rv64,sv57=off", "rv64,marchid=1", "rv64,priv_spec=v1.11.0"]
    configs = [parse_cpu(text) for text in texts]
    configs += [configs[0].for_user_mode(), configs[0].for_firmware(), parse_cpu("rv32", 32)]
    assert len({config.key for config in configs}) == len(configs)
    assert parse_cpu("rv64,resetvec=0").key == configs[0].key


@pytest.mark.parametrize("xlen", [32, 64])
@pytest.mark.parametrize("role", ["for_user_mode", "for_firmware", ""])
def test_every_model_makes_an_instruction_set(xlen: int, role: str) -> None:
    """Decoders can be built and natives recorded for every model and use."""
    for name in MODELS[xlen]:
        config: RiscvConfig = parse_cpu(name, xlen)
        if role:
            config = getattr(config, role)()
        arch = make_arch(config)
        assert make_arch(config) is arch
        for helper in arch.helpers.values():
            helper.record(arch.layout, config)
        assert (arch.decoder.decode(0x30200073, 4) is None) == config.user    # mret
        assert (arch.decoder.decode(0x10200073, 4) is None) == (config.user or not config.has("s"))    # sret


def test_cache_blocks_in_the_device_tree() -> None:
    """Each of the two extensions has its property."""
    assert parse_cpu("rv64").cache_properties == {"riscv,cbom-block-size": 64, "riscv,cboz-block-size": 64}
    assert parse_cpu("rv64,zicbom=off").cache_properties == {"riscv,cboz-block-size": 64}


def test_register_names() -> None:
    """ABI names, by file."""
    assert [register_name("x", n) for n in (0, 1, 2, 8, 10, 17, 18, 28, 31)] == [
        "zero", "ra", "sp", "s0", "a0", "a7", "s2", "t3", "t6",
    ]  # fmt: skip
    assert [register_name("f", n) for n in (0, 8, 10, 18, 28)] == ["ft0", "fs0", "fa0", "fs2", "ft8"]
