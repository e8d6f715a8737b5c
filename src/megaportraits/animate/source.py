"""A picture, ready to be driven: everything that depends on the source only."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.data.crop import SquareCrop
from megaportraits.tensors import Canonical, Motion


@dataclass(frozen=True)
class Source:
    """A picture, ready to be driven."""

    photo: UInt8[np.ndarray, "H W 3"]
    """The whole picture."""
    square: SquareCrop
    """Where the crop is in it."""
    crop: UInt8[np.ndarray, "S S 3"]
    """The head, framed as all crops are (`data/crop.py`)."""
    matte: Float[np.ndarray, "S S"]
    """The person in the crop, in [0, 1]."""
    plate: Float[np.ndarray, "S S 3"]
    """The crop in [0, 1] without the person."""
    canonical: Canonical
    """What the model keeps of the person."""
    motion: Motion
    """The source's own pose and expression."""
