"""Images in: bytes to ``Study``, with nothing of the patient and within limits."""

from whycad.imaging.limits import Limits
from whycad.imaging.reader import read_study
from whycad.imaging.studies import StudyItem, read_studies

__all__ = ["Limits", "StudyItem", "read_studies", "read_study"]
