"""A small real plugin whose gate and preprocessing share a survey of the image."""

from __future__ import annotations

from whycad.testing.plugins import PREPROCESS, TinyPlugin

SURVEY = '''
"""The middle grey and the contrast, looked for once."""

import numpy as np


def survey(study, region):
    """Return the median grey and the range of greys."""
    return np.array([np.median(study.pixels), np.ptp(study.pixels)])


def gate(study, region, found):
    """Refuse what has no contrast."""
    return () if found[1] > 0.05 else ("There is no contrast.",)
'''
SURVEYED = TinyPlugin(
    colour=False,
    input="per_slice = true\n",
    preprocess=PREPROCESS.replace("(study, region=None)", "(study, region, found)").replace(
        "array * 2 - 1", "array - found[0]"
    ),
    files={"extras.py": SURVEY},
    code='gate = "extras:gate"\nsurvey = "extras:survey"\n',
)
