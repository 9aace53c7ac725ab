"""The parts of the Why tab."""
