"""How the text of an instruction may end in the reference evaluator, other than with the next instruction."""

from __future__ import annotations


class GuestTrap(Exception):
    """An exception of the guest: `cause` and `value` as the architecture numbers them."""

    def __init__(self, cause: int, value: int = 0) -> None:
        super().__init__(cause, value)
        self.cause, self.value = cause, value


class Leave(Exception):
    """The instruction ends with `s.exit(reason)`; execution goes on at `to`."""

    def __init__(self, reason: int, to: int) -> None:
        super().__init__(reason, to)
        self.reason, self.to = reason, to
