"""Meshes as the renderer wants them: triangles, one vertex for each (position, uv), smooth normals."""

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int


class RenderMesh:
    """Topology of a mesh: geometric vertices (positions, normals) and render vertices (position and uv)."""

    def __init__(self, faces: Int[np.ndarray, "F 4"], face_uv: Int[np.ndarray, "F 4"], uv: Float[np.ndarray, "U 2"]):
        self.source_vertices, local = np.unique(faces, return_inverse=True)
        """Vertices of the source mesh that are used, in geometric order."""
        geometric = local.reshape(faces.shape).astype(np.int64)
        keys, corner = np.unique(geometric * len(uv) + face_uv, return_inverse=True)
        self.geometric_of = (keys // len(uv)).astype(np.int32)
        """Geometric vertex of each render vertex."""
        self.uv = uv[keys % len(uv)].astype(np.float32)
        self.triangles = _triangles(corner.reshape(faces.shape), faces)
        self._geometric_triangles = _triangles(geometric, faces)
        corners = self._geometric_triangles
        count = len(corners)
        self._incidence = scipy.sparse.csr_matrix(
            (np.ones(corners.size, np.float32), (corners.T.reshape(-1), np.tile(np.arange(count), 3))),
            (len(self.source_vertices), count),
        )

    def normals(self, positions: Float[np.ndarray, "*P N 3"]) -> Float[np.ndarray, "*P N 3"]:
        """Smooth normals of the geometric vertices, for one or several sets of positions."""
        if positions.ndim > 2:
            return np.stack([self.normals(p) for p in positions]) if len(positions) else positions
        a, b, c = (positions[self._geometric_triangles[:, k]] for k in range(3))
        normals = self._incidence @ np.cross(b - a, c - a)
        return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)

    def smooth(self, values: Float[np.ndarray, " R"], rounds: int) -> Float[np.ndarray, " R"]:
        """Values of the render vertices, averaged over their neighbours."""
        geometric = np.zeros(len(self.source_vertices))
        geometric[self.geometric_of] = values
        degree = np.maximum(np.asarray(self._incidence.sum(1)).ravel(), 1)
        for _ in range(rounds):
            around = self._incidence @ geometric[self._geometric_triangles].mean(1)
            geometric = 0.3 * geometric + 0.7 * around / degree
        return geometric[self.geometric_of]


def _triangles(indices: Int[np.ndarray, "F 4"], faces: Int[np.ndarray, "F 4"]) -> Int[np.ndarray, "T 3"]:
    quads = faces[:, 3] != faces[:, 2]
    return np.concatenate([indices[:, [0, 1, 2]], indices[quads][:, [0, 2, 3]]]).astype(np.int32)
