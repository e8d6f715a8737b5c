"""A first result without any file of one's own: a rendered person, driven by another rendered person's motion.

Both wear held-out assets only, which no shipped weights have seen. Source: first frame of id00005_motion00003 of the
truth set (`recipes/scoreboard.sh`); driver: `megaportraits synth --split held_out --seed 28 --clips 1
--motion-of 2 --frames 75 --step 1`. CC0 content.
"""

from importlib import resources
from pathlib import Path

from megaportraits.animate import Animator, Device, leave_a_core
from megaportraits.config import LiveConfig
from megaportraits.live.command import live as show_live

_RESULT_PX = 512


def demo(
    output: Path = Path("demo.mp4"), weights: Path | None = None, device: Device = "auto", live: bool = False
) -> None:
    """Make a short sample video (source, driver, result) from what came with the package.

    Args:
        output: video to write (.mp4, .mov or .mkv).
        weights: checkpoint folder; by default the weights that came with the package, and their enhancer.
        device: where to compute; auto takes a GPU where there is one.
        live: open a page on which the avatars of the package follow the webcam instead (`megaportraits live`).
    """
    if live:
        show_live(LiveConfig(device=device))
        return
    leave_a_core()
    files = resources.files("megaportraits.demo")
    with resources.as_file(files / "source.png") as source, resources.as_file(files / "driver.mp4") as driver:
        animator = Animator.load(weights, device, resolution=0 if weights else _RESULT_PX)
        animator.animate(source, driver, output, side_by_side=True)
    print(f"the video is {output.resolve()}")
