"""Ethernet addresses as text."""

from __future__ import annotations

import re

from ratite.errors import UsageError

_FORM = re.compile(r"[0-9a-fA-F]{1,2}([:-][0-9a-fA-F]{1,2}){5}")
_FIRST_DEFAULT = 0x525400123456


def parse_mac(text: str) -> bytes:
    """Six bytes from `52:54:00:12:34:56`. Raises UsageError for anything else and for group addresses."""
    if not _FORM.fullmatch(text):
        raise UsageError(f"'{text}' is not an Ethernet address: expected six bytes such as 52:54:00:12:34:56")
    address = bytes(int(byte, 16) for byte in re.split("[:-]", text))
    if address[0] & 1:
        raise UsageError(f"'{text}' is a group address; a card needs one of its own")
    return address


def format_mac(address: bytes) -> str:
    """The usual text of an address."""
    return address.hex(":")


def default_mac(number: int) -> bytes:
    """What card `number` of a machine gets when nobody chooses, as QEMU counts."""
    return (_FIRST_DEFAULT + number).to_bytes(6, "big")
