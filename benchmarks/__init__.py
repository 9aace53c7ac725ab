"""Speed as ratios, never as absolute times: ``make bench``."""

import os

# Before NumPy is imported, here and in the processes that cases start: its BLAS counts as a thread too.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
