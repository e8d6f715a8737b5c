"""Speed and memory, as JSON.

    python benchmarks/speed.py model --preset live --batch 2 --runs 10
    python benchmarks/speed.py animate --lengths 10 600 --resolution 512
    python benchmarks/speed.py student --preset student-small --runs 50
    python benchmarks/speed.py student --preset student-paper-512 --teacher paper-512 --runs 5

`model` times each part of the base model: warm-up, then median and interquartile range. `animate` makes drivers of some
lengths from the demo's, animates the demo's picture by each in a process of its own, and gives frames per second from
end to end, the share of each stage, and the peak memory. `student` times a frame of a student (random weights: they do
not change the time) with baked avatars, in PyTorch, compiled, and in ONNX Runtime, beside a frame of the teacher.
Machines are noisy: compare ratios within one run, not seconds between runs.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from megaportraits.animate import Animator, leave_a_core
from megaportraits.config import MODEL_PRESETS, STUDENT_PRESETS, preset, student_preset
from megaportraits.data.video import read_frames
from megaportraits.data.video_writer import write_video
from megaportraits.export import write_onnx
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.models.network import shipped_weights
from megaportraits.models.student import BakedStudent, Student

_FPS = Fraction(25)
DEMO = Path(str(resources.files("megaportraits.demo")))


def timed(function: Callable[[], object], runs: int, device: torch.device) -> dict[str, float]:
    """Median and quartiles in milliseconds, after two warm-up runs."""
    seconds = []
    for i in range(runs + 2):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if i >= 2:
            seconds.append(1000 * (time.perf_counter() - start))
    low, middle, high = statistics.quantiles(seconds, n=4)
    return {"median_ms": round(middle, 2), "q1_ms": round(low, 2), "q3_ms": round(high, 2)}


def machine(device: torch.device) -> dict[str, str | int | float]:
    """What the numbers were measured on."""
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "load_before": round(os.getloadavg()[0], 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def measure_model(arguments: argparse.Namespace) -> dict:
    """Time of each part of the base model."""
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = preset(arguments.preset)
    model = fold_weights(BaseModel(config)).eval().to(device)
    picture = torch.rand(arguments.batch, 3, config.size_px, config.size_px, device=device)
    matte = torch.ones_like(picture[:, :1])
    with torch.inference_mode():
        motion = model.motion(picture)
        source = model.canonical(picture, matte, motion)
        parts: dict[str, Callable[[], object]] = {
            "source: canonical": lambda: model.canonical(picture, matte, motion),
            "frame: motion": lambda: model.motion(picture),
            "frame: driver warp": lambda: model.driver_offsets(source, motion),
            "frame: render": lambda: model.render(source, motion),
        }
        results = {name: timed(part, arguments.runs, device) for name, part in parts.items()}
    frame_ms = results["frame: motion"]["median_ms"] + results["frame: render"]["median_ms"]
    return {
        "machine": machine(device),
        "preset": arguments.preset,
        "batch": arguments.batch,
        "parts": results,
        "frames_per_second": round(1000 * arguments.batch / frame_ms, 2),
    }


def measure_animate(arguments: argparse.Namespace) -> dict:
    """Frames per second, stages and peak memory of whole animations."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in arguments.lengths:
            driver = Path(folder) / f"{seconds}.mp4"
            write_video(driver, itertools.islice(_there_and_back(), round(seconds * _FPS)), _FPS)
            rows.append({"driver_seconds": seconds, **_in_own_process(driver, arguments.weights, arguments.resolution)})
    return {"machine": machine(torch.device("cpu")), "weights": arguments.weights or "of the package", "rows": rows}


def measure_student(arguments: argparse.Namespace) -> dict:
    """Time of one frame of student and teacher, one after the other in the same run."""
    torch.set_num_threads(arguments.threads)
    device = torch.device("cpu")
    student, teacher = Student(replace(student_preset(arguments.preset), avatars=1)).eval(), _teacher(arguments.teacher)
    baked, side, teacher_px = student.baked(), student.config.input_px, teacher.config.size_px
    driver, avatar = torch.rand(1, 3, side, side), torch.zeros(1, dtype=torch.long)
    picture = torch.rand(1, 3, teacher_px, teacher_px)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        source = teacher.canonical(picture, torch.ones_like(picture[:, :1]), teacher.motion(picture))
        compiled = torch.compile(baked) if arguments.compile else None
        frames: dict[str, Callable[[], object]] = {
            "teacher": lambda: teacher.render(source, teacher.motion(picture)),
            "student": lambda: baked(driver, avatar),
            "student, modulation not baked": lambda: student(driver, avatar),
        }
        if compiled is not None:
            frames["student, compiled"] = lambda: compiled(driver, avatar)
        frames["student, ONNX Runtime"] = _in_onnx_runtime(baked, Path(folder), arguments.threads)
        results = {name: timed(frame, arguments.runs, device) for name, frame in frames.items()}
    frame_ms = {name: result["median_ms"] for name, result in results.items()}
    return {
        "machine": machine(device),
        "preset": arguments.preset,
        "teacher_px": teacher_px,
        "student_px": student.config.size_px,
        "frames": results,
        "frames_per_second": {name: round(1000 / ms, 1) for name, ms in frame_ms.items()},
        "times_the_teacher": {name: round(frame_ms["teacher"] / ms, 1) for name, ms in frame_ms.items()},
    }


def _teacher(preset_name: str) -> BaseModel:
    """The weights of the package, or a preset with random ones, as they are used."""
    if not preset_name:
        return BaseModel.load(shipped_weights("base"))
    return fold_weights(BaseModel(preset(preset_name)).eval())


def _in_onnx_runtime(baked: BakedStudent, folder: Path, threads: int) -> Callable[[], object]:
    import onnxruntime

    write_onnx(baked, folder / "student.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / "student.onnx"), options, providers=["CPUExecutionProvider"])
    side = baked.config.input_px
    inputs = {"driver": np.random.default_rng(0).random((1, 3, side, side), np.float32), "avatar": np.array([0])}
    return lambda: session.run(None, inputs)


def _there_and_back() -> Iterator[np.ndarray]:
    """The demo's driver forwards and backwards, without end and without a jump."""
    frames = list(read_frames(DEMO / "driver.mp4"))
    return itertools.cycle(frames + frames[-2:0:-1])


def _in_own_process(driver: Path, weights: str | None, resolution: int) -> dict[str, object]:
    """Animate in a child process; its peak memory is that of the child alone."""
    result = driver.with_suffix(".json")
    child = os.fork()
    if child == 0:
        words = ["one", str(driver), str(result), weights or "", str(resolution)]
        os.execv(sys.executable, [sys.executable, __file__, *words])
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        raise SystemExit("the animation failed")
    facts = json.loads(result.read_text())
    return {**facts, "peak_memory_mib": round(usage.ru_maxrss / 1024)}


def _animate_one(driver: str, result: str, weights: str, resolution: str) -> None:
    leave_a_core()
    animator = Animator.load(weights or None, resolution=int(resolution))
    start = time.perf_counter()
    report = animator.animate(DEMO / "source.png", driver, Path(driver).with_suffix(".out.mp4"), progress=False)
    elapsed = time.perf_counter() - start
    facts = {
        "frames": report.frames,
        "size_px": animator.size_px,
        "frames_per_second": round(report.frames / elapsed, 2),
        "share": {name: round(seconds / elapsed, 3) for name, seconds in report.seconds.items()},
        "stage_frames_per_second": {n: round(report.frames / s, 1) for n, s in report.seconds.items() if s},
    }
    Path(result).write_text(json.dumps(facts))


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        return _animate_one(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = parser.add_subparsers(dest="what", required=True)
    model = words.add_parser("model")
    model.add_argument("--preset", choices=sorted(MODEL_PRESETS), default="live")
    model.add_argument("--batch", type=int, default=2, help="driver frames at once")
    model.add_argument("--runs", type=int, default=10)
    model.add_argument("--threads", type=int, default=torch.get_num_threads())
    animate = words.add_parser("animate")
    animate.add_argument("--lengths", type=float, nargs="+", default=[10.0], help="lengths of the drivers in seconds")
    animate.add_argument("--weights", help="checkpoint folder; by default the weights of the package")
    animate.add_argument("--resolution", type=int, default=0, help="side of the results; by default the weights' own")
    student = words.add_parser("student")
    student.add_argument("--preset", choices=sorted(STUDENT_PRESETS), default="student-small")
    student.add_argument(
        "--teacher", choices=sorted(MODEL_PRESETS), default="", help="by default the package's weights"
    )
    student.add_argument("--runs", type=int, default=50)
    student.add_argument("--threads", type=int, default=torch.get_num_threads())
    student.add_argument("--compile", action="store_true", help="time a compiled student too (takes a minute)")
    arguments = parser.parse_args()
    measure = {"model": measure_model, "animate": measure_animate, "student": measure_student}[arguments.what]
    return print(json.dumps(measure(arguments), indent=1))


if __name__ == "__main__":
    main()
