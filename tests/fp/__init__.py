"""Tests of `ratite.fp` against SoftFloat, the definition, the host's units, and another emulator."""
