"""Which format an image has, by the magic numbers of the formats' specifications."""

from __future__ import annotations

from ratite.errors import ImageError, unknown

SUPPORTED = ("raw",)

_MAGICS: tuple[tuple[str, int, bytes], ...] = (
    ("qcow2", 0, b"QFI\xfb\x00\x00\x00\x02"),
    ("qcow2", 0, b"QFI\xfb\x00\x00\x00\x03"),
    ("qcow", 0, b"QFI\xfb\x00\x00\x00\x01"),
    ("qed", 0, b"QED\x00"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"COWD"),
    ("vmdk", 0, b"# Disk DescriptorFile"),
    ("vdi", 0x40, b"\x7f\x10\xda\xbe"),
    ("vhdx", 0, b"vhdxfile"),
    ("vpc", 0, b"conectix"),
    ("parallels", 0, b"WithoutFreeSpace"),
    ("parallels", 0, b"WithouFreSpacExt"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("bochs", 0, b"Bochs Virtual HD Image"),
    ("cloop", 0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop"),
)
_KNOWN = {name for name, _, _ in _MAGICS} | {"dmg", "vvfat", "raw"}


def probe(head: bytes) -> str:
    """The format whose magic number is in `head`, the first bytes of an image; `raw` when there is none."""
    return next((name for name, offset, magic in _MAGICS if head.startswith(magic, offset)), "raw")


def require_supported(name: str, path: str) -> None:
    """Raise an ImageError for a format that exists but is not there yet, a UsageError for one that nobody knows."""
    if name not in _KNOWN:
        raise unknown("image format", name, _KNOWN)
    if name not in SUPPORTED:
        raise ImageError(f"'{path}': format {name} is not supported yet; supported: {', '.join(SUPPORTED)}")
