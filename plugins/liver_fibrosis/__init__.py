"""Liver fibrosis stage, F0 to F4, from a simulated hepatobiliary-phase MR slice."""
