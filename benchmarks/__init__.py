"""Speed as ratios, never as absolute times: ``make bench``."""
