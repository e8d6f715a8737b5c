"""The face rig: pose units as blendshape columns, neck chain, linear blend skinning.

A *column* is a pose unit at a fraction of its strength. Most units have one column; the units of `KNOTS` have several
and are followed piecewise linearly, since a lid that closes along a straight line would cut through the eyeball.
"""

import numpy as np
from jaxtyping import Float

from megaportraits.errors import UserError
from megaportraits.synth.formats import Skeleton
from megaportraits.synth.rotations import fraction_of

KNOTS = {"LeftUpperLidClosed": 4, "RightUpperLidClosed": 4, "JawDrop": 2, "JawDropStretched": 2}
NECK = ("neck01", "neck02", "neck03", "head")
LIP_ROLL_UNITS = ("MouthLeftPullUp", "MouthRightPullUp", "MouthLeftPullSide", "MouthRightPullSide")
LIP_ROLL_BONES = ("special04", "oris01", "oris02", "oris05", "oris06.L", "oris06.R")
LIP_ROLL_SHARE = 0.35
"""Each one-sided pull unit carries the whole roll of the lower lip; both together would push it through the teeth."""

PoseUnits = dict[str, dict[str, np.ndarray]]


class Rig:
    """Skeleton and pose units of a MakeHuman data folder."""

    def __init__(self, skeleton: Skeleton, units: PoseUnits):
        missing = [name for name in (*NECK, "eye.L", "eye.R") if name not in skeleton.names]
        if missing:
            raise UserError(f"the skeleton has no bone {', '.join(missing)}; use MakeHuman's default.mhskel")
        self.skeleton = skeleton
        self.neck = [self.bone(name) for name in NECK]
        self.head_bones = self._subtree("head")
        self._soften_lip_roll(units)
        self._column_of: dict[str, list[int]] = {}
        rotations = []
        for unit, bones in units.items():
            if unit == "Rest":
                continue
            knots = KNOTS.get(unit, 1)
            self._column_of[unit] = [len(rotations) + k for k in range(knots)]
            rotations += [self._column(bones, (k + 1) / knots) for k in range(knots)]
        self.column_rotations = np.stack(rotations)
        """C x J x 3 x 3: local rotation of every bone in every column."""

    def bone(self, name: str) -> int:
        """Index of a bone."""
        return self.skeleton.names.index(name)

    def coefficients(self, units: dict[str, float]) -> Float[np.ndarray, " C"]:
        """Strength of each column for strengths of pose units; units that the folder lacks are left out."""
        out = np.zeros(len(self.column_rotations), np.float32)
        for unit, value in units.items():
            columns = self._column_of.get(unit, [])
            if len(columns) == 1:
                out[columns[0]] += value
            elif columns:
                position = max(0.0, value) * len(columns)
                knot = min(int(position), len(columns) - 1)
                if knot > 0:
                    out[columns[knot - 1]] += 1 - (position - knot)
                out[columns[knot]] += position - knot
        return out

    def skin_offsets(
        self, joints: Float[np.ndarray, "J 3"], rotations: Float[np.ndarray, "P J 3 3"]
    ) -> Float[np.ndarray, "P J 3 4"]:
        """Skinning matrices minus the identity: G_b = G_parent T(J_b - J_p) R_b, skin = G_b T(-J_b)."""
        matrices = np.zeros((*rotations.shape[:2], 3, 4))
        for bone, parent in enumerate(self.skeleton.parents):
            if parent < 0:
                matrices[:, bone, :, :3] = rotations[:, bone]
                matrices[:, bone, :, 3] = joints[bone]
                continue
            turned = matrices[:, parent, :, :3]
            matrices[:, bone, :, :3] = turned @ rotations[:, bone]
            matrices[:, bone, :, 3] = matrices[:, parent, :, 3] + turned @ (joints[bone] - joints[parent])
        matrices[..., 3] -= np.einsum("pbij,bj->pbi", matrices[..., :3], joints)
        matrices[..., :3] -= np.eye(3)
        return matrices

    def column_offsets(
        self, joints: Float[np.ndarray, "J 3"], points: Float[np.ndarray, "N 3"], weights: Float[np.ndarray, "N J"]
    ) -> Float[np.ndarray, "C N 3"]:
        """How far each column moves each point."""
        matrices = self.skin_offsets(joints, self.column_rotations).astype(np.float32)
        homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1).astype(np.float32)
        out = np.zeros((len(matrices), len(points), 3), np.float32)
        for bone in self.head_bones:
            near = np.nonzero(weights[:, bone] > 1e-4)[0]
            active = np.nonzero(np.abs(matrices[:, bone]).max((1, 2)) > 1e-6)[0]
            if len(near) and len(active):
                weighted = homogeneous[near] * weights[near, bone, None].astype(np.float32)
                out[np.ix_(active, near)] += np.einsum("cij,nj->cni", matrices[active, bone], weighted)
        return out

    def neck_weights(self, weights: Float[np.ndarray, "N J"]) -> Float[np.ndarray, "N 4"]:
        """Share of neck01, neck02, neck03 and the head (with everything on it) in each point's motion."""
        return np.stack([*(weights[:, b] for b in self.neck[:3]), weights[:, self.head_bones].sum(1)], 1)

    def _subtree(self, name: str) -> list[int]:
        found = {self.bone(name)}
        for bone, parent in enumerate(self.skeleton.parents):
            if parent in found:
                found.add(bone)
        return sorted(found)

    def _column(self, bones: dict[str, np.ndarray], fraction: float) -> Float[np.ndarray, "J 3 3"]:
        rotations = np.tile(np.eye(3), (len(self.skeleton.names), 1, 1))
        for name, rotation in bones.items():
            if name in self.skeleton.names:
                rotations[self.bone(name)] = fraction_of(rotation, fraction)
        return rotations

    @staticmethod
    def _soften_lip_roll(units: PoseUnits) -> None:
        for unit in LIP_ROLL_UNITS:
            for bone in LIP_ROLL_BONES:
                if bone in units.get(unit, {}):
                    units[unit][bone] = fraction_of(units[unit][bone], LIP_ROLL_SHARE)
