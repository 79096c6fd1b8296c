"""guest-get-host-name, guest-get-timezone, guest-get-osinfo."""

from __future__ import annotations

import os
import re
import shlex
import socket
import time
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import command

_RELEASE_FILES = ("/etc/os-release", "/usr/lib/os-release")
_RELEASE = {
    "ID": "id", "NAME": "name", "PRETTY_NAME": "pretty-name", "VERSION": "version",
    "VERSION_ID": "version-id", "VARIANT": "variant", "VARIANT_ID": "variant-id",
}    # fmt: skip
_ASSIGNMENT = re.compile(r"([A-Z0-9_]+)=(.*)")


@command("guest-get-host-name")
def host_name(agent: Agent) -> dict[str, str]:
    """The host's name."""
    return {"host-name": socket.gethostname()}


@command("guest-get-timezone")
def timezone(agent: Agent) -> dict[str, Any]:
    """The time zone's abbreviation, and how many seconds it is now ahead of UTC."""
    time.tzset()    # the administrator may have changed it since the start
    now = time.localtime(agent.system.time() / 1e9)
    return {"zone": now.tm_zone, "offset": now.tm_gmtoff}


@command("guest-get-osinfo")
def osinfo(agent: Agent) -> dict[str, str]:
    """The kernel, and the distribution as os-release(5) tells it."""
    kernel = os.uname()
    answer = {"kernel-release": kernel.release, "kernel-version": kernel.version, "machine": kernel.machine}
    text = next((text for text in map(agent.system.read_line, _RELEASE_FILES) if text), "")
    for match in filter(None, map(_ASSIGNMENT.fullmatch, text.splitlines())):
        if match[1] in _RELEASE:
            answer[_RELEASE[match[1]]] = _unquoted(match[2])
    return answer


def _unquoted(text: str) -> str:
    """A value as a shell would read it."""
    try:
        return "".join(shlex.split(text))
    except ValueError:
        return text
