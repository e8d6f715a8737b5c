"""What is known of recorded clips: head poses fitted to MediaPipe's landmarks.

Expression controls, gaze and blink are unknown (`Truth`).
"""

import numpy as np
import torch
from jaxtyping import Float

from megaportraits import geometry
from megaportraits.data.clips import Truth
from megaportraits.tensors import HeadPose

LANDMARKS = 468
"""MediaPipe's landmarks without the ten of the irises."""
_PITCH_BIAS_DEG = -1.8
"""Mean pitch of that fit less the true one on 209 rendered frames of 60 people (deviation 4.6, yaw 0.3 +- 2.8, roll
-0.7 +- 2.4): MediaPipe's depths are those of its own mean face."""


def rotation_of_landmarks(landmarks: Float[np.ndarray, "T 468 3"]) -> Float[np.ndarray, "T 3 3"]:
    """Rotation of the similarity that best takes the mean head's upper part to 3D landmarks (Kabsch, 1976).

    Axes as in the crop frame (x right, y down, z away), any unit. The jaw is left out: it moves with the mouth. The
    fit's mean error of pitch is taken off, so that recorded and rendered clips share one head frame.
    """
    rigid = geometry.rigid_landmarks()
    fitted = geometry.fit_rotation(landmarks[:, rigid], rigid)
    zero, bias = torch.zeros(1), torch.tensor([_PITCH_BIAS_DEG])
    unbias = geometry.rotation_from_angles(zero, -bias, zero)[0].double().numpy()
    return (fitted @ unbias).astype(np.float32)


def truth_of(landmarks: Float[np.ndarray, "T L 3"]) -> Truth:
    """What MediaPipe's 468 or 478 landmarks in crop coordinates say about each frame; the rest is empty or NaN."""
    count, face = len(landmarks), landmarks[:, :LANDMARKS]
    rotation = rotation_of_landmarks(face)
    flat = landmarks[..., :2].astype(np.float32)
    scale, translation = geometry.fit_similarity_2d(rotation, flat[:, :LANDMARKS], range(LANDMARKS))
    pose = HeadPose(*(torch.from_numpy(a) for a in (rotation, scale, translation)))
    placed = scale[:, None] * np.einsum("tj,lj->tl", rotation[:, 2], geometry.mean_head())
    depth = landmarks[..., 2] - face[..., 2].mean(1, keepdims=True) + placed.mean(1, keepdims=True)
    unknown = np.full((count, 2), np.nan, np.float32)
    return Truth(
        rotation=rotation,
        scale=scale,
        translation=translation,
        theta=geometry.theta(pose).numpy(),
        controls=np.zeros((count, 0), np.float32),
        gaze=unknown,
        blink=unknown,
        landmarks=flat,
        landmarks_3d=np.concatenate([flat, depth[..., None].astype(np.float32)], -1),
    )
