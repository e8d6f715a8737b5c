"""What an evaluation leaves: `scores.json`, read back by the report and by `megaportraits compare`."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from megaportraits.checkpoint import read_json, write_json
from megaportraits.errors import UserError

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Row:
    """The scores of one frame of one sample by one method."""

    sample: str
    frame: int
    """Frame number of the right answer (of the driver, where there is none) in its clip."""
    method: str
    yaw_deg: float
    """Yaw of the head that the result should have."""
    moved: float
    """Mean distance of the wanted landmarks from the source's, in face heights; head movement included."""
    expression: float
    """The same without head movement: of mouth, eyes and brows, after the affine map of the plane that fits best, in
    distances of the outer eye corners."""
    scores: dict[str, float | None]
    """By "REGION_METRIC"; None where the region is outside the picture, or a judge finds no face."""


@dataclass(frozen=True)
class Results:
    """One evaluation of one protocol."""

    protocol: str
    date: str
    """When it ended, ISO 8601, UTC."""
    weights_sha256: str
    """Of the evaluated `model.safetensors`."""
    size_px: int
    """Side of the compared pictures."""
    settings: dict[str, Any]
    """Of paths the last part only; `enhancer_sha256` of its `model.safetensors`, where one was evaluated."""
    samples: list[str]
    """Names; the picture of frame F of sample i is `pictures/iii-FFFF.jpg` (`%03d-%04d`)."""
    columns: list[str]
    """What such a picture shows, in square cells from left to right; names of methods among them."""
    networks: dict[str, dict[str, str]]
    """Networks that judged, by metric: `file` (its name) and `sha256`."""
    unavailable: dict[str, str]
    """Metrics that could not be measured, by title, and what is missing, in a sentence."""
    sets: dict[str, dict[str, float | None]]
    """Scores of whole sets of pictures (FID, KID, correlations ...) by method and metric."""
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Files that could not be used, a sentence each."""
    schema_version: int = SCHEMA_VERSION

    @property
    def evaluated(self) -> str:
        """The method that the evaluation is about."""
        return "base, enhancer" if self.protocol == "enhance" else "model"

    @property
    def enhancer_sha256(self) -> str:
        """Empty where no enhancer was evaluated."""
        return self.settings.get("enhancer_sha256", "")


def write_results(path: Path, results: Results) -> None:
    """Write `scores.json`."""
    write_json(path, asdict(results))


def read_results(path: str | Path) -> Results:
    """Read `scores.json`, or that of a folder.

    Raises:
        UserError: no such file, or not of an evaluation by this version of the program.
    """
    file = Path(path) / "scores.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        inside = sorted(scores.parent.name for scores in Path(path).glob("*/scores.json"))
        hint = f"the folder holds {', '.join(inside)}: give one of them" if inside else "give that of an evaluation"
        raise UserError(f"there is no file {file}; {hint}")
    data = read_json(file)
    found = data.get("schema_version") if isinstance(data, dict) else "nothing"
    if found != SCHEMA_VERSION or data.keys() != {f.name for f in fields(Results)}:
        raise UserError(
            f"{file} is no scores.json of schema {SCHEMA_VERSION} (it says {found}); make it with `megaportraits "
            "evaluate` of this version"
        )
    rows = [Row(**row) for row in data.pop("rows")]
    return Results(**data, rows=rows)
