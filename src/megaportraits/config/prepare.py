"""Settings of the data kit: `megaportraits prepare videos|photos|shards|verify|report`."""

from dataclasses import dataclass, field
from typing import Literal

from megaportraits.config.checks import at_least
from megaportraits.errors import UserError

Layout = Literal["plain", "voxceleb2", "vfhq", "celebv-hq", "talkinghead-1kh", "ffhq"]
"""How a dataset's folders and lists are to be read (docs/data.md)."""
ClipSplit = Literal["train", "val", "test", "held_out", "by-identity"]


@dataclass(frozen=True)
class FilterConfig:
    """What a clip or a photo must be like (B.3); each limit has a reason of its own in the manifest."""

    least_scale: float = 1.0
    """Side of the head's square in the file's own pixels / side of the pictures made of it: the paper's "bitrate
    filter" at 1. Below 1 pictures are enlarged."""
    most_outside: float = 0.55
    """Part of the square's area that may lie outside the file's picture, and is filled with its blurred reflection."""
    most_yaw_deg: float = 60.0
    """Frames turned further to the side are left out."""
    least_likeness: float = 0.3
    """Least cosine of a face with the mean face of its clip, by the recognition net: one clip, one person."""
    least_s: float = 0.8
    """Shortest clip in seconds."""
    least_frames: int = 8
    """Fewest frames of a clip."""
    least_motion: float = 0.02
    """Least movement within a clip: of the face in face heights, of its turn in half radians, or of its openings."""
    least_quality: float = 0.0
    """Least quality: mean over the frames of `quality` (docs/data.md), or of HyperIQA where its file is given."""
    keep_part: float = 1.0
    """Part of the clips (photos) that is kept after ranking by quality; the paper keeps the better half."""
    duplicate_bits: int = 11
    """Clips of different files are duplicates where their three perceptual hashes (192 bits) differ in so many bits
    at most, and their mouths move alike; -1 keeps duplicates."""

    def __post_init__(self):
        at_least(self, 0, "least_scale", "most_outside", "most_yaw_deg", "least_s", "least_motion", "least_quality")
        at_least(self, -1, "least_likeness", "duplicate_bits")
        at_least(self, 1, "least_frames")
        if not 0 < self.keep_part <= 1:
            raise UserError(f"keep_part is {self.keep_part}; give a part above 0, at most 1")
        if self.duplicate_bits > 11:
            raise UserError(f"duplicate_bits is {self.duplicate_bits}; give at most 11 of the 192 bits")


@dataclass(frozen=True)
class RunnerConfig:
    """Where the files are worked on."""

    workers: int = 1
    """Processes; 0 works in this one, without the limit on time."""
    runner: Literal["local", "ray"] = "local"
    """`ray` spreads the files over a Ray cluster that sees the same folders (extra `cluster`); where none runs, over
    `workers` processes of this machine."""
    file_limit_s: float = 1800.0
    """A file that takes longer is given up and named."""

    def __post_init__(self):
        at_least(self, 0, "workers")
        if not self.file_limit_s > 0:
            raise UserError(f"file_limit_s is {self.file_limit_s}; give seconds above 0")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What videos and photos have in common."""

    layout: Layout = "plain"
    """How folders and lists are to be read."""
    licence: str = "unknown"
    """Licence of the files, written into each clip; a list may name others."""
    split: ClipSplit = "train"
    """What the clips are for; `by-identity` draws train, val or test for each person, always the same."""
    val_part: float = 0.02
    """Part of the people in val, with `by-identity`."""
    test_part: float = 0.02
    """Part of the people in test, with `by-identity`."""
    quality_net: str = ""
    """File of HyperIQA (docs/frozen-nets.md), the paper's measure of quality, in the place of our own."""
    filters: FilterConfig = field(default_factory=FilterConfig)
    """Limits."""
    run: RunnerConfig = field(default_factory=RunnerConfig)
    """Where the work is done."""

    def __post_init__(self):
        at_least(self, 0, "val_part", "test_part")
        if self.val_part + self.test_part > 1:
            raise UserError(f"val_part and test_part are {self.val_part} and {self.test_part}; give at most 1 together")


@dataclass(frozen=True)
class PrepareVideos(PrepareConfig):
    """`megaportraits prepare videos`: clips of recorded people."""

    videos: tuple[str, ...]
    """Video files, folders of them, patterns, or lists (.csv, .json, .txt; docs/data.md)."""
    out: str
    """Folder of the clips; what is there already is kept."""
    size: int = 256
    """Side of the pictures, in pixels."""
    step: int = 2
    """Every how many-th frame is looked at and kept."""
    most_frames: int = 600
    """Most frames of a clip; longer ones are divided."""

    def __post_init__(self):
        super().__post_init__()
        at_least(self, 1, "step", "most_frames")
        at_least(self, 64, "size")


@dataclass(frozen=True)
class PreparePhotos(PrepareConfig):
    """`megaportraits prepare photos`: photos as clips of one frame."""

    photos: tuple[str, ...]
    """Picture files, folders of them, patterns, or lists (.csv, .json; docs/data.md)."""
    out: str
    """Folder of the clips; what is there already is kept."""
    size: int = 1024
    """Side of the pictures, in pixels."""

    def __post_init__(self):
        super().__post_init__()
        at_least(self, 64, "size")


@dataclass(frozen=True)
class PrepareShards:
    """`megaportraits prepare shards`: prepared clips as WebDataset-style tar files."""

    data: tuple[str, ...]
    """Folders of clips."""
    out: str
    """Folder of the tar files."""
    megabytes: int = 512
    """A tar file is closed when it has reached this size."""

    def __post_init__(self):
        at_least(self, 1, "megabytes")
