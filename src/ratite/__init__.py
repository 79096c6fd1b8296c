"""Ratite: a machine emulator and virtualizer whose source is Python."""
