"""Tests of names, samples and pictures."""
