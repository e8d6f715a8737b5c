"""Rotations, rigid transforms, grids, and the only `grid_sample` of the project.

Convention, written once, here:

- Pictures are `B 3 H W`, RGB, float in [0, 1].
- Crop (camera) frame and head (canonical) frame: x to the picture's right, y down, z away from the viewer.
  Coordinates are in [-1, 1] over the picture or volume, in the order (x, y, z). Volumes are indexed
  depth (z), height (y), width (x).
- Grids lie on pixel centres, (2 i + 1) / N - 1, which is `align_corners=False`; outside is zero; interpolation is
  linear. Identity pose and zero offset return a volume unchanged.
- Angles are in degrees in every public name and defined by the picture: yaw > 0, the nose moves to the picture's
  right; pitch > 0, the nose moves up; roll > 0, the head turns clockwise as the viewer sees it.
  R = R_roll R_yaw R_pitch maps head axes to camera axes.
- The head frame is a face's own: R of a person is that of the mean head laid onto the upper part of their face at
  rest (`fit_rotation`), so that it can be seen in a picture.
- A head pose places the head in the crop: p_crop = s R p_head + t. theta (4 x 4) is its inverse: it maps crop to
  canonical coordinates (translate, then rotate, then scale). One isotropic scale. Cameras are weakly perspective
  inside a crop, so depth has no origin and t_z = 0.

Paper: 3.1, A.1 (rigid part of the warps). Deviations: one isotropic scale, pixel-centre grids, each side of the warp
composed into one grid (see `compose_driver_grid`, `compose_source_grid`).
"""

import functools
import math
from collections.abc import Sequence
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.numpy import load
from torch import Tensor

from megaportraits.tensors import HeadPose

FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176,
             149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
"""MediaPipe's numbers of the face-oval landmarks."""
_RIGID_ABOVE_Y = 0.3
FACE_CENTRE = (0.0, 0.2, -0.42)
"""Centre of the face region (between eyes and mouth) in the head frame."""
FACE_HALF_SIDE = 0.5
"""Half side of the square face region in the head frame: brows to chin with a margin."""


def _axis_rotation(axis: int, radians: Float[Tensor, " B"]) -> Float[Tensor, "B 3 3"]:
    c, s, zero, one = radians.cos(), radians.sin(), torch.zeros_like(radians), torch.ones_like(radians)
    rows = {
        0: (one, zero, zero, zero, c, -s, zero, s, c),
        1: (c, zero, s, zero, one, zero, -s, zero, c),
        2: (c, -s, zero, s, c, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, -1).view(-1, 3, 3)


def rotation_from_angles(
    yaw_deg: Float[Tensor, " B"], pitch_deg: Float[Tensor, " B"], roll_deg: Float[Tensor, " B"]
) -> Float[Tensor, "B 3 3"]:
    """R = R_roll R_yaw R_pitch (head axes -> camera axes), angles in degrees by the module's signs."""
    yaw, pitch, roll = (torch.deg2rad(a) for a in (yaw_deg, pitch_deg, roll_deg))
    return _axis_rotation(2, roll) @ _axis_rotation(1, -yaw) @ _axis_rotation(0, -pitch)


def angles_from_rotation(rotation: Float[Tensor, "B 3 3"]) -> Float[Tensor, "B 3"]:
    """(yaw_deg, pitch_deg, roll_deg) of R; inverse of `rotation_from_angles` for |yaw| < 90."""
    yaw = torch.asin(rotation[:, 2, 0].clamp(-1, 1))
    pitch = torch.atan2(-rotation[:, 2, 1], rotation[:, 2, 2])
    roll = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
    return torch.rad2deg(torch.stack((yaw, pitch, roll), -1))


def rotation_from_6d(vectors: Float[Tensor, "B 6"]) -> Float[Tensor, "B 3 3"]:
    """Gram-Schmidt on two 3-vectors: a continuous parametrisation of rotations (Zhou et al., CVPR 2019)."""
    x = F.normalize(vectors[:, :3], dim=-1)
    y = F.normalize(vectors[:, 3:] - (x * vectors[:, 3:]).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), -1)


def rotation_error_deg(a: Float[Tensor, "B 3 3"], b: Float[Tensor, "B 3 3"]) -> Float[Tensor, " B"]:
    """Angle of the rotation between a and b, in degrees."""
    cosine = ((a * b).sum((1, 2)) - 1) / 2  # trace of a^T b; a product of matrices would lose digits under autocast
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))


def pose_matrix(pose: HeadPose) -> Float[Tensor, "B 4 4"]:
    """Canonical -> crop coordinates: [s R | t]."""
    matrix = torch.zeros(len(pose.scale), 4, 4, dtype=pose.rotation.dtype, device=pose.rotation.device)
    matrix[:, :3, :3] = pose.scale[:, None, None] * pose.rotation
    matrix[:, :3, 3] = pose.translation
    matrix[:, 3, 3] = 1
    return matrix


def theta(pose: HeadPose) -> Float[Tensor, "B 4 4"]:
    """Crop -> canonical coordinates, the inverse of `pose_matrix` in closed form: (1/s) R^T (p - t)."""
    matrix = torch.zeros(len(pose.scale), 4, 4, dtype=pose.rotation.dtype, device=pose.rotation.device)
    linear = pose.rotation.transpose(1, 2) / pose.scale[:, None, None]
    matrix[:, :3, :3] = linear
    matrix[:, :3, 3] = -(linear @ pose.translation[:, :, None]).squeeze(-1)
    matrix[:, 3, 3] = 1
    return matrix


def pixel_centres(size: int, device: torch.device | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """(2 i + 1) / N - 1 for i in 0..N-1."""
    return (2 * torch.arange(size, device=device, dtype=dtype) + 1) / size - 1


def identity_grid(
    shape: Sequence[int], device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Coordinates of the pixel (H, W) or voxel (D, H, W) centres: `H W 2` or `D H W 3`, last axis (x, y[, z])."""
    axes = torch.meshgrid(*(pixel_centres(n, device, dtype) for n in shape), indexing="ij")
    return torch.stack(axes[::-1], -1)


def apply_matrix(matrix: Float[Tensor, "B 4 4"], points: Float[Tensor, "B *shape 3"]) -> Float[Tensor, "B *shape 3"]:
    """Apply an affine 4 x 4 matrix to points (x, y, z)."""
    flat = points.flatten(1, -2) @ matrix[:, :3, :3].transpose(1, 2) + matrix[:, None, :3, 3]
    return flat.view(points.shape)


def full_precision(device: torch.device) -> torch.autocast:
    """Arithmetic in fp32 inside mixed precision: half-precision coordinates are off by a part of a voxel."""
    return torch.autocast("cpu" if device.type == "meta" else device.type, enabled=False)


def working_type(*tensors: Tensor) -> torch.dtype:
    """Type for arithmetic on coordinates: fp32, or fp64 where a tensor has it."""
    return functools.reduce(torch.promote_types, (t.dtype for t in tensors), torch.float32)


def sample(values: Float[Tensor, "B C *size"], grid: Float[Tensor, "B *out n"]) -> Float[Tensor, "B C *out"]:
    """Read pictures (n = 2) or volumes (n = 3) at grid positions: the project's only `grid_sample`."""
    kind = working_type(values, grid)
    read = F.grid_sample(values.to(kind), grid.to(kind), mode="bilinear", padding_mode="zeros", align_corners=False)
    return read.to(values.dtype)


def _border_sample(values: Float[Tensor, "B C *size"], grid: Float[Tensor, "B *out n"]) -> Float[Tensor, "B C *out"]:
    """`sample` with the border repeated outside: for offset fields, which must not jump to zero at their edge."""
    limit = 1 - 1 / torch.tensor(values.shape[:1:-1], device=grid.device, dtype=grid.dtype)
    return sample(values, torch.maximum(torch.minimum(grid, limit), -limit))


def _offsets_at(offsets: Float[Tensor, "B 3 d h w"], points: Float[Tensor, "B D H W 3"]) -> Float[Tensor, "B D H W 3"]:
    return _border_sample(offsets, points).movedim(1, -1)


def driver_to_canonical(
    pose: HeadPose, offsets: Float[Tensor, "B 3 d h w"], points: Float[Tensor, "B D H W 3"]
) -> Float[Tensor, "B D H W 3"]:
    """w_->d at points of the driver's crop: theta p + delta(theta p), in canonical coordinates. Paper: A.1."""
    kind = working_type(offsets, pose.rotation)
    with full_precision(offsets.device):
        rigid = apply_matrix(theta(pose).to(kind), points.to(kind))
        return rigid + _offsets_at(offsets.to(kind), rigid)


def canonical_to_source(
    pose: HeadPose, offsets: Float[Tensor, "B 3 d h w"], points: Float[Tensor, "B D H W 3"]
) -> Float[Tensor, "B D H W 3"]:
    """w_s-> at points of canonical space: theta^-1 (y + delta(y)), in the source's crop. Paper: A.1."""
    kind = working_type(offsets, pose.rotation)
    with full_precision(offsets.device):
        points = points.to(kind)
        return apply_matrix(pose_matrix(pose).to(kind), points + _offsets_at(offsets.to(kind), points))


def driver_to_source(
    driver: HeadPose,
    driver_offsets: Float[Tensor, "N 3 d h w"],
    source: HeadPose,
    source_offsets: Float[Tensor, "B 3 d h w"] | None,
    points: Float[Tensor, "N K 3"],
) -> Float[Tensor, "N K 3"]:
    """Points of N drivers' crops, taken through w_->d and w_s-> into the crops of their B sources.

    The drivers of source 0 come first. Without `source_offsets` the canonical space is the source's crop.
    """
    points = driver_to_canonical(driver, driver_offsets, points[:, None, None])
    if source_offsets is not None:
        by_source = points.view(len(source_offsets), -1, *points.shape[2:])
        points = canonical_to_source(source, source_offsets, by_source)
    return points.reshape(len(driver_offsets), -1, 3)


def compose_driver_grid(
    pose: HeadPose, offsets: Float[Tensor, "B 3 d h w"], shape: Sequence[int]
) -> Float[Tensor, "B D H W 3"]:
    """w_->d as one grid: grid(x) = theta x + delta(theta x), where to read the canonical volume for crop voxel x.

    Equal to an expression warp followed by a rigid resampling. `offsets` (delta) may have any size; it is read at the
    rigid grid. Paper: A.1; composition is ours.
    """
    return driver_to_canonical(pose, offsets, _voxels(pose, offsets, shape))


def compose_source_grid(
    pose: HeadPose, offsets: Float[Tensor, "B 3 d h w"], shape: Sequence[int]
) -> Float[Tensor, "B D H W 3"]:
    """w_s-> as one grid: grid(y) = theta^-1 (y + delta(y)), where to read v_s for canonical voxel y.

    Equal to resampling by the inverse pose, then by the expression warp. Paper: A.1; composition is ours.
    """
    return canonical_to_source(pose, offsets, _voxels(pose, offsets, shape))


def _voxels(pose: HeadPose, offsets: Float[Tensor, "B 3 d h w"], shape: Sequence[int]) -> Float[Tensor, "B D H W 3"]:
    grid = identity_grid(shape, offsets.device, working_type(offsets, pose.rotation))
    return grid.expand(len(offsets), *shape, 3)


def face_region_grid(pose: HeadPose, size: int) -> Float[Tensor, "B S S 2"]:
    """Where to read the crop to get the face upright and centred: theta's 2D similarity (centre, size, roll)."""
    with full_precision(pose.scale.device):
        centre = torch.tensor(FACE_CENTRE, device=pose.scale.device, dtype=pose.scale.dtype).expand(
            len(pose.scale), 1, 3
        )
        centre_xy = apply_matrix(pose_matrix(pose), centre)[:, 0, :2]
        roll = torch.atan2(pose.rotation[:, 1, 0], pose.rotation[:, 0, 0])
        upright = _axis_rotation(2, roll)[:, :2, :2] * (FACE_HALF_SIDE * pose.scale)[:, None, None]
        grid = identity_grid((size, size), pose.scale.device, pose.scale.dtype)
        return torch.einsum("bij,hwj->bhwi", upright, grid) + centre_xy[:, None, None]


@functools.lru_cache(maxsize=1)
def mean_head() -> Float[np.ndarray, "468 3"]:
    """Mean-head template in the head frame: 468 points by MediaPipe's numbers; the face oval is 2 / 2.2 high.

    Measured on the CC0 MakeHuman base mesh (mean of sexes and origins, young adult, rest pose).
    """
    raw = resources.files("megaportraits").joinpath("mean_head.safetensors").read_bytes()
    return load(raw)["landmarks"]


def rigid_landmarks() -> Int[np.ndarray, " L"]:
    """Numbers of the landmarks that do not follow the jaw: those above a line through the mean head's upper lip."""
    return np.nonzero(mean_head()[:, 1] < _RIGID_ABOVE_Y)[0]


def fit_rotation(
    landmarks: Float[np.ndarray, "T L 3"], landmark_ids: Int[np.ndarray, " L"]
) -> Float[np.ndarray, "T 3 3"]:
    """Rotation of the similarity that best takes the mean head to 3D landmarks: any unit, axes as in the crop frame.

    Least squares in closed form (Kabsch, 1976; Umeyama, 1991).
    """
    template = mean_head()[landmark_ids]
    centred = landmarks - landmarks.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("tli,lj->tij", centred, template - template.mean(0)))
    signs = np.ones((len(landmarks), 3))
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    return (u * signs[:, None]) @ vt


def fit_similarity_2d(
    rotation: Float[np.ndarray, "T 3 3"], landmarks: Float[np.ndarray, "T L 2"], landmark_ids: Sequence[int]
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "T 3"]]:
    """Scale s and translation t (t_z = 0) that best place the rotated mean head on 2D landmarks in crop coordinates."""
    template = mean_head()[np.asarray(landmark_ids)]
    model = np.einsum("tij,lj->tli", rotation, template)[..., :2]
    model_mean, target_mean = model.mean(1, keepdims=True), landmarks.mean(1, keepdims=True)
    centred = model - model_mean
    scale = (centred * (landmarks - target_mean)).sum((1, 2)) / (centred**2).sum((1, 2))
    xy = (target_mean - scale[:, None, None] * model_mean)[:, 0]
    return scale.astype(np.float32), np.concatenate([xy, np.zeros_like(xy[:, :1])], 1).astype(np.float32)


def rotation_to_ray(position: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3 3"]:
    """Rotation that takes the camera's axis (0, 0, 1) to the direction of `position` (camera frame, z away).

    A head seen off the axis of a perspective camera looks turned by its inverse: R_seen = ray^T R_camera.
    """
    direction = position / np.linalg.norm(position, axis=-1, keepdims=True)
    out = np.empty((len(direction), 3, 3), np.float32)
    for i, (x, y, z) in enumerate(direction):
        about_y, about_x = math.atan2(x, z), math.atan2(-y, math.hypot(x, z))
        cy, sy, cx, sx = math.cos(about_y), math.sin(about_y), math.cos(about_x), math.sin(about_x)
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        out[i] = yaw @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return out
