"""`megaportraits evaluate`: score a model on rendered truth or on its own clips and videos."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from megaportraits.animate import Animator, leave_a_core, shipped_weights
from megaportraits.checkpoint import write_json
from megaportraits.config import EvaluateConfig, to_dict
from megaportraits.evaluate.frames import spread
from megaportraits.evaluate.judges import open_judges
from megaportraits.evaluate.methods import all_methods
from megaportraits.evaluate.openings import ENOUGH, opening_agreements
from megaportraits.evaluate.protocols import Sample, load_samples
from megaportraits.evaluate.report import SheetRow, opening_table, score_tables, write_sheet, write_text
from megaportraits.evaluate.scores import ANSWER, MOVED, Row, faceless, means, score, score_answer
from megaportraits.files import replacing

SCHEMA_VERSION = 2
_SHEET_ROWS = 8
_PATHS = ("data", "output", "weights", "pose_net", "gaze_net", "lpips", "recogniser")
_LEGEND = f"""
Every picture stands over grey. Regions come from the right answer's landmarks: head = face, ears and hair within the
matte (rendered clips), face = hull of the landmarks (videos), mouth and eyes = boxes. z constant: the mean over all
drivers instead of the driver's z. Driven by the answer: no motion has to cross identities. Similarity and landmark warp
know the true poses and landmarks (in videos, MediaPipe's), the model does not.

Pose error: what a head pose net sees in the result against the true pose. Gaze error: what a gaze net sees in the
result against what it sees in the right answer. Landmark error: MediaPipe on the result against MediaPipe on the
driver, in distances between the eyes; frames without a face are counted and left out. CSIM: likeness to the source. The
row "{ANSWER}" is the measures' own error: the perfect result.
"""
_MOVED = f"""
## Frames whose landmarks moved by more than {MOVED:.0%} of the face

"""
_OPENINGS = f"""
## Openings of mouth and eyes: correlation of driver and result

Clips in which both of the driver's openings vary by a standard deviation of at least {ENOUGH:g}: """


def evaluate(config: EvaluateConfig) -> None:
    """Score a model against right answers; write scores.json, scores.md and contact_sheet.png.

    Raises:
        UserError: no weights, no data of the kind that the protocol needs, or the output cannot be written.
    """
    leave_a_core()
    output, weights = Path(config.output), Path(config.weights or shipped_weights())
    with replacing(output / "scores.json") as scores:  # before the work: the folder may not be writable
        animator = Animator.load(weights, config.device)
        digest = weights_hash(weights)  # now: a training run may remove its old checkpoints meanwhile
        samples = load_samples(config, animator.size_px)
        rows, sheet = _run(config, animator, samples)
        tables, results = _summary(rows, samples)
        write_sheet(output / "contact_sheet.png", sheet)
        heading = _heading(config, f"{weights.name} (sha256 {digest[:12]})", samples, animator.size_px)
        write_text(output / "scores.md", heading + tables + _LEGEND)
        facts = {
            "schema_version": SCHEMA_VERSION,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights_sha256": digest,
            "size_px": animator.size_px,
            "settings": portable_settings(config),
            "counts": {"samples": len(samples), "frames": _frame_count(samples), "rows": len(rows)},
        }
        write_json(scores, facts | results | {"rows": [asdict(row) for row in rows]})
    print(tables, end="")


def portable_settings(config: EvaluateConfig) -> dict[str, Any]:
    """The settings without this machine's folders: of every path the last part."""
    return {k: Path(v).name if k in _PATHS and v else v for k, v in to_dict(config).items()}


def weights_hash(folder: Path) -> str:
    """SHA-256 of a checkpoint's `model.safetensors`."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(config: EvaluateConfig, animator: Animator, samples: list[Sample]) -> tuple[list[Row], list[SheetRow]]:
    cross = config.protocol == "truth"
    methods = all_methods(animator, samples, cross)
    shown = spread(0, len(samples) - 1, _SHEET_ROWS)
    rows: list[Row] = []
    sheet: list[SheetRow] = []
    with open_judges(config, animator.model.motion_encoder.pose, samples) as judges:
        for i, sample in enumerate(tqdm(samples, "evaluating", unit="sample", disable=None)):
            results = {name: method(sample) for name, method in methods.items()}
            for name, result in results.items():
                rows += score(sample, name, result, judges)
            rows += score_answer(sample, judges)
            if i in shown:
                sheet.append(_sheet_row(sample, results, cross))
    return rows, sheet


def _summary(rows: list[Row], samples: list[Sample]) -> tuple[str, dict[str, Any]]:
    """Tables, and the same numbers for the JSON: all frames, frames that moved, and openings where they were seen."""
    everything, missing = means(rows), faceless(rows)
    results: dict[str, Any] = {"means": everything, "no_face": missing}
    text = score_tables(everything, missing)
    moved = [row for row in rows if row.moved > MOVED]
    if moved:
        results["means_moved"] = means(moved)
        frames = len({(row.sample, row.frame) for row in moved})
        text += f"{_MOVED}{frames} of {_frame_count(samples)} frames.\n\n"
        text += score_tables(results["means_moved"], faceless(moved))
    if missing:
        agreements = opening_agreements(rows, samples)
        results["openings"] = {m: {p: asdict(a) for p, a in parts.items()} for m, parts in agreements.items()}
        counted = next(iter(agreements.values()))["mouth"].by_clip
        text += f"{_OPENINGS}{len(counted)} of {len(samples)}.\n\n{opening_table(agreements)}"
    return text, results


def _sheet_row(sample: Sample, results: dict[str, torch.Tensor], cross: bool) -> SheetRow:
    """The frame whose right answer differs most from the source, where a method has most to do."""
    truth = sample.target.over_grey()
    at = int((truth - sample.source.over_grey()).abs().mean((1, 2, 3)).argmax())
    driver = {"driver": sample.driver.picture()[at]} if cross else {}
    answer = {"source": sample.source.picture()[0], **driver, "right answer": truth[at]}
    return SheetRow(sample.name, answer | {name: result[at] for name, result in results.items()})


def _frame_count(samples: Sequence[Sample]) -> int:
    return sum(len(s.target.numbers) for s in samples)


def _heading(config: EvaluateConfig, weights: str, samples: Sequence[Sample], size_px: int) -> str:
    return (
        f"Protocol {config.protocol}, {len(samples)} samples, {_frame_count(samples)} frames, {size_px} px, "
        f"weights {weights}, seed {config.seed}. Means over frames.\n\n"
    )
