"""Phantom tests of the audit itself: simulated sets with a known fault, and whether the audit finds it."""
