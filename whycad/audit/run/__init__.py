"""How an audit is computed: batches, cache, progress, and the order of its checks."""
