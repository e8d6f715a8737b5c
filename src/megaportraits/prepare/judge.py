"""Who judges the quality of pictures: our own measure, or HyperIQA."""

from functools import cache

import numpy as np
import torch
from jaxtyping import UInt8

from megaportraits.data.crop import SquareCrop
from megaportraits.losses.pretrained import load_frozen
from megaportraits.prepare.quality import quality

EVERY = 5
"""Of a video, every so manyth picture is judged, and stands for those up to the next."""


def judge(frame: UInt8[np.ndarray, "H W 3"], square: SquareCrop, crop: UInt8[np.ndarray, "S S 3"], net: str) -> float:
    """Quality of a head's picture: 0 to 1 of our own measure, 0 to 100 of HyperIQA.

    Args:
        frame: the file's picture.
        square: the head's square in it.
        crop: the square's content, as it will be stored.
        net: file of HyperIQA; empty for our own measure.
    """
    if not net:
        return quality(frame, square)
    rgb = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return float(_hyperiqa(net)(rgb))


def check_net(net: str) -> None:
    """Open the network once, before hours of work.

    Raises:
        UserError: there is no such file, or it does not hold HyperIQA.
    """
    if net:
        _hyperiqa(net)


@cache
def _hyperiqa(net: str) -> torch.nn.Module:
    return load_frozen("hyperiqa", net)
