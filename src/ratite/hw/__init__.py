"""Devices. Each folder's `__init__` imports its devices; `load_all` imports the folders."""

from __future__ import annotations

from importlib import import_module

FOLDERS = ("block", "char", "intc", "misc", "pci", "timer", "virtio")
"""The folders that hold devices."""


def load_all() -> None:
    """Import every device, so that `ratite.hw.model.DEVICES` is complete."""
    for folder in FOLDERS:
        import_module(f"ratite.hw.{folder}")
