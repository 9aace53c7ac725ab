"""One page each, thin."""
