"""Profiles and invariants."""
