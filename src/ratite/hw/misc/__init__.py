"""Devices that fit in no other folder."""

from ratite.hw.misc import acpi_ged, fw_cfg, loongson, sifive_test, unimplemented

__all__ = ["acpi_ged", "fw_cfg", "loongson", "sifive_test", "unimplemented"]
