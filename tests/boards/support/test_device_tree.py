"""The tree builder against libfdt's reader and dtc."""

from __future__ import annotations

import shutil
import subprocess

import libfdt
import pytest

from ratite.boards.support.device_tree import EMPTY, DeviceTree, cells64, with_chosen
from ratite.errors import DefinitionError, ImageError


def sample() -> bytes:
    tree = DeviceTree({"#address-cells": 2, "#size-cells": 2, "compatible": ["a,b", "c"]})
    soc = tree.root.node("soc", {"ranges": EMPTY, "#address-cells": 2, "#size-cells": 2})
    pic = soc.node("pic@1000", {"reg": cells64(0x1000, 0x1_0000_0000), "interrupt-controller": EMPTY})
    soc.node("uart@2000", {"interrupt-parent": pic, "interrupts-extended": [pic, 5], "label": "x", "raw": b"\1\2"})
    return tree.blob()


def test_values_are_encoded_as_the_specification_says() -> None:
    """Read back by libfdt."""
    fdt = libfdt.Fdt(sample())
    pic, uart = fdt.path_offset("/soc/pic@1000"), fdt.path_offset("/soc/uart@2000")
    assert bytes(fdt.getprop(0, "compatible")) == b"a,b\0c\0"
    assert fdt.getprop(0, "#address-cells").as_uint32() == 2
    assert bytes(fdt.getprop(pic, "reg")).hex() == "0000000000001000" + "0000000100000000"
    assert bytes(fdt.getprop(pic, "interrupt-controller")) == b""
    assert fdt.getprop(pic, "phandle").as_uint32() == fdt.getprop(uart, "interrupt-parent").as_uint32() == 1
    assert bytes(fdt.getprop(uart, "interrupts-extended")).hex() == "00000001" + "00000005"
    assert bytes(fdt.getprop(uart, "label")) == b"x\0" and bytes(fdt.getprop(uart, "raw")) == b"\1\2"


def test_children_keep_their_order_and_names_are_unique() -> None:
    """Guests number devices in this order."""
    tree = DeviceTree({})
    for name in ("b", "a", "c"):
        tree.root.node(name)
    fdt = libfdt.Fdt(tree.blob())
    assert [fdt.path_offset(f"/{name}") for name in ("b", "a", "c")] == sorted(
        fdt.path_offset(f"/{name}") for name in "abc")
    with pytest.raises(DefinitionError, match="two nodes a"):
        tree.root.node("a")


def test_large_trees() -> None:
    """The blob grows as needed."""
    tree = DeviceTree({})
    for index in range(2000):
        tree.root.node(f"node@{index:x}", {"data": bytes(100)})
    assert libfdt.Fdt(tree.blob()).path_offset("/node@7cf") > 0


def test_chosen_of_a_users_tree() -> None:
    """Set in place, added when missing; damage is an ImageError."""
    blob = with_chosen("mine", sample(), {"bootargs": "quiet"})
    blob = with_chosen("mine", blob, {"bootargs": "verbose", "linux,initrd-start": cells64(1 << 32)})
    fdt = libfdt.Fdt(blob)
    chosen = fdt.path_offset("/chosen")
    assert fdt.getprop(chosen, "bootargs").as_str() == "verbose"
    assert bytes(fdt.getprop(chosen, "linux,initrd-start")).hex() == "0000000100000000"
    for broken in (b"", b"garbage" * 10, sample()[:60], bytes(100)):
        with pytest.raises(ImageError, match="device tree 'mine' cannot be used"):
            with_chosen("mine", broken, {"bootargs": "x"})


@pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc is not installed")
def test_dtc_understands_it() -> None:
    """An outside reader."""
    result = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts"], input=sample(), capture_output=True, check=True)
    assert b'compatible = "a,b", "c";' in result.stdout or b'compatible = "a,b\\0c";' in result.stdout
