"""From logits to probabilities, sets, uncertainty and a decision."""
