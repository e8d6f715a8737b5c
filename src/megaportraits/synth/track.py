"""A person performing a motion in front of a camera: transforms of each frame, projected landmarks, and the truth."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from megaportraits.data.clips import Truth
from megaportraits.data.crop import SquareCrop, clip_crop
from megaportraits.geometry import fit_similarity_2d, rotation_to_ray, theta
from megaportraits.synth.controls import CONTROLS, pose_units
from megaportraits.synth.motion import MotionTrack
from megaportraits.synth.person import Person
from megaportraits.synth.rig import Rig
from megaportraits.synth.rotations import (
    WORLD_TO_CROP,
    about_point,
    rotation_from_vector,
    rotation_vector,
    world_rotation,
)
from megaportraits.synth.scene import Camera
from megaportraits.tensors import HeadPose

NECK_SHARES = (0.22, 0.16, 0.17, 0.45)
"""Share of the head's turn in neck01, neck02, neck03 and the head bone."""
WAIST_BELOW_NECK_DM = 2.0
VERGENCE_DEG = 2.0
"""Each eye turns inwards by this."""
MOUTH_OPENING = {
    "jaw_open": 1.6, "jaw_wide": 1.3, "lower_lip_down": 0.35, "upper_lip_up": 0.3, "smile_left": 0.12,
    "smile_right": 0.12,
}  # fmt: skip
"""How much light each control lets into the mouth."""


@dataclass(frozen=True)
class FramePose:
    """Where everything is in one frame, in MakeHuman's world."""

    coefficients: Float[np.ndarray, " C"]
    """Blendshape columns."""
    neck: Float[np.ndarray, "4 4 4"]
    """neck01, neck02, neck03, head, before the torso."""
    eyes: Float[np.ndarray, "2 4 4"]
    torso: Float[np.ndarray, "4 4"]
    mouth_open: float
    """0 closed to 1."""


@dataclass(frozen=True)
class Track:
    """One person, one motion, one camera."""

    poses: tuple[FramePose, ...]
    camera: Camera
    crop: SquareCrop
    """The clip's one square, in the camera's image plane at distance 1 (x right, y down)."""
    truth: Truth

    def projection(self) -> Float[np.ndarray, "4 4"]:
        """OpenGL matrix, camera to clip space, whose picture is exactly the crop."""
        matrix = self.camera.perspective()
        zoom = 2 / self.crop.side
        matrix[0, 0] = matrix[1, 1] = zoom
        matrix[0, 2] = zoom * self.crop.x + 1
        matrix[1, 2] = -zoom * self.crop.y - 1
        return matrix


def perform(rig: Rig, person: Person, motion: MotionTrack, camera: Camera) -> Track:
    """Pose a person through a motion and measure the truth; nothing is drawn.

    A motion says how the face is turned, not the head bone: all who perform it look alike turned.
    """
    poses = tuple(_pose(rig, person, motion, frame) for frame in range(len(motion)))
    points = np.stack([_to_camera(camera, _landmarks(person, pose)) for pose in poses])
    plane = points[..., :2] / points[..., 2:]
    crop = clip_crop(plane)
    heads = np.stack([camera.view @ pose.torso @ pose.neck[3] for pose in poses])
    origins = np.stack([WORLD_TO_CROP @ (m @ np.append(person.head_origin, 1.0))[:3] for m in heads])
    depth = (points[..., 2:] - origins[:, None, 2:]) / origins[:, None, 2:] * (2 / crop.side)
    landmarks = crop.to_crop_coordinates(plane)
    rotation = WORLD_TO_CROP @ heads[:, :3, :3] @ person.head_rotation @ WORLD_TO_CROP
    truth = _truth(motion, rotation_to_ray(origins).transpose(0, 2, 1) @ rotation, landmarks, depth)
    return Track(poses, camera, crop, truth)


def _truth(motion: MotionTrack, rotation, landmarks, depth) -> Truth:
    scale, translation = fit_similarity_2d(rotation, landmarks, range(landmarks.shape[1]))
    head = HeadPose(*(torch.from_numpy(np.asarray(a, np.float64)) for a in (rotation, scale, translation)))
    blink = [CONTROLS.index("blink_left"), CONTROLS.index("blink_right")]
    arrays = {
        "rotation": rotation,
        "scale": scale,
        "translation": translation,
        "theta": theta(head).numpy(),
        "controls": motion.controls,
        "gaze": motion.gaze_deg,
        "blink": motion.controls[:, blink],
        "landmarks": landmarks,
        "landmarks_3d": np.concatenate([landmarks, depth], 2),
    }
    return Truth(**{name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})


def _pose(rig: Rig, person: Person, motion: MotionTrack, frame: int) -> FramePose:
    controls, (yaw, pitch) = motion.controls[frame], motion.gaze_deg[frame]
    units = pose_units(controls, (yaw, pitch), person.spec.resting, person.lid_closure)
    turn = rotation_vector(world_rotation(*motion.head_deg[frame]) @ person.head_rotation.T)
    neck = [np.eye(4)]
    for joint, share in zip(person.neck_joints, NECK_SHARES, strict=True):
        neck.append(neck[-1] @ about_point(rotation_from_vector(share * turn), joint))
    eyes = [
        about_point(world_rotation(yaw + inwards, pitch), centre)
        for inwards, centre in zip((-VERGENCE_DEG, VERGENCE_DEG), person.eye_centres, strict=True)
    ]
    waist = np.array([0.0, person.neck_joints[0, 1] - WAIST_BELOW_NECK_DM, 0.0])
    torso = about_point(world_rotation(*motion.torso_deg[frame]), waist)
    torso[:3, 3] += motion.torso_shift_dm[frame]
    opening = sum(weight * controls[CONTROLS.index(name)] for name, weight in MOUTH_OPENING.items())
    coefficients = rig.coefficients(units)
    return FramePose(coefficients, np.stack(neck[1:]), np.stack(eyes), torso, float(np.clip(opening, 0, 1)))


def _landmarks(person: Person, pose: FramePose) -> Float[np.ndarray, "468 3"]:
    points = person.landmarks.at(pose.coefficients).astype(np.float64)
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    weights = person.landmark_neck_weights
    moved = np.einsum("nk,kij,nj->ni", weights, pose.neck, homogeneous)
    moved += (1 - weights.sum(1, keepdims=True)) * homogeneous
    return (moved @ pose.torso.T)[:, :3]


def _to_camera(camera: Camera, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    """World -> camera in crop axes (x right, y down, z away)."""
    return (points @ camera.view[:3, :3].T + camera.view[:3, 3]) @ WORLD_TO_CROP
