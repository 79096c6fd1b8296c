"""NVM Express: a controller as a PCI function, its queues and commands."""

from ratite.hw.nvme import admin, controller, identify, namespace, prp, queues, status

__all__ = ["admin", "controller", "identify", "namespace", "prp", "queues", "status"]
