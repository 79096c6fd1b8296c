"""Virtio devices and their transport. `device`, `features` and `queue` are what they share."""

from ratite.hw.virtio import blk, console, device, entropy, features, filter, mmio, net, pci, queue, rng

__all__ = ["blk", "console", "device", "entropy", "features", "filter", "mmio", "net", "pci", "queue", "rng"]
