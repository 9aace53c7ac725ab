"""One exception tree. Messages name the subject, the rule, what was found and what to do.

No message ever holds a value of a patient's tag: it may be shown and logged as it is.
"""

from __future__ import annotations


class WhyCadError(Exception):
    """Base of every error that WhyCAD raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, in a sentence, free of patient data.
    remedy : str
        What the reader can do about it; may be empty.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.remedy))


def _rebuild(kind: type[WhyCadError], message: str, remedy: str) -> WhyCadError:
    return kind(message, remedy=remedy)


class ImageError(WhyCadError):
    """A file cannot become a Study."""


class UnsupportedFormatError(ImageError):
    """The file is of a kind, syntax or modality that is not read."""


class CorruptImageError(ImageError):
    """The file breaks its own format."""


class UnreadableError(CorruptImageError):
    """The file cannot be opened or read at present; it may be gone, locked, or on a disk that is away."""


class ImageTooLargeError(ImageError):
    """The file declares or unpacks to more than the limits allow."""


class DecodeLimitError(ImageError):
    """The decoding child was stopped at its limit of time or memory, or died."""


class GeometryError(WhyCadError):
    """A point, region or map does not fit the image it belongs to."""


class ManifestError(WhyCadError):
    """A plugin.toml breaks the schema or contradicts the plugin's files."""


class PluginError(WhyCadError):
    """A plugin's code raised, hung, died or returned something it did not declare."""


class WeightsError(PluginError):
    """Weights are missing, corrupt, swapped or of the wrong shape."""


class PredictionError(WhyCadError):
    """A model gave no usable numbers."""


class MemoryShortError(PredictionError):
    """The machine ran out of memory."""


class ExplanationError(WhyCadError):
    """An explanation method cannot run on this model or input."""


class JobError(WhyCadError):
    """A job could not be queued or finished."""


class JobCancelledError(JobError):
    """The job was cancelled by whoever asked for it."""


class DatasetError(WhyCadError):
    """A collection of images cannot be read or lacks what was asked for."""


class StoreError(WhyCadError):
    """A result cannot be saved or loaded."""


class TrainingError(WhyCadError):
    """Training cannot start or resume."""


class ReportError(WhyCadError):
    """A report cannot be laid out or written."""


MAY_PASS = (DecodeLimitError, UnreadableError, MemoryShortError, StoreError)


def may_pass(error: WhyCadError) -> bool:
    """Tell whether another try may go well: after a deadline, a dead child, an unreadable disk, too little memory."""
    return isinstance(error, MAY_PASS) or isinstance(error.__cause__, MemoryError)
