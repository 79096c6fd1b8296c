"""Helpers for tests of devices and boards: a bench for one device, a fake character device."""

from ratite.testing.bench import DeviceBench
from ratite.testing.chardev import FakeChardev

__all__ = ["DeviceBench", "FakeChardev"]
