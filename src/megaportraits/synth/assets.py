"""A MakeHuman data folder (or the CC0 heads folder, gzipped): what it holds, read when asked for."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from megaportraits.errors import UserError
from megaportraits.synth.formats import (
    Binding,
    Mesh,
    read_mhclo,
    read_obj,
    read_pose_units,
    read_skeleton,
    read_target,
    read_text,
    read_weights,
)
from megaportraits.synth.rig import Rig

PROXY_KINDS = ("clothes", "eyebrows", "eyelashes", "eyes", "hair", "teeth", "tongue")
NOT_DIFFUSE = ("normal", "bump", "spec", "disp", "occlusion", "transp")


@dataclass(frozen=True)
class Topology:
    """Facts about one base mesh: vertex numbers and cuts in decimetres."""

    base: str
    """Name of the base mesh."""
    lid_margins: dict[str, tuple[int, int]]
    """side -> vertices on the margin of the upper and of the lower lid."""
    body_cut_y: float
    """Body faces below are dropped (a bust is left)."""
    body_cut_x: float
    """Body faces farther to the side are dropped."""
    clothes_cut_y: float
    """Clothes faces below are dropped."""
    uncovered_above_y: float
    """Clothes never hide the body above."""
    landmarks: tuple[int, ...]
    """Vertex of each of MediaPipe's 468 landmarks."""


@dataclass(frozen=True)
class Proxy:
    """A mesh that is bound to the body: eyes, hair, clothes ..."""

    binding: Binding
    mesh: Mesh
    weights: Float[np.ndarray, "N J"]
    texture: Path | None


class AssetLibrary:
    """Everything in a data folder; proxies and textures are read on first use.

    Raises:
        UserError: the folder is not MakeHuman data.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"there is no folder {folder}; point --assets at a MakeHuman data folder")
        self.topology = self._read_topology()
        self.base = read_obj(self.folder / "3dobjs/base.obj")
        skeleton = read_skeleton(self.folder / "rigs/default.mhskel")
        self.bone_weights = read_weights(self.folder / "rigs/default_weights.mhw", skeleton, len(self.base.vertices))
        units = self.folder / "poseunits"
        self.rig = Rig(skeleton, read_pose_units(units / "face-poseunits.bvh", units / "face-poseunits.json"))
        self.body_faces, self.body_face_uv = self._bust()
        self.proxies = {kind: self._find_proxies(kind) for kind in PROXY_KINDS}
        """kind -> {name: path of its .mhclo}."""
        self.skins = self._find_skins()
        """name -> texture."""
        self._loaded: dict[tuple[str, str], Proxy] = {}

    @cached_property
    def targets(self) -> dict[str, tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N 3"]]]:
        """`group/name` -> vertex numbers and offsets of a morph target."""
        root = self.folder / "targets"
        found = {}
        for path in _files(root, ".target"):
            found[path.relative_to(root).with_suffix("").as_posix()] = read_target(path)
        return found

    @cached_property
    def _skin_sizes(self) -> dict[str, int]:
        return {name: Image.open(path).size[0] for name, path in self.skins.items()}

    def proxy(self, kind: str, name: str) -> Proxy:
        """One bound mesh, e.g. `proxy("hair", "short01")`.

        Raises:
            UserError: the folder does not hold it.
        """
        if (kind, name) not in self._loaded:
            if name not in self.proxies[kind]:
                raise UserError(f"{self.folder} holds no {kind} called '{name}'; it holds {sorted(self.proxies[kind])}")
            path = self.proxies[kind][name]
            binding = read_mhclo(path)
            mesh = read_obj(path.parent / binding.obj_file)
            if len(mesh.vertices) != len(binding.reference):
                raise UserError(f"{path} binds {len(binding.reference)} of {len(mesh.vertices)} vertices; replace it")
            texture = _diffuse(path.parent) or _diffuse(self.folder / kind / "materials")
            self._loaded[kind, name] = Proxy(binding, mesh, binding.blend(self.bone_weights), texture)
        return self._loaded[kind, name]

    def materials(self, kind: str) -> dict[str, Path]:
        """Textures that any proxy of a kind may wear (eye colours)."""
        return {p.stem: p for p in sorted((self.folder / kind / "materials").glob("*.png"))}

    def skin_size(self, name: str) -> int:
        """Width of a skin texture in pixels."""
        return self._skin_sizes[name]

    def mask(self, name: str) -> Path | None:
        """A mask in skin uv space (`lips`, `inside-mouth`), where the folder has it."""
        return next(iter(sorted((self.folder / "skins/masks").glob(f"{name}.*"))), None)

    def _read_topology(self) -> Topology:
        own, shipped = self.folder / "topology.json", resources.files("megaportraits.synth") / "topology.json"
        text = read_text(own) if own.exists() else shipped.read_text()
        data = json.loads(text)
        margins = {side: tuple(pair) for side, pair in data.pop("lid_margins").items()}
        return Topology(lid_margins=margins, landmarks=tuple(data.pop("landmarks")), **data)

    def _bust(self) -> tuple[Int[np.ndarray, "F 4"], Int[np.ndarray, "F 4"]]:
        if "body" not in self.base.groups:
            raise UserError(f"{self.folder}/3dobjs/base.obj has no group 'body'; use MakeHuman's base mesh")
        corners = self.base.vertices[self.base.faces]
        keep = self.base.face_group == self.base.groups.index("body")
        keep &= corners[..., 1].min(1) > self.topology.body_cut_y
        keep &= np.abs(corners[..., 0]).max(1) < self.topology.body_cut_x
        return self.base.faces[keep], self.base.face_uv[keep]

    def _find_proxies(self, kind: str) -> dict[str, Path]:
        root = self.folder / kind
        return {path.stem: path for path in _files(root, ".mhclo") if path.parent.parent == root}

    def _find_skins(self) -> dict[str, Path]:
        paths = sorted(p for p in (self.folder / "skins").rglob("*_diffuse*") if p.suffix in (".jpg", ".png"))
        if not paths:
            raise UserError(f"{self.folder}/skins holds no *_diffuse*.jpg or .png; point --assets at MakeHuman data")
        return {p.stem.replace("_diffuse", ""): p for p in paths}


def _files(root: Path, suffix: str) -> list[Path]:
    """Files with a suffix below a folder, gzipped or not, by their name without `.gz`, in one fixed order."""
    found = {Path(str(p).removesuffix(".gz")) for p in root.rglob("*") if str(p).removesuffix(".gz").endswith(suffix)}
    return sorted(found, key=os.fspath)


def _diffuse(folder: Path) -> Path | None:
    """The colour texture in a proxy's folder."""
    pictures = sorted(p for p in folder.glob("*") if p.suffix in (".png", ".jpg"))
    pictures = [p for p in pictures if not any(word in p.stem.lower() for word in NOT_DIFFUSE)]
    named = [p for p in pictures if "diffuse" in p.stem or "texture" in p.stem]
    return next(iter(named + pictures), None)
