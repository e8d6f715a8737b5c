"""Files in other processes: what hangs or dies is named, Ray gives the same."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from megaportraits.config import FilterConfig, PrepareVideos, RunnerConfig
from megaportraits.errors import UserError
from megaportraits.prepare import runners
from megaportraits.prepare.command import prepare_videos
from megaportraits.prepare.jobs import Work
from megaportraits.prepare.lists import Item
from megaportraits.prepare.records import read_manifest


@dataclass(frozen=True)
class Trouble(Work):
    """Hangs, dies, or dies once, by the item's name."""

    def __call__(self, item: Item) -> str:
        mark = Path(self.config.out) / f"{item.name}.mark"
        if item.name == "hangs":
            time.sleep(600)
        if item.name == "dies" or (item.name == "dies-once" and not mark.exists()):
            mark.touch()
            os._exit(9)
        return f"{item.name}: done"


def test_what_hangs_is_ended_and_what_dies_is_tried_again(tmp_path):
    work = Trouble(PrepareVideos(("a",), str(tmp_path)), {})
    items = [Item(Path(name), name, name) for name in ("hangs", "dies", "dies-once", "fine")]
    told = set(runners.in_processes(work, items, 2, 3.0))
    assert told == {
        "left out: hangs: it took longer than 3 s",
        "left out: dies: the process that read it died twice",
        "dies-once: done",
        "fine: done",
    }
    assert work.stored(items[0])[0].reason == "it took longer than 3 s"
    assert not work.done(items[0]), "the next run tries again"


def test_ray_gives_the_manifest_of_one_process(videos, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed (extra 'cluster')")
    limits = FilterConfig(least_scale=0.5, least_s=0.3)
    manifests = []
    for name, run in (("here", RunnerConfig(workers=0)), ("ray", RunnerConfig(workers=2, runner="ray"))):
        out = tmp_path / name
        prepare_videos(PrepareVideos((str(videos),), str(out), size=128, filters=limits, run=run))
        manifests.append((out / "manifest.jsonl").read_bytes())
    assert manifests[0] == manifests[1]
    assert len(read_manifest(tmp_path / "ray")) == 6


def test_without_ray_the_answer_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    work = Work(PrepareVideos(("a",), str(tmp_path)), {})
    with pytest.raises(UserError, match=r"install megaportraits\[cluster\]"):
        list(runners.run(work, [Item(Path("a"), "a", "a")], RunnerConfig(runner="ray")))
