"""Arrays inside JSON: base64 of little-endian half or single precision, so that a reference stays small."""

from __future__ import annotations

import base64
import binascii
import math
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, model_validator

BYTES = {"float16": 2, "float32": 4}


class Packed(BaseModel):
    """One array.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        ``float16`` or ``float32``: how it is stored; it is used in double precision.
    data : str
        Base64 of the little-endian values in C order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    dtype: Literal["float16", "float32"]
    data: str

    @model_validator(mode="after")
    def _whole_and_finite(self) -> Packed:
        try:
            size = len(base64.b64decode(self.data, validate=True))
        except binascii.Error as error:
            raise ValueError("packed array: data is no base64") from error
        if any(side < 0 for side in self.shape) or size != math.prod(self.shape) * BYTES[self.dtype]:
            raise ValueError(f"packed array: {size} bytes cannot be {self.dtype} of shape {self.shape}")
        if not np.isfinite(self.array).all():
            raise ValueError("packed array: a value is not finite")
        return self

    @cached_property
    def array(self) -> NDArray[np.float64]:
        """The values in double precision; not to be written to."""
        raw = np.frombuffer(base64.b64decode(self.data), np.dtype(self.dtype).newbyteorder("<"))
        values: NDArray[np.float64] = raw.astype(np.float64).reshape(self.shape)
        values.setflags(write=False)
        return values


def pack(values: ArrayLike, dtype: Literal["float16", "float32"] = "float32") -> Packed:
    """Store an array; raises ``ValueError`` where a value is not finite in that precision."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        raw = array.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return Packed(shape=array.shape, dtype=dtype, data=base64.b64encode(raw).decode("ascii"))
