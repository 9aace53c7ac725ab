"""Benchmark cases: every module here has ``cases() -> list[Case]``."""
