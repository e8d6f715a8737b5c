"""The two eyes of a face: pictures cut out upright, keypoints relative to them, training samples of gaze and blink.

Both eyes are cut out as they are seen (neither is mirrored), the person's left eye first, like `Truth.blink`. A picture
is centred between the corners of its eye, its horizontal axis runs parallel to the line through both eyes, and its side
is 1.7 widths of the wider eye. Only the four corners of the eyes matter for the cut.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.utils.data import Dataset

from megaportraits import geometry
from megaportraits.config import EyeAugmentConfig, GazeTraining
from megaportraits.data import augment
from megaportraits.data.keypoints import LEFT_EYE, RIGHT_EYE, positions
from megaportraits.data.pairs import FrameStore
from megaportraits.errors import UserError

SIDE_PER_EYE_WIDTH = 1.7
_CORNERS = positions([RIGHT_EYE[0], RIGHT_EYE[8], LEFT_EYE[8], LEFT_EYE[0]])
"""From the picture's left to its right."""
_EYES = (positions(LEFT_EYE), positions(RIGHT_EYE))


@dataclass(frozen=True)
class EyeState:
    """Where the eyes look and how far they are closed."""

    gaze_deg: Float[Tensor, "B 2"]
    """(yaw, pitch) of the eyes in the head, signs as the head's (`geometry.py`)."""
    blink: Float[Tensor, "B 2"]
    """The person's left and right eye, 0 open to 1 closed."""

    def flipped(self) -> "EyeState":
        """The state of the mirrored picture."""
        return EyeState(self.gaze_deg * self.gaze_deg.new_tensor([-1.0, 1.0]), self.blink.flip(-1))


@dataclass(frozen=True)
class EyeSample:
    """What the gaze net learns from."""

    eyes: Float[Tensor, "B 2 3 S S"]
    keypoints: Float[Tensor, "B K 2"]
    truth: EyeState

    def to(self, device: torch.device) -> "EyeSample":
        truth = EyeState(self.truth.gaze_deg.to(device), self.truth.blink.to(device))
        return EyeSample(self.eyes.to(device), self.keypoints.to(device), truth)


def eyes_known(keypoints: Float[Tensor, "B K 2"]) -> Bool[Tensor, " B"]:
    """Whether all corners of the eyes are known."""
    return keypoints[:, _CORNERS].isfinite().all(-1).all(-1)


@dataclass(frozen=True)
class _Frames:
    """Upright frames of the two eyes, in crop coordinates."""

    centre: Float[Tensor, "B 2 2"]
    """Between the corners of the left and of the right eye."""
    along: Float[Tensor, "B 2"]
    """Unit vector from the right eye to the left one: the horizontal axis of an upright face."""
    half: Float[Tensor, " B"]
    """Half a side of the pictures."""

    def axes(self) -> Float[Tensor, "B 2 2"]:
        """Rows: the horizontal and the vertical axis."""
        return torch.stack([self.along, torch.stack([-self.along[:, 1], self.along[:, 0]], -1)], 1)


def _frames(keypoints: Float[Tensor, "B K 2"]) -> _Frames:
    """Frames from the corners; where these are unknown, some frame without meaning, but finite."""
    spare = torch.tensor([[-0.4, 0.0], [-0.2, 0.0], [0.2, 0.0], [0.4, 0.0]]).to(keypoints)
    corners = torch.where(eyes_known(keypoints)[:, None, None], keypoints[:, _CORNERS], spare)
    right, left = corners[:, :2].mean(1), corners[:, 2:].mean(1)
    widths = torch.stack([corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 2]], 1).norm(dim=-1)
    half = widths.amax(1).clamp(min=1e-3) * (SIDE_PER_EYE_WIDTH / 2)
    return _Frames(torch.stack([left, right], 1), F.normalize(left - right, dim=-1), half)


def eye_crops(image: Float[Tensor, "B 3 H W"], keypoints: Float[Tensor, "B K 2"], size: int) -> Tensor:
    """`B 2 3 S S`: both eyes, upright, differentiable in the picture; without meaning where corners are unknown.

    Twice the size is read and averaged, so that large pictures are not aliased. Outside the picture is black.
    """
    with geometry.full_precision(image.device):
        frames = _frames(keypoints)
        square = geometry.identity_grid((2 * size, 2 * size), keypoints.device, keypoints.dtype)
        window = torch.einsum("hwi,bij->bhwj", square, frames.axes())
        grids = window[:, None] * frames.half[:, None, None, None, None] + frames.centre[:, :, None, None]
    seen = F.avg_pool2d(geometry.sample(image, grids.flatten(1, 2)), 2)
    return seen.unflatten(2, (2, size)).transpose(1, 2)


def relative_keypoints(keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
    """Keypoints in the frame of the eyes: origin between them, upright, unit = half a picture's side; unknown -> 0."""
    with geometry.full_precision(keypoints.device):
        frames = _frames(keypoints)
        centred = (keypoints - frames.centre.mean(1, keepdim=True)) / frames.half[:, None, None]
        return torch.einsum("bij,bkj->bki", frames.axes(), centred).nan_to_num(0.0)


def jitter_keypoints(
    keypoints: Float[Tensor, "1 K 2"], generator: Generator, config: EyeAugmentConfig
) -> Float[Tensor, "1 K 2"]:
    """Keypoints as another tracker might see them: each eye moved and resized as a whole, then every point moved."""
    width = float(2 * _frames(keypoints).half[0] / SIDE_PER_EYE_WIDTH)
    moved = keypoints + torch.randn(keypoints.shape, generator=generator) * config.keypoint_noise * width
    for eye in _EYES:
        ring = keypoints[:, eye]
        centre = ring[:, [0, 8]].mean(1, keepdim=True)
        factor = math.exp(config.zoom * float(torch.randn((), generator=generator)))
        shift = torch.randn(2, generator=generator) * config.shift * width
        moved[:, eye] += (ring - centre) * (factor - 1) + shift
    return moved


def degrade(eyes: Float[Tensor, "N 3 S S"], generator: Generator, config: EyeAugmentConfig) -> Float[Tensor, "N 3 S S"]:
    """Colour jitter, lower resolution, noise: the same for all pictures of one frame."""
    size = eyes.shape[-1]
    eyes = augment.colour_jitter(eyes, generator, config.jitter, config.grey)
    reduced = max(4, round(size / augment.uniform(generator, 1.0, config.blur)))
    eyes = F.interpolate(eyes, size=(reduced, reduced), mode="bilinear", antialias=True)
    eyes = F.interpolate(eyes, size=(size, size), mode="bilinear", align_corners=False)
    strength = augment.uniform(generator, 0.0, config.noise)
    return (eyes + strength * torch.randn(eyes.shape, generator=generator)).clamp(0, 1)


class EyeDataset(Dataset):
    """Frames whose gaze and blink are known; sample i is a function of (seed, i)."""

    def __init__(self, store: FrameStore, states: Sequence[EyeState], config: GazeTraining, eye_px: int, length: int):
        """`states` has one entry for each clip of the store; frames with NaN in it are left out.

        Raises:
            UserError: no frame is left.
        """
        self.store, self.states, self.config, self.eye_px, self.length = store, states, config, eye_px, length
        self.frames = [
            (clip, int(number))
            for clip, state in enumerate(states)
            for number in torch.cat([state.gaze_deg, state.blink], 1).isfinite().all(1).nonzero()[:, 0]
        ]
        self.blinks = [(clip, frame) for clip, frame in self.frames if states[clip].blink[frame].max() > 1 / 3]
        if not self.frames:
            raise UserError("no frame of the clips has a known gaze; give rendered clips, or predictions by --teacher")

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> EyeSample:
        """One frame as a batch of one.

        Raises:
            UserError: the drawn frame does not know the corners of its eyes.
        """
        settings = self.config.augment
        generator = Generator().manual_seed((self.config.loop.seed * 1_000_003 + index) % 2**63)
        rare = augment.uniform(generator, 0.0, 1.0) < self.config.blinks
        frames = self.blinks if rare and self.blinks else self.frames
        clip, number = frames[int(torch.randint(len(frames), (), generator=generator))]
        frame, rows = self.store.frame(clip, number), slice(number, number + 1)
        truth = EyeState(self.states[clip].gaze_deg[rows], self.states[clip].blink[rows])
        if not eyes_known(frame.keypoints).all():
            raise UserError(f"{self.store.clips[clip]} lacks the corners of the eyes; leave the clip out")
        if augment.uniform(generator, 0.0, 1.0) < settings.flip:
            frame, truth = frame.flipped(), truth.flipped()
        keypoints = jitter_keypoints(frame.keypoints, generator, settings)
        eyes = degrade(eye_crops(frame.rgb, keypoints, self.eye_px)[0], generator, settings)
        return EyeSample(eyes[None], keypoints, truth)
