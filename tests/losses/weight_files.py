"""Names and shapes of the official weight files, written down by hand: what the loaders must accept, and nothing else.

Values are random but cheap: each tensor is one number, spread over its shape.
"""

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

VGG_FEATURES = {
    "vgg16": ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256),
              (17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)),
    "vgg19": ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256),
              (16, 256, 256), (19, 256, 512), (21, 512, 512), (23, 512, 512), (25, 512, 512), (28, 512, 512),
              (30, 512, 512), (32, 512, 512), (34, 512, 512)),
}  # fmt: skip
"""Number of the layer, channels in, channels out of each 3x3 convolution."""
VGG_LINEAR = ((0, 25088, 4096), (3, 4096, 4096), (6, 4096, 1000))
VGGFACE_CONVOLUTIONS = (
    ("conv1_1", 3, 64), ("conv1_2", 64, 64), ("conv2_1", 64, 128), ("conv2_2", 128, 128), ("conv3_1", 128, 256),
    ("conv3_2", 256, 256), ("conv3_3", 256, 256), ("conv4_1", 256, 512), ("conv4_2", 512, 512),
    ("conv4_3", 512, 512), ("conv5_1", 512, 512), ("conv5_2", 512, 512), ("conv5_3", 512, 512),
)  # fmt: skip
FIRES = (
    # fire module, layer in 1.0, layer in 1.1, channels in, squeezed, expanded
    (2, 3, 3, 96, 16, 64), (3, 4, 4, 128, 16, 64), (4, 5, 6, 128, 32, 128), (5, 7, 7, 256, 32, 128),
    (6, 8, 9, 256, 48, 192), (7, 9, 10, 384, 48, 192), (8, 10, 11, 384, 64, 256), (9, 12, 12, 512, 64, 256),
)  # fmt: skip
ALEXNET_FEATURES = ((0, 3, 64, 11), (3, 64, 192, 5), (6, 192, 384, 3), (8, 384, 256, 3), (10, 256, 256, 3))
LPIPS_CHANNELS = {
    "lpips": (64, 192, 384, 256, 256),
    "lpips_vgg": (64, 128, 256, 512, 512),
    "lpips_squeeze": (64, 128, 256, 384, 384, 512, 512),
}
MOBILEFACENET_BLOCKS = (
    # in, inner, out
    *[(64, 128, 64)] * 5, (64, 256, 128), *[(128, 256, 128)] * 6, (128, 512, 128), *[(128, 256, 128)] * 2,
)  # fmt: skip
INCEPTION = {
    # convolutions of each block: channels out, channels in, height, width
    "": {
        "Conv2d_1a_3x3": (32, 3, 3, 3), "Conv2d_2a_3x3": (32, 32, 3, 3), "Conv2d_2b_3x3": (64, 32, 3, 3),
        "Conv2d_3b_1x1": (80, 64, 1, 1), "Conv2d_4a_3x3": (192, 80, 3, 3),
    },
    **{
        f"Mixed_5{letter}.": {
            "branch1x1": (64, i, 1, 1), "branch5x5_1": (48, i, 1, 1), "branch5x5_2": (64, 48, 5, 5),
            "branch3x3dbl_1": (64, i, 1, 1), "branch3x3dbl_2": (96, 64, 3, 3), "branch3x3dbl_3": (96, 96, 3, 3),
            "branch_pool": (pooled, i, 1, 1),
        }
        for letter, i, pooled in (("b", 192, 32), ("c", 256, 64), ("d", 288, 64))
    },
    "Mixed_6a.": {
        "branch3x3": (384, 288, 3, 3), "branch3x3dbl_1": (64, 288, 1, 1), "branch3x3dbl_2": (96, 64, 3, 3),
        "branch3x3dbl_3": (96, 96, 3, 3),
    },
    **{
        f"Mixed_6{letter}.": {
            "branch1x1": (192, 768, 1, 1),
            "branch7x7_1": (w, 768, 1, 1), "branch7x7_2": (w, w, 1, 7), "branch7x7_3": (192, w, 7, 1),
            "branch7x7dbl_1": (w, 768, 1, 1), "branch7x7dbl_2": (w, w, 7, 1), "branch7x7dbl_3": (w, w, 1, 7),
            "branch7x7dbl_4": (w, w, 7, 1), "branch7x7dbl_5": (192, w, 1, 7),
            "branch_pool": (192, 768, 1, 1),
        }
        for letter, w in (("b", 128), ("c", 160), ("d", 160), ("e", 192))
    },
    "Mixed_7a.": {
        "branch3x3_1": (192, 768, 1, 1), "branch3x3_2": (320, 192, 3, 3), "branch7x7x3_1": (192, 768, 1, 1),
        "branch7x7x3_2": (192, 192, 1, 7), "branch7x7x3_3": (192, 192, 7, 1), "branch7x7x3_4": (192, 192, 3, 3),
    },
    **{
        f"Mixed_7{letter}.": {
            "branch1x1": (320, i, 1, 1), "branch3x3_1": (384, i, 1, 1), "branch3x3_2a": (384, 384, 1, 3),
            "branch3x3_2b": (384, 384, 3, 1), "branch3x3dbl_1": (448, i, 1, 1), "branch3x3dbl_2": (384, 448, 3, 3),
            "branch3x3dbl_3a": (384, 384, 1, 3), "branch3x3dbl_3b": (384, 384, 3, 1), "branch_pool": (192, i, 1, 1),
        }
        for letter, i in (("b", 1280), ("c", 2048))
    },
}  # fmt: skip
RESNET50_STAGES = ((3, 64, 64), (4, 256, 128), (6, 512, 256), (3, 1024, 512))
"""Blocks, channels in, inner channels; four times as many come out."""
HYPERIQA_HEADS = {
    "res.lda1_fc": (16, 1024), "res.lda2_fc": (16, 512), "res.lda3_fc": (16, 256), "res.lda4_fc": (176, 2048),
    "conv1.0": (1024, 2048, 1, 1), "conv1.2": (512, 1024, 1, 1), "conv1.4": (112, 512, 1, 1),
    "fc1w_conv": (512, 112, 3, 3), "fc1b_fc": (112, 112), "fc2w_conv": (128, 112, 3, 3), "fc2b_fc": (56, 112),
    "fc3w_conv": (32, 112, 3, 3), "fc3b_fc": (28, 112), "fc4w_conv": (8, 112, 3, 3), "fc4b_fc": (14, 112),
    "fc5w_fc": (14, 112), "fc5b_fc": (1, 112),
}  # fmt: skip
HYPERIQA_BIASLESS = {
    "res.lda1_pool.0": (16, 256, 1, 1), "res.lda2_pool.0": (32, 512, 1, 1), "res.lda3_pool.0": (64, 1024, 1, 1)
}  # fmt: skip


def _affine(name: str, *weight: int) -> Shapes:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def _norm(name: str, channels: int) -> Shapes:
    one = (channels,)
    shapes = {f"{name}.{kind}": one for kind in ("weight", "bias", "running_mean", "running_var")}
    return {**shapes, f"{name}.num_batches_tracked": ()}


def _linear(layers: tuple[tuple[int, int, int], ...]) -> Shapes:
    return {k: s for n, i, o in layers for k, s in _affine(f"classifier.{n}", o, i).items()}


def vgg(name: str) -> Shapes:
    features = {k: s for n, i, o in VGG_FEATURES[name] for k, s in _affine(f"features.{n}", o, i, 3, 3).items()}
    return features | _linear(VGG_LINEAR)


def vggface() -> Shapes:
    shapes = {k: s for name, i, o in VGGFACE_CONVOLUTIONS for k, s in _affine(name, o, i, 3, 3).items()}
    return shapes | _affine("fc6", 4096, 25088) | _affine("fc7", 4096, 4096) | _affine("fc8", 2622, 4096)


def squeezenet(version: int) -> Shapes:
    """1.`version` of torchvision."""
    shapes = _affine("features.0", *((96, 3, 7, 7), (64, 3, 3, 3))[version])
    for fire, *layers, inputs, squeezed, expanded in FIRES:
        name = f"features.{layers[version]}"
        shapes |= _affine(f"{name}.squeeze", squeezed, 64 if (fire, version) == (2, 1) else inputs, 1, 1)
        shapes |= _affine(f"{name}.expand1x1", expanded, squeezed, 1, 1)
        shapes |= _affine(f"{name}.expand3x3", expanded, squeezed, 3, 3)
    return shapes | _affine("classifier.1", 1000, 512, 1, 1)


def squeezenet_caffe() -> Shapes:
    shapes = _affine("conv1", 96, 3, 7, 7)
    for fire, _, _, inputs, squeezed, expanded in FIRES:
        shapes |= _affine(f"fire{fire}/squeeze1x1", squeezed, inputs, 1, 1)
        shapes |= _affine(f"fire{fire}/expand1x1", expanded, squeezed, 1, 1)
        shapes |= _affine(f"fire{fire}/expand3x3", expanded, squeezed, 3, 3)
    return shapes | _affine("conv10", 1000, 512, 1, 1)


def alexnet() -> Shapes:
    features = {
        k: s for n, i, o, size in ALEXNET_FEATURES for k, s in _affine(f"features.{n}", o, i, size, size).items()
    }
    return features | _linear(((1, 9216, 4096), (4, 4096, 4096), (6, 4096, 1000)))


def lpips(name: str) -> Shapes:
    return {f"lin{i}.model.1.weight": (1, c, 1, 1) for i, c in enumerate(LPIPS_CHANNELS[name])}


def mobilefacenet() -> Shapes:
    """What lies under `net_state_dict`."""
    shapes: Shapes = {}
    for name, weight, prelu in (
        ("conv1", (64, 3, 3, 3), True), ("dw_conv1", (64, 1, 3, 3), True), ("conv2", (512, 128, 1, 1), True),
        ("linear7", (512, 1, 7, 6), False), ("linear1", (128, 512, 1, 1), False),
    ):  # fmt: skip
        shapes |= {f"{name}.conv.weight": weight} | _norm(f"{name}.bn", weight[0])
        shapes |= {f"{name}.prelu.weight": weight[:1]} if prelu else {}
    for number, (inputs, inner, outputs) in enumerate(MOBILEFACENET_BLOCKS):
        name = f"blocks.{number}.conv"
        shapes |= {f"{name}.0.weight": (inner, inputs, 1, 1)} | _norm(f"{name}.1", inner)
        shapes |= {f"{name}.2.weight": (inner,), f"{name}.3.weight": (inner, 1, 3, 3)} | _norm(f"{name}.4", inner)
        shapes |= {f"{name}.5.weight": (inner,), f"{name}.6.weight": (outputs, inner, 1, 1)}
        shapes |= _norm(f"{name}.7", outputs)
    return shapes


def inception() -> Shapes:
    shapes: Shapes = {}
    for block, convolutions in INCEPTION.items():
        for name, weight in convolutions.items():
            shapes |= {f"{block}{name}.conv.weight": weight} | _norm(f"{block}{name}.bn", weight[0])
    return shapes | _affine("fc", 1008, 2048)


def hyperiqa() -> Shapes:
    shapes = {"res.conv1.weight": (64, 3, 7, 7)} | _norm("res.bn1", 64)
    for stage, (count, inputs, width) in enumerate(RESNET50_STAGES, 1):
        for block in range(count):
            name, channels = f"res.layer{stage}.{block}", 4 * width if block else inputs
            shapes |= {f"{name}.conv1.weight": (width, channels, 1, 1)} | _norm(f"{name}.bn1", width)
            shapes |= {f"{name}.conv2.weight": (width, width, 3, 3)} | _norm(f"{name}.bn2", width)
            shapes |= {f"{name}.conv3.weight": (4 * width, width, 1, 1)} | _norm(f"{name}.bn3", 4 * width)
        name = f"res.layer{stage}.0.downsample"
        shapes |= {f"{name}.0.weight": (4 * width, inputs, 1, 1)} | _norm(f"{name}.1", 4 * width)
    shapes |= {f"{name}.weight": weight for name, weight in HYPERIQA_BIASLESS.items()}
    return shapes | {k: s for name, weight in HYPERIQA_HEADS.items() for k, s in _affine(name, *weight).items()}


OFFICIAL: dict[str, Shapes] = {
    "vgg19": vgg("vgg19"),
    "vgg16": vgg("vgg16"),
    "vggface": vggface(),
    "squeezenet1_0": squeezenet(0),
    "squeezenet1_1": squeezenet(1),
    "alexnet": alexnet(),
    **{name: lpips(name) for name in LPIPS_CHANNELS},
    "mobilefacenet": mobilefacenet(),
    "inception": inception(),
    "hyperiqa": hyperiqa(),
}


def tensors(shapes: Shapes) -> dict[str, Tensor]:
    """Tensors of these names and shapes; no two hold the same number."""
    made = {name: torch.full((), 0.01 + 1e-4 * i).expand(s) for i, (name, s) in enumerate(shapes.items())}
    counters = [name for name in shapes if name.endswith("num_batches_tracked")]
    return made | {name: torch.tensor(7) for name in counters}


def saved(name: str, held: dict[str, Tensor]) -> dict:
    """As the official file of a network nests them."""
    return {"epoch": 68, "net_state_dict": held} if name == "mobilefacenet" else held
