"""Frozen networks of losses and metrics: where their weights come from, and their strict loading.

No weights ship with the project. `docs/frozen-nets.md` has the table for users, which a test compares with `NETWORKS`.
"""

import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from megaportraits.errors import UserError
from megaportraits.losses.frozen import alexnet, hyperiqa, inception, lpips, mobilefacenet, squeezenet, vgg

_TORCHVISION = "https://download.pytorch.org/models/"
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet, whose pictures are for research"
_LPIPS = (
    "https://github.com/richzhang/PerceptualSimilarity/raw/082bb24f84c091ea94de2867d34c4544f68e0963/lpips/weights/v0.1/"
)
_RGB = "RGB in [0, 1], minus (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)"


@dataclass(frozen=True)
class Layout:
    """How a file holds a network."""

    build: Callable[[], nn.Module]
    names: Mapping[str, str] = field(default_factory=dict)
    """Name in the file -> name in the network, where they differ."""
    unused: tuple[str, ...] = ()
    """Beginnings of names that the file may hold and that features do not need."""
    inside: str = ""
    """Key of the file's dictionary under which the tensors are."""


@dataclass(frozen=True)
class Network:
    """One frozen network and its official file."""

    purpose: str
    file: str
    source: str
    """Address of the file, or of the project that publishes it where it is not downloaded."""
    licence: str
    preprocessing: str
    """What the network itself makes of RGB in [0, 1]."""
    layout: Layout
    sha256: str = ""
    """Beginning of the file's hash; a download with another one is refused. Empty: not known."""
    download: bool = True
    """The file is fetched from `source` where none is named."""
    backbone: str = ""
    """LPIPS: the network whose features it weighs."""


def _torchvision(purpose: str, file: str, build: Callable[[], nn.Module]) -> Network:
    digest = file.removesuffix(".pth").rsplit("-", 1)[1]
    layout = Layout(build, unused=("classifier.",))
    return Network(purpose, file, _TORCHVISION + file, _TORCHVISION_LICENCE, _RGB, layout, digest)


def _lpips(file: str, backbone: str, channels: tuple[int, ...], sha256: str) -> Network:
    layout = Layout(lambda: lpips.heads(channels), lpips.head_names(len(channels)))
    purpose = f"LPIPS in reports: its weights; the features are those of {backbone}"
    source = _LPIPS + file.removeprefix("lpips-")
    return Network(purpose, file, source, "BSD-2-Clause", _RGB, layout, sha256, backbone=backbone)


NETWORKS: dict[str, Network] = {
    "vgg19": _torchvision("L_IN", "vgg19-dcbb9e9d.pth", vgg.vgg19),
    "vggface": Network(
        "L_face",
        "vgg_face_dag.pth",
        "https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/vgg_face_dag.pth",
        "see https://www.robots.ox.ac.uk/~vgg/software/vgg_face/: non-commercial research",
        "RGB bytes minus (129.19, 104.76, 93.59)",
        Layout(vgg.vggface, vgg.vggface_names(), unused=("fc6.", "fc7.", "fc8.")),
    ),
    "squeezenet1_0": _torchvision("L_IN, small and free", "squeezenet1_0-b66bff10.pth", squeezenet.squeezenet1_0),
    "squeezenet1_1": _torchvision("LPIPS (squeeze)", "squeezenet1_1-b8a52dc0.pth", squeezenet.squeezenet1_1),
    "alexnet": _torchvision("LPIPS (alex)", "alexnet-owt-7be5be79.pth", alexnet.alexnet),
    "vgg16": _torchvision("LPIPS (vgg)", "vgg16-397923af.pth", vgg.vgg16),
    "lpips": _lpips("lpips-alex.pth", "alexnet", (64, 192, 384, 256, 256), "df73285e35b22355"),
    "lpips_vgg": _lpips("lpips-vgg.pth", "vgg16", (64, 128, 256, 512, 512), "a78928a0af1e5f0f"),
    "lpips_squeeze": _lpips(
        "lpips-squeeze.pth", "squeezenet1_1", (64, 128, 256, 384, 384, 512, 512), "4a5350f23600cb79"
    ),
    "mobilefacenet": Network(
        "CSIM in reports",
        "068.ckpt",
        "https://github.com/Xiaoccer/MobileFaceNet_Pytorch (model/best)",
        "none stated; trained on CASIA-WebFace",
        "RGB bytes minus 127.5, over 128; faces of 112 x 96 px, aligned by five points",
        Layout(mobilefacenet.MobileFaceNet, inside="net_state_dict"),
        download=False,
    ),
    "inception": Network(
        "FID and KID",
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "Apache-2.0 (pytorch-fid); trained on ImageNet, whose pictures are for research",
        "RGB in [0, 1], resized to 299 x 299 px, times 2, minus 1",
        Layout(inception.InceptionV3, unused=("fc.",)),
        "6726825d0af5f729",
    ),
    "hyperiqa": Network(
        "IQA",
        "koniq_pretrained.pkl",
        "https://github.com/SSL92/hyperIQA (link in its guide)",
        "MIT; trained on ImageNet and KonIQ-10k, whose pictures are for research",
        f"{_RGB}; crops of 224 x 224 px",
        Layout(hyperiqa.HyperIqa),
        "ff9277bcc68ecc10",
        download=False,
    ),
}
_COUNTER = "num_batches_tracked"
"""Batch norm's count of batches: files of PyTorch before 0.4.1 do not have it, and a frozen network never reads it."""
_CAFFE = Layout(squeezenet.squeezenet1_0_caffe, squeezenet.caffe_names(), unused=("conv10.",))
"""SqueezeNet 1.0 as an `.npz` of the authors' Caffe weights."""
_UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, pickle.UnpicklingError,
    zipfile.BadZipFile,
)  # fmt: skip


def load_frozen(name: str, path: str | Path = "") -> nn.Module:
    """A frozen network in evaluation mode.

    Feature networks map RGB in [0, 1] to a list of feature maps; recognisers also have `embed(face)`; LPIPS maps two
    pictures to a distance. The file of the weights is `path`, else what the environment variable
    MEGAPORTRAITS_<NAME> names, else a download into the cache of `torch.hub`.

    Args:
        name: a key of `NETWORKS`.
        path: the network's file; squeezenet1_0 is also read from a `.npz` of its Caffe weights.

    Raises:
        UserError: unknown name; no file, and none could be downloaded; or the file does not hold exactly this network.
    """
    if name not in NETWORKS:
        raise UserError(f"there is no frozen network {name!r}; known are {', '.join(NETWORKS)}")
    file, entry = weights_file(name, str(path)), NETWORKS[name]
    layout = _CAFFE if name == "squeezenet1_0" and file.suffix == ".npz" else entry.layout
    network = _filled(layout, _read(file, layout.inside, entry), file, entry)
    if entry.backbone:
        network = lpips.Lpips(load_frozen(entry.backbone), cast(nn.ParameterList, network))
    return network.eval().requires_grad_(False)


def variable(name: str) -> str:
    """The environment variable that names a network's file."""
    return f"MEGAPORTRAITS_{name.upper()}"


def weights_file(name: str, path: str = "") -> Path:
    """The file of a network's weights: `path`, else what its variable names, else the download in the cache.

    Raises:
        UserError: there is no file, and none could be downloaded.
    """
    entry, given = NETWORKS[name], path or os.environ.get(variable(name), "")
    if given:
        if not Path(given).is_file():
            where = "the settings" if path else variable(name)
            raise UserError(f"no file {given}, which {where} names for {name}; get {entry.file} from {entry.source}")
        return Path(given)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / entry.file
    if not cached.is_file():
        _download(name, cached)
    return cached


def _download(name: str, target: Path) -> None:
    entry = NETWORKS[name]
    advice = f"get it from {entry.source} and name its path in the settings or in {variable(name)}"
    if not entry.download:
        raise UserError(
            f"{name} needs the file {entry.file}, which is not downloaded (licence: {entry.licence}); {advice}"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(entry.source, str(target), entry.sha256 or None)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{name} needs {entry.file}, which could not be downloaded ({error}); {advice}") from error


def _read(file: Path, inside: str, entry: Network) -> dict[str, Tensor]:
    """The tensors of a `.npz` or of a PyTorch file, read without running any code that the file may hold."""
    try:
        if file.suffix == ".npz":
            with np.load(file) as archive:
                return {key: torch.from_numpy(archive[key]) for key in archive}
        held = torch.load(file, map_location="cpu", weights_only=True)
        held = held[inside] if inside else held
        return {key: tensor for key, tensor in held.items() if isinstance(tensor, Tensor)}
    except _UNREADABLE as error:
        raise UserError(f"{file} is no readable file of weights; get {entry.file} from {entry.source}") from error


def _filled(layout: Layout, tensors: dict[str, Tensor], file: Path, entry: Network) -> nn.Module:
    """The network with the file's tensors: all of them (but counters), no others, of the right shapes."""
    with torch.device("meta"):
        network = layout.build()
    theirs = {ours: name for name, ours in layout.names.items()}
    wanted = {theirs.get(ours, ours): (ours, tensor) for ours, tensor in network.state_dict().items()}
    tensors = {name: torch.tensor(0) for name in wanted if name.endswith(_COUNTER)} | tensors
    found = {name: tensor for name, tensor in tensors.items() if name in wanted or not name.startswith(layout.unused)}
    faults = _faults(
        {name: tuple(t.shape) for name, (_, t) in wanted.items()}, {n: tuple(t.shape) for n, t in found.items()}
    )
    if faults:
        raise UserError(f"{file} is not {entry.file}: {faults}; get it from {entry.source}")
    state = {ours: found[name].to(tensor.dtype) for name, (ours, tensor) in wanted.items()}
    network.load_state_dict(state, strict=True, assign=True)
    return network


def _faults(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str:
    other = [f"{n} of shape {found[n]} instead of {s}" for n, s in wanted.items() if n in found and found[n] != s]
    kinds = {
        "missing": [f"{n} {s}" for n, s in wanted.items() if n not in found],
        "unknown": [f"{n} {s}" for n, s in found.items() if n not in wanted],
        "misshapen": other,
    }
    return ", ".join(f"{kind} {'; '.join(names[:4])}{_more(names)}" for kind, names in kinds.items() if names)


def _more(names: list[str]) -> str:
    return f" and {len(names) - 4} more" if len(names) > 4 else ""
