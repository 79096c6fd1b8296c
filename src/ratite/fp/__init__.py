"""Floating point by definition: exact arithmetic on bit patterns. `soft` has the operations; start reading there."""
