"""Settings of signed avatars: what `megaportraits avatar ...` and `megaportraits live` take as options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from megaportraits.config.animate import Device
from megaportraits.config.checks import at_least
from megaportraits.errors import UserError

_LAST_PORT = 65535


@dataclass(frozen=True)
class AvatarMake:
    """`megaportraits avatar make`: a student's avatars as one signed file."""

    student: str
    """Checkpoint folder of `train distill`."""
    output: Path
    """File to write (.mpa)."""
    consent: Path
    """JSON: by the name of each avatar, an object with `consent` (who agreed to what, and when) and `licence`."""
    key: Path
    """Private key (`avatar key`) that signs the file."""
    avatars: tuple[str, ...]
    """The folders of prepared photos or clips that the student was trained with, for the pictures of the list."""


@dataclass(frozen=True)
class AvatarRemove:
    """`megaportraits avatar remove`: the same avatars without one, signed anew."""

    bundle: Path
    """Signed file."""
    name: str
    """The avatar to forget."""
    output: Path
    """File to write (.mpa)."""
    key: Path
    """Private key that signs the new file."""


@dataclass(frozen=True)
class AvatarAnimate:
    """`megaportraits avatar animate`: a video of one avatar with the motion of another video."""

    bundle: Path
    """Signed file, or `shipped` for that of the package."""
    driver: str
    """Video, folder of pictures, or number of a camera."""
    output: Path
    """Video or folder (a name without suffix) to write; a picture shows the first frame."""
    avatar: str = ""
    """Name of the avatar; empty for the first one."""
    trust: Path | None = None
    """Public key (.pub) that must have signed the file."""
    face: str = "largest"
    """Which of several faces drives: largest, or a number (0 is the largest)."""
    background: str = "grey"
    """What is behind the person: transparent, a colour (red, #00ff00), a picture or a video."""
    no_watermark: bool = False
    """Leave out the invisible mark by which `provenance check` knows results again; the statement in the file stays."""
    seconds: float | None = None
    """Only the first seconds of the driver; by default all of it, and 4 seconds of a camera."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one."""

    def __post_init__(self):
        if self.face == "all":
            raise UserError("an avatar follows one face; give --face largest or a number")
        if self.background in ("source", "blur"):
            raise UserError(f"--background {self.background} came, but avatars bring no background; give a colour")
        at_least(self, 0.1, "seconds")


@dataclass(frozen=True)
class LiveConfig:
    """`megaportraits live`: a web page on which avatars follow a webcam."""

    bundle: Path | None = None
    """Signed file of avatars (.mpa); by default those that came with the package."""
    where: Literal["server", "browser"] = "server"
    """Who computes: this program, to which the page sends the webcam's pictures, or the browser, which they never
    leave."""
    trust: Path | None = None
    """Public key (.pub) that must have signed the file."""
    allow_unsigned: bool = False
    """Take a file whose signature is missing or wrong."""
    host: str = "127.0.0.1"
    """Address to listen at; browsers open cameras for this machine's own pages, and for others by https only."""
    port: int = 8642
    """Port to listen at; 0 takes a free one."""
    recordings: Path = Path("recordings")
    """Folder of what is recorded where this program computes; the browser saves its own recordings."""
    no_watermark: bool = False
    """Leave out the invisible mark by which `provenance check` knows recordings again."""
    no_open: bool = False
    """Do not open the page in a browser."""
    onnxruntime_web: Path | None = None
    """Folder with the `dist` files of onnxruntime-web, for `--where browser`; by default they are fetched once."""
    device: Device = "auto"
    """Where the server computes; auto takes a GPU where there is one."""

    def __post_init__(self):
        at_least(self, 0, "port")
        if self.port > _LAST_PORT:
            raise UserError(f"port is {self.port}; give a number up to {_LAST_PORT}")


@dataclass(frozen=True)
class AvatarScore:
    """`megaportraits avatar score`: avatars beside their teacher."""

    bundle: Path
    """Signed file, or `shipped` for that of the package."""
    avatars: tuple[str, ...]
    """The folders of prepared photos or clips that the student was trained with."""
    data: tuple[str, ...]
    """Folders of clips that drive; take some that it was not trained with."""
    output: str
    """Folder for the report."""
    own: str = ""
    """Folder with a folder of clips for each avatar's name that show the avatar itself: the truth of self-driving."""
    teacher: str = ""
    """Checkpoint folder of `train base`; empty for the weights of the package."""
    enhancer: str = ""
    """Checkpoint folder of `train enhance`, where avatars are larger than the teacher's pictures; empty for the weights
    of the package."""
    squeezenet: str = ""
    """File of SqueezeNet 1.0, for the distance between its features, which is not LPIPS; empty leaves it out."""
    frames: int = 4
    """Frames of each clip at most, spread evenly."""

    def __post_init__(self):
        at_least(self, 1, "frames")
