"""Binary data in requests: base64 (RFC 4648, 4), without anything else between."""

from __future__ import annotations

import base64
import binascii
import re

from ratite.agent.errors import AgentError

_OTHER = re.compile(r"[^A-Za-z0-9+/=]")


def decode(text: str) -> bytes:
    """The bytes. Raises AgentError."""
    if _OTHER.search(text):
        raise AgentError("Base64 data contains invalid characters")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise AgentError("Base64 data is not valid") from None
