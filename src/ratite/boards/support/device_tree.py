"""Device trees, written as Python and turned into a blob by libfdt (Devicetree Specification 0.4).

    tree = DeviceTree({"compatible": "riscv-virtio", "#address-cells": 2})
    plic = soc.node("plic@c000000", {"reg": cells64(0xC000000, 0x600000), "interrupt-controller": EMPTY})
    soc.node("serial@10000000", {"interrupt-parent": plic, "interrupts": 10})

A value is a number (one cell), text, a list of texts, bytes, EMPTY, or a list of cells in which a node stands for its
phandle; phandles are given out to the nodes that are referred to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

from ratite.errors import DefinitionError, HostError, ImageError

Value = Union[int, str, bytes, "Node", Sequence[Union[int, str, "Node"]]]
EMPTY = b""
"""A property that only exists."""


def cells64(*values: int) -> list[int]:
    """Numbers of two cells each."""
    return [half for value in values for half in (value >> 32, value & 0xFFFF_FFFF)]


class Node:
    """A node with its properties and children, in the order in which they were added."""

    def __init__(self, name: str, properties: Mapping[str, Value], tree: DeviceTree) -> None:
        self.name, self.properties, self.children = name, dict(properties), list[Node]()
        self._tree = tree
        self._phandle = 0

    def node(self, name: str, properties: Mapping[str, Value] | None = None) -> Node:
        """Add a child."""
        if any(child.name == name for child in self.children):
            raise DefinitionError(f"the device tree has two nodes {name} in {self.name}")
        self.children.append(Node(name, properties or {}, self._tree))
        return self.children[-1]

    @property
    def phandle(self) -> int:
        """The number by which other nodes refer to this one."""
        if not self._phandle:
            self._phandle = self._tree.next_phandle()
        return self._phandle

    def refer(self) -> None:
        """Give a phandle to every node that a property refers to."""
        for value in self.properties.values():
            for item in _items(value):
                if isinstance(item, Node):
                    item.phandle    # noqa: B018 (reading it makes it)
        for child in self.children:
            child.refer()

    def encoded(self) -> Iterator[tuple[str, bytes]]:
        """All properties with their bytes."""
        for name, value in self.properties.items():
            yield name, _encode(value)
        if self._phandle:
            yield "phandle", _encode(self._phandle)


class DeviceTree:
    """A whole tree; `root` is its first node."""

    def __init__(self, properties: Mapping[str, Value]) -> None:
        self._phandles = 0
        self.root = Node("", properties, self)

    def next_phandle(self) -> int:
        """A number that no node has yet."""
        self._phandles += 1
        return self._phandles

    def blob(self) -> bytes:
        """The tree in its binary form. Raises HostError when libfdt is missing."""
        libfdt = _libfdt()
        self.root.refer()
        writer = libfdt.FdtSw()
        writer.finish_reservemap()
        self._write(writer, self.root)
        return bytes(writer.as_fdt().as_bytearray())

    def _write(self, writer: Any, node: Node) -> None:
        writer.begin_node(node.name)
        for name, data in node.encoded():
            writer.property(name, data)
        for child in node.children:
            self._write(writer, child)
        writer.end_node()


def with_chosen(name: str, blob: bytes, properties: Mapping[str, Value]) -> bytes:
    """A user's blob with these properties set in /chosen; `name` is for errors. Raises ImageError."""
    libfdt = _libfdt()
    try:
        tree = libfdt.Fdt(bytearray(blob))
        tree.resize(tree.totalsize() + 4096 + sum(len(_encode(value)) + 64 for value in properties.values()))
        root = tree.path_offset("/")
        chosen = tree.subnode_offset(root, "chosen", [libfdt.NOTFOUND])
        if chosen < 0:
            chosen = tree.add_subnode(root, "chosen")
        for key, value in properties.items():
            tree.setprop(chosen, key, _encode(value))
        tree.pack()
    except (libfdt.FdtException, ValueError, TypeError) as error:
        raise ImageError(f"device tree '{name}' cannot be used: {error}") from None
    return bytes(tree.as_bytearray())


def write_blob(path: str, blob: bytes) -> None:
    """Put a blob into a file of the user's. Raises HostError."""
    try:
        with open(path, "wb") as file:
            file.write(blob)
    except OSError as error:
        raise HostError(f"device tree file '{path}': {error.strerror}") from None


def _libfdt() -> Any:
    try:
        import libfdt
    except ImportError:
        raise HostError("the Python package pylibfdt is missing; boards need it to write device trees") from None
    return libfdt


def _items(value: Value) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else (value,)


def _encode(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"".join(_cell(item) for item in _items(value))


def _cell(item: object) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogateescape") + b"\0"
    if isinstance(item, Node):
        item = item.phandle
    if not isinstance(item, int):
        raise DefinitionError(f"{item!r} is no value for a device tree")
    return struct.pack(">I", item & 0xFFFF_FFFF)
