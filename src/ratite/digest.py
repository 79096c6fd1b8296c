"""Digests of what is kept on disk: BLAKE2b (RFC 7693), as in `hashlib`, whose import loads OpenSSL and costs a tenth of a program's start."""

from __future__ import annotations

try:
    from _blake2 import blake2b  # CPython's own
except ImportError:
    from hashlib import blake2b

__all__ = ["blake2b"]
