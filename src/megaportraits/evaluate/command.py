"""`megaportraits evaluate`: score a model on rendered truth or on its own clips and videos."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from tqdm import tqdm

from megaportraits.animate import Animator, leave_a_core, shipped_weights
from megaportraits.checkpoint import write_json
from megaportraits.config import EvaluateConfig, to_dict
from megaportraits.evaluate.frames import spread
from megaportraits.evaluate.methods import all_methods
from megaportraits.evaluate.protocols import Sample, load_samples
from megaportraits.evaluate.report import SheetRow, markdown_table, write_sheet, write_text
from megaportraits.evaluate.scores import Row, means, score

SCHEMA_VERSION = 1
_SHEET_ROWS = 8
_LEGEND = """
Every picture stands over grey. Regions come from the right answer's landmarks: head = face, ears and hair within the
matte (rendered clips), face = hull of the landmarks (videos), mouth and eyes = boxes. z constant: the mean over all
drivers instead of the driver's z. Driven by the answer: no motion has to cross identities. Similarity and landmark warp
know the true poses and landmarks (in videos, MediaPipe's), the model does not.
"""


def evaluate(config: EvaluateConfig) -> None:
    """Score a model against right answers; write scores.json, scores.md and contact_sheet.png.

    Raises:
        UserError: no weights, no data of the kind that the protocol needs, or the output cannot be written.
    """
    leave_a_core()
    output, weights = Path(config.output), Path(config.weights or shipped_weights())
    animator = Animator.load(weights, config.device)
    digest = weights_hash(weights)  # now: a training run may remove its old checkpoints meanwhile
    samples = load_samples(config, animator.size_px)
    rows, sheet = _run(animator, samples, config.protocol == "truth")
    summary = means(rows)
    table = markdown_table(summary)
    write_sheet(output / "contact_sheet.png", sheet)
    heading = _heading(config, f"{weights.name} (sha256 {digest[:12]})", samples, animator.size_px)
    write_text(output / "scores.md", heading + table + _LEGEND)
    write_json(
        output / "scores.json",
        {
            "schema_version": SCHEMA_VERSION,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights_sha256": digest,
            "size_px": animator.size_px,
            "settings": to_dict(config),
            "counts": {"samples": len(samples), "frames": _frame_count(samples), "rows": len(rows)},
            "means": summary,
            "rows": [asdict(row) for row in rows],
        },
    )
    print(table, end="")


def weights_hash(folder: Path) -> str:
    """SHA-256 of a checkpoint's `model.safetensors`."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(animator: Animator, samples: Sequence[Sample], cross: bool) -> tuple[list[Row], list[SheetRow]]:
    methods = all_methods(animator, list(samples), cross)
    shown = spread(0, len(samples) - 1, _SHEET_ROWS)
    rows: list[Row] = []
    sheet: list[SheetRow] = []
    for i, sample in enumerate(tqdm(samples, "evaluating", unit="sample", disable=None)):
        results = {name: method(sample) for name, method in methods.items()}
        for name, result in results.items():
            rows += score(sample, name, result)
        if i in shown:
            sheet.append(_sheet_row(sample, results, cross))
    return rows, sheet


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
