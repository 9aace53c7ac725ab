"""Data sets as an audit sees them: rows, labels, groups, splits, metadata, and images one at a time."""
