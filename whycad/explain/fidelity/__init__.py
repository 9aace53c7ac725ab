"""How far a map can be trusted: each measure is a module; ``case`` puts them together, ``grading`` judges."""
