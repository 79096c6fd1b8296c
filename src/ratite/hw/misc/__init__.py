"""Devices that fit in no other folder."""

from ratite.hw.misc import fw_cfg, sifive_test, unimplemented

__all__ = ["fw_cfg", "sifive_test", "unimplemented"]
