"""What is seen of a face in one frame, as numbers."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from megaportraits import geometry
from megaportraits.data.alignment import aligned_face
from megaportraits.data.crop import clip_crop
from megaportraits.data.recorded import rotation_of_landmarks
from megaportraits.geometry import FACE_OVAL
from megaportraits.metrics.landmarks import eye_opening, mouth_opening
from megaportraits.models.identity import IdentityNet
from megaportraits.tensors import HeadPose

_LANDMARKS = 468
_SHARPNESS_PX = 128
_FACE_CROP_PX = 256


@dataclass
class Sighting:
    """A face in one frame."""

    frame: int
    box: Float[np.ndarray, " 4"]
    """Face oval in pixels: x, y, width, height."""
    mouth: float
    """Opening of the mouth."""
    eyes: float
    """Mean opening of the eyes."""
    angles_deg: Float[np.ndarray, " 3"]
    """Yaw, pitch, roll."""
    look: Float[Tensor, " D"] | None = None
    """Embedding of the recognition net, of length 1; None where it was not asked."""
    row: int = -1
    """Number among all sightings of a video, in the order of their frames."""


def sighting(frame_number: int, landmarks_px: Float[np.ndarray, "478 3"]) -> Sighting:
    """Measures of a face by its landmarks."""
    points = landmarks_px[None, :_LANDMARKS]
    oval = points[0, list(FACE_OVAL), :2]
    flat = torch.from_numpy(points[..., :2])
    rotation = torch.from_numpy(rotation_of_landmarks(points))
    return Sighting(
        frame_number,
        np.concatenate([oval.min(0), np.ptp(oval, axis=0)]),
        float(mouth_opening(flat)),
        float(eye_opening(flat)),
        geometry.angles_from_rotation(rotation)[0].double().numpy(),
    )


@torch.inference_mode()
def embedding(
    net: IdentityNet, frame: UInt8[np.ndarray, "H W 3"], landmarks_px: Float[np.ndarray, "478 3"]
) -> Float[Tensor, " D"]:
    """What the recognition net says of a face."""
    points = landmarks_px[None, :_LANDMARKS]
    square, rotation = clip_crop(points[..., :2]), rotation_of_landmarks(points)
    flat = square.to_crop_coordinates(points[..., :2])
    scale, translation = geometry.fit_similarity_2d(rotation, flat, range(_LANDMARKS))
    pose = HeadPose(*(torch.from_numpy(a) for a in (rotation, scale, translation)))
    crop = torch.from_numpy(square.cut(frame, _FACE_CROP_PX).copy()).permute(2, 0, 1)[None].float() / 255
    return net.embed(aligned_face(crop, pose, net.config.input_px))[0]


def brightness_and_sharpness(
    frame: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, " 4"] | None
) -> tuple[float, float]:
    """Mean luma, and variance of the Laplacian at 128 px, of a box of the frame, or of the whole frame."""
    region = frame
    if box is not None:
        x, y, width, height = box
        inside = frame[max(0, int(y)) : max(0, int(y + height)), max(0, int(x)) : max(0, int(x + width))]
        region = inside if inside.size else frame
    luma = cv2.cvtColor(np.ascontiguousarray(region), cv2.COLOR_RGB2GRAY)
    way = cv2.INTER_AREA if min(luma.shape) > _SHARPNESS_PX else cv2.INTER_CUBIC
    small = cv2.resize(luma, (_SHARPNESS_PX, _SHARPNESS_PX), interpolation=way)
    return float(luma.mean()), float(cv2.Laplacian(small, cv2.CV_64F).var())
