"""`-netdev tap`: a network interface of the host (Linux tun/tap driver)."""

from __future__ import annotations

import os
import struct
import subprocess

from ratite.errors import HostError, UsageError
from ratite.net.base import LONGEST_FRAME, NetBackend, NetContext
from ratite.settings import setting, settings

_DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA             # linux/if_tun.h
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_IFREQ = struct.Struct("16sH22x")
_IFUP, _IFDOWN = "/etc/qemu-ifup", "/etc/qemu-ifdown"
_FRAMES_A_TURN = 64                 # read at one go before others get the lock


@settings
class TapOptions:
    ifname: str = setting("name of the interface; the host chooses one by default", default="")
    script: str = setting("program run with the name to bring the interface up; 'no' for none", default="")
    downscript: str = setting("program run with the name at the end; 'no' for none", default="")
    fd: int | None = setting("an open tap device to use instead", default=None)
    vhost: bool = setting("'off' only: frames are not handed to the host's kernel driver", default=False)


class TapBackend(NetBackend, kind="tap", options=TapOptions):
    """A tap interface. Without `script` QEMU's /etc/qemu-ifup is run where it exists, and likewise at the end.

    Not supported: several queues, vhost, offloads, the bridge helper.
    """

    def __init__(self, context: NetContext, name: str, options: TapOptions) -> None:
        super().__init__(context, name)
        _check(name, options)
        self._fd, self.interface, self._down = -1, "", ""
        self._reading = self._blocked = False
        if options.fd is not None:
            self._fd = _inherited(name, options.fd)
        else:
            self._fd, self.interface = _open_tap(options.ifname)
            self._down = _script(options.downscript, _IFDOWN)
            if up := _script(options.script, _IFUP):
                self._run(up)
        self._watch(True)

    def send(self, frame: bytes) -> bool:
        if self._fd < 0 or not frame:
            return True
        try:
            os.write(self._fd, frame)
        except BlockingIOError:
            self._blocked = True
            self.loop.add_writer(self._fd, self._room_again)
            return False
        except OSError:    # the interface is down, or the frame is too short or too long for it
            self.dropped += 1
        return True

    def accept_input(self) -> None:
        super().accept_input()
        self._watch(True)

    def close(self) -> None:
        with self.lock:
            if self._fd >= 0:
                self.loop.forget(self._fd)
                os.close(self._fd)
                self._fd = -1
                if self._down:
                    subprocess.run([self._down, self.interface], check=False)

    def _watch(self, wanted: bool) -> None:
        """While the card takes nothing, frames wait in the host's own queue."""
        if wanted != self._reading and self._fd >= 0:
            self._reading = wanted
            if wanted:
                self.loop.add_reader(self._fd, self._on_readable)
            else:
                self.loop.remove_reader(self._fd)

    def _on_readable(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            if self._receive is not None and not self._can_receive():
                self._watch(False)
                return
            try:
                frame = os.read(self._fd, LONGEST_FRAME)
            except BlockingIOError:
                return
            except OSError:    # the interface was taken away or is down
                frame = b""
            if not frame:
                self._watch(False)
                return
            if self._receive is not None:    # without a card there is nobody to keep frames for
                self._deliver(frame)

    def _room_again(self) -> None:
        self.loop.remove_writer(self._fd)
        self._blocked = False
        self._on_room()

    def _run(self, script: str) -> None:
        try:
            status = subprocess.run([script, self.interface], check=False).returncode
        except OSError as error:
            reason: str = error.strerror or str(error)
        else:
            if status == 0:
                return
            reason = f"it ended with status {status}"
        self._down = ""
        self.close()
        raise HostError(f"netdev '{self.name}': network script {script} failed: {reason}; script=no skips it")


def _check(name: str, options: TapOptions) -> None:
    if options.vhost:
        raise UsageError(f"netdev '{name}': vhost=on is not supported; supported: vhost=off")
    if options.fd is not None and (options.ifname or options.script or options.downscript):
        raise UsageError(f"netdev '{name}': fd= goes without ifname=, script= and downscript=")
    if len(os.fsencode(options.ifname)) > 15:
        raise UsageError(f"netdev '{name}': interface name '{options.ifname}' is longer than 15 bytes")


def _script(chosen: str, default: str) -> str:
    if chosen == "no":
        return ""
    return chosen or (default if os.access(default, os.X_OK) else "")


def _inherited(name: str, fd: int) -> int:
    try:
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
    except OSError as error:
        raise HostError(f"netdev '{name}': file descriptor {fd}: {error.strerror}") from None
    return fd


def _open_tap(ifname: str) -> tuple[int, str]:
    import fcntl

    try:
        fd = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = "a tap interface needs the tun driver and the right to use it"
        raise HostError(f"cannot open {_DEVICE}: {error.strerror}; {hint}") from None
    try:
        answer = fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(os.fsencode(ifname), _IFF_TAP | _IFF_NO_PI))
    except OSError as error:
        os.close(fd)
        what = f"tap interface '{ifname}'" if ifname else "a tap interface"
        raise HostError(f"cannot set up {what}: {error.strerror}") from None
    given: bytes = _IFREQ.unpack(answer)[0]
    return fd, given.rstrip(b"\0").decode()
