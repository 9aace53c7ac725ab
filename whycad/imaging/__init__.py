"""Images in: bytes to ``Study``, with nothing of the patient and within limits."""

from whycad.imaging.limits import Limits
from whycad.imaging.reader import read_study

__all__ = ["Limits", "read_study"]
