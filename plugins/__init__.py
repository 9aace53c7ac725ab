"""Task plugins: one folder each; the core discovers them by their ``plugin.toml``."""
