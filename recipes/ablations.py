"""The paper's ablations in miniature: train each for a few steps, score all by cross-driving with true answers.

    python recipes/ablations.py --data FOLDER... --held-out FOLDER --pose CHECKPOINT --output FOLDER [--steps N]

The paper names L_cos (FID 34.8 without, 28.6 with it) and shows e_s, w_s->, driver augmentation and background as
pictures only (B.4). The last has no row: such a model paints backgrounds, which the scores leave out. Everything is the
same but for the ablation's recipe: seed, data, steps. Of few steps the table says what a term does to learning, not
what it does in the end. A run or score that is there already is kept.
"""

import argparse
from pathlib import Path

from megaportraits.config import EvaluateConfig
from megaportraits.evaluate.columns import column
from megaportraits.evaluate.command import evaluate
from megaportraits.evaluate.results import read_results
from megaportraits.evaluate.tables import means
from megaportraits.options import parse
from megaportraits.training.base import train_base
from megaportraits.training.loop import checkpoints

VARIANTS = {
    "full": "",
    "without L_cos": "ablation-no-cycle",
    "without e_s": "ablation-no-descriptor",
    "without w_s->": "ablation-no-source-warp",
    "without driver augmentation": "ablation-no-driver-augmentation",
}
SHOWN = ("head_psnr_db", "head_ssim", "mouth_psnr_db", "head_pose_deg", "mouth_landmarks", "face_csim")
COMMON = [
    "--preset=live", "--size-px=64", "--batch=4", "--drivers-per-source=4", "--weights.perceptual=0",
    "--weights.face=0", "--weights.gaze=0", "--weights.adversarial=0", "--weights.reconstruction=20",
    "--cycle-start=0.1", "--optimiser.learning-rate=1e-3", "--optimiser.final-learning-rate=3e-4",
    "--optimiser.betas=[0.9,0.999]", "--optimiser.warmup-steps=50", "--optimiser.ema=0.98",
    "--loop.precision=bf16-mixed", "--alarms.every=0",
]  # fmt: skip


def trained(name: str, given: argparse.Namespace) -> Path:
    """The variant's last checkpoint."""
    output = given.output / (VARIANTS[name] or "full")
    recipe = [f"--config={VARIANTS[name]}"] if VARIANTS[name] else []
    length = [f"--loop.steps={given.steps}", f"--loop.threads={given.threads}"]
    words = ["--data", *given.data, *recipe, *COMMON, f"--output={output}", f"--pose={given.pose}", *length]
    train_base(**parse(train_base, "ablations", words))
    return checkpoints(output)[-1]


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    for option in ("--held-out", "--pose"):
        parser.add_argument(option, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--recogniser", default="")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--count", type=int, default=32, help="cross-driven pairs that are scored")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    lines = []
    for name in VARIANTS:
        scores = given.output / "scores" / (VARIANTS[name] or "full")
        weights = str(trained(name, given))
        evaluate(
            EvaluateConfig(
                given.held_out,
                str(scores),
                "truth",
                weights,
                given.pose,
                recogniser=given.recogniser,
                count=given.count,
            )
        )
        found = means(read_results(scores).rows)["model"]
        lines.append(f"| {name} | {' | '.join(column(key).text(found.get(key)) for key in SHOWN)} |")
    titles = [f"{column(key).title} {column(key).arrow}" for key in SHOWN]
    print(f"\n| {given.steps} steps | {' | '.join(titles)} |\n|---|" + "---:|" * len(SHOWN))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
