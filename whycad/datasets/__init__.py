"""Readers for image collections, and splits that never part a patient."""
