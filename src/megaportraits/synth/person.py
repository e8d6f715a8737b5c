"""A person ready to be drawn: every mesh in one buffer, with blendshape columns, neck weights and landmarks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from megaportraits.geometry import fit_rotation, mean_head, rigid_landmarks
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.formats import axis_rotation
from megaportraits.synth.identity import IdentitySpec
from megaportraits.synth.masks import scalp_shade, surface_mask
from megaportraits.synth.parts import Part, build_parts
from megaportraits.synth.rotations import WORLD_TO_CROP
from megaportraits.synth.shape import macro_weights, shape_body

CLOSED_GAP_DM = 0.010
"""Lids closer than this are closed."""
BLINK_LOWER_LID = 0.35
"""Share of the lower lid in a blink."""


@dataclass(frozen=True)
class Columns:
    """Blendshapes of a set of points (or points with normals): value = rest + coefficients @ offsets."""

    rest: Float[np.ndarray, "N D"]
    moving: Int[np.ndarray, " M"]
    """Rows that any column moves."""
    offsets: Float[np.ndarray, "C MD"]

    @classmethod
    def pack(cls, rest: Float[np.ndarray, "N D"], offsets: Float[np.ndarray, "C N D"]) -> "Columns":
        """Keep the rows that move."""
        moving = np.nonzero(np.abs(offsets).max((0, 2)) > 1e-6)[0].astype(np.int32)
        packed = np.ascontiguousarray(offsets[:, moving].reshape(len(offsets), -1), np.float32)
        return cls(rest.astype(np.float32), moving, packed)

    def at(self, coefficients: Float[np.ndarray, " C"]) -> Float[np.ndarray, "N D"]:
        """Values for one set of column coefficients."""
        values = self.rest.copy()
        active = np.nonzero(coefficients)[0]
        if len(active):
            values[self.moving] += (coefficients[active] @ self.offsets[active]).reshape(-1, values.shape[1])
        return values


@dataclass(frozen=True)
class Person:
    """One identity: meshes, blendshapes and joints, in decimetres, in MakeHuman's world."""

    spec: IdentitySpec
    parts: tuple[Part, ...]
    """In drawing order; each is a range of `indices`."""
    indices: Int[np.ndarray, "T 3"]
    static: Float[np.ndarray, "N 9"]
    """uv (2), neck weights (4), eye (1: left, 2: right, 0: neither), surface mask, scalp shade (see masks.py)."""
    surface: Columns
    """Positions and normals of the N render vertices."""
    landmarks: Columns
    """Positions of MediaPipe's 468 landmarks."""
    landmark_neck_weights: Float[np.ndarray, "468 4"]
    neck_joints: Float[np.ndarray, "4 3"]
    eye_centres: Float[np.ndarray, "2 3"]
    """Left, right."""
    head_rotation: Float[np.ndarray, "3 3"]
    """How the mean head lies on this person's face at rest, in the world: their head frame against their head bone."""
    head_origin: Float[np.ndarray, "3"]
    """Where the origin of the mean-head template lies in this person's head at rest."""
    lid_closure: dict[str, float]
    """side -> strength of the lid unit at which the lids meet."""

    @property
    def eye_middle(self) -> Float[np.ndarray, "3"]:
        return self.eye_centres.mean(0)


def build_person(library: AssetLibrary, spec: IdentitySpec) -> Person:
    """Shape, pose (arms down), dress and rig a person."""
    macros = macro_weights(spec.ancestry, spec.gender, spec.age, spec.muscle, spec.weight)
    rest = shape_body(library, macros, spec.sliders)
    arms = _arms_down(library, rest, spec.arms_down_deg)
    body = _skin(rest, library.bone_weights, arms)
    joints = library.rig.skeleton.joints(body)
    parts = build_parts(library, spec, rest, lambda points, weights: _skin(points, weights, arms))
    surface, static = _rig_parts(library, parts, joints)
    ids = np.array(library.topology.landmarks)
    landmarks = Columns.pack(body[ids], library.rig.column_offsets(joints, body[ids], library.bone_weights[ids]))
    eyes = [library.rig.bone(name) for name in ("eye.L", "eye.R")]
    rotation, origin = face_frame(body[ids])
    return Person(
        spec=spec,
        parts=tuple(parts),
        indices=np.concatenate([p.mesh.triangles + p.first_vertex for p in parts]).astype(np.int32),
        static=static,
        surface=surface,
        landmarks=landmarks,
        landmark_neck_weights=library.rig.neck_weights(library.bone_weights[ids]),
        neck_joints=joints[library.rig.neck],
        eye_centres=_eye_centres(surface.rest, static[:, 6], joints[eyes]),
        head_rotation=rotation,
        head_origin=origin,
        lid_closure={side: _lid_closure(library, body, joints, side) for side in library.topology.lid_margins},
    )


def _arms_down(library: AssetLibrary, body, degrees: float) -> Float[np.ndarray, "J 3 4"]:
    """Skinning offsets that lower the arms from MakeHuman's T-like rest pose."""
    names = library.rig.skeleton.names
    rotations = np.tile(np.eye(3), (1, len(names), 1, 1))
    for bone, sign, share in (
        ("upperarm01.L", -1, 0.8), ("shoulder01.L", -1, 0.2), ("upperarm01.R", 1, 0.8), ("shoulder01.R", 1, 0.2),
    ):  # fmt: skip
        if bone in names:
            rotations[0, names.index(bone)] = axis_rotation("Z", sign * degrees * share)
    return library.rig.skin_offsets(library.rig.skeleton.joints(body), rotations)[0]


def _skin(points, weights, offsets) -> Float[np.ndarray, "N 3"]:
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    moving = np.nonzero(np.abs(offsets).max((1, 2)) > 1e-9)[0]
    return points + np.einsum("nb,bij,nj->ni", weights[:, moving], offsets[moving], homogeneous, optimize=True)


def _rig_parts(library: AssetLibrary, parts: list[Part], joints) -> tuple[Columns, Float[np.ndarray, "N 9"]]:
    rests, offsets, static = [], [], []
    hair = next((p.positions for p in parts if p.material == "hair"), None)
    for part in parts:
        rows, mesh = part.mesh.geometric_of, part.mesh
        normals = part.normals if part.normals is not None else mesh.normals(part.positions)
        moved = np.zeros((len(library.rig.column_rotations), len(part.positions), 3), np.float32)
        turned = np.zeros_like(moved)
        if part.material not in ("eye", "cloth"):
            moved = library.rig.column_offsets(joints, part.positions, part.weights)
        if part.material in ("skin", "teeth", "tongue"):
            active = np.abs(moved).max((1, 2)) > 1e-5
            turned[active] = mesh.normals(part.positions + moved[active]) - normals
        neck = library.rig.neck_weights(part.weights)
        if part.material in ("eye", "teeth", "tongue", "lash", "brow"):
            neck = np.tile([0.0, 0.0, 0.0, 1.0], (len(neck), 1))
        side = np.where(part.positions[:, 0] > 0, 1, 2) * (part.material == "eye")
        masks = surface_mask(library, part), scalp_shade(library, part, hair)
        columns = [neck, side[:, None], *(mask[:, None] for mask in masks)]
        rests.append(np.concatenate([part.positions, normals], 1)[rows])
        offsets.append(np.concatenate([moved, turned], 2)[:, rows])
        static.append(np.concatenate([mesh.uv, np.concatenate(columns, 1)[rows]], 1))
    packed = Columns.pack(np.concatenate(rests), np.concatenate(offsets, 1))
    return packed, np.concatenate(static).astype(np.float32)


def _eye_centres(surface, eye, joints) -> Float[np.ndarray, "2 3"]:
    """Centres of the eyeballs: of their boxes in x and y, of the eye bones in depth."""
    centres = joints.copy()
    for k in range(2):
        ball = surface[eye == k + 1, :2]
        if len(ball):
            centres[k, :2] = (ball.max(0) + ball.min(0)) / 2
    return centres


def face_frame(landmarks: Float[np.ndarray, "468 3"]) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Rotation and origin of the mean head laid onto a face at rest, in the world; the jaw does not turn it."""
    rigid = rigid_landmarks()
    rotation = WORLD_TO_CROP @ fit_rotation((landmarks[rigid] @ WORLD_TO_CROP)[None], rigid)[0] @ WORLD_TO_CROP
    template = mean_head().astype(np.float64) @ WORLD_TO_CROP @ rotation.T
    centred = template - template.mean(0)
    scale = (centred * (landmarks - landmarks.mean(0))).sum() / (centred**2).sum()
    return rotation, landmarks.mean(0) - scale * template.mean(0)


def _lid_closure(library: AssetLibrary, body, joints, side: str) -> float:
    """Strength of the lid unit at which the lids of one eye just meet in a blink."""
    ids = list(library.topology.lid_margins[side])
    lids = Columns.pack(body[ids], library.rig.column_offsets(joints, body[ids], library.bone_weights[ids]))
    for strength in np.linspace(0.3, 1.0, 15):
        units = {f"{side}UpperLidClosed": strength, f"{side}LowerLidUp": BLINK_LOWER_LID * strength}
        upper, lower = lids.at(library.rig.coefficients(units))
        if upper[1] - lower[1] <= CLOSED_GAP_DM:
            return float(strength)
    return 1.0
