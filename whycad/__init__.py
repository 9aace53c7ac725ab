"""WhyCAD: explainable computer-aided diagnosis, for research and education only."""

__version__ = "0.1.0"
