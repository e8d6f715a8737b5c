"""Pairs from single photos: augmented views of one picture.

Ours; the paper trains its base model on videos (B.3). Photos bring many people but no motion: source and drivers differ
by a random move, zoom and turn of the crop, and in what the expression net sees. A prepared photo is a clip of one
frame.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from megaportraits.config import AugmentConfig
from megaportraits.data import augment
from megaportraits.data.clips import find_clips
from megaportraits.data.pairs import Frame, FrameStore, PairDataset
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose

_SHIFT, _ZOOM, _ROLL_DEG = 0.1, 0.15, 15.0
"""Largest random similarity of a view, as in `augment.random_similarity`."""


def find_stills(folders: Sequence[str | Path]) -> list[Path]:
    """Prepared photos for training.

    Raises:
        UserError: there is none.
    """
    try:
        return find_clips(folders, "train")
    except UserError as error:
        names = ", ".join(map(str, folders))
        raise UserError(f"no prepared photo is in {names}; make some with `megaportraits prepare photos`") from error


def moved_keypoints(keypoints: Float[Tensor, "1 K 2"], before: HeadPose, after: HeadPose) -> Float[Tensor, "1 K 2"]:
    """Keypoints moved by the similarity that took a head from one pose to another within the picture."""
    turn = (after.rotation @ before.rotation.transpose(1, 2))[:, :2, :2]
    factor = (after.scale / before.scale)[:, None, None]
    centred = keypoints - before.translation[:, None, :2]
    return factor * centred @ turn.transpose(1, 2) + after.translation[:, None, :2]


class StillPairs(PairDataset):
    """Item i: a source and `drivers_per_source` drivers, all of them views of one prepared photo.

    Of clips with more frames it takes the first. A function of (seed, i), augmented as `PairDataset`.
    """

    moving = False

    def __init__(
        self,
        stills: Sequence[Path],
        size_px: int,
        config: AugmentConfig,
        drivers_per_source: int,
        seed: int,
        length: int,
        cache_gb: float | int,
    ):
        super().__init__(FrameStore(stills, size_px, cache_gb), config, drivers_per_source, seed, length)

    def _numbers(self, clip: int, generator: Generator) -> list[int]:
        return [0] * (self.drivers + 1)

    def _actor(self, clip: int, generator: Generator) -> int:
        return clip

    def _frame(self, clip: int, number: int, generator: Generator) -> Frame:
        still = self.store.frame(clip, number)
        moved, pose = augment.random_similarity(
            torch.cat([still.rgb, still.matte], 1), still.pose, generator, _SHIFT, _ZOOM, _ROLL_DEG
        )
        keypoints = moved_keypoints(still.keypoints, still.pose, pose)
        depth = still.depth * (pose.scale / still.pose.scale)[:, None]
        return replace(still, rgb=moved[:, :3], matte=moved[:, 3:], pose=pose, keypoints=keypoints, depth=depth)
