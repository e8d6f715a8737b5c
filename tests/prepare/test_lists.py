"""What there is to prepare: folders, patterns, lists, and the layouts of known datasets."""

import json
import os
from pathlib import Path

import pytest

from megaportraits.errors import UserError
from megaportraits.prepare.layouts import READERS
from megaportraits.prepare.lists import find_items

MP4 = (".mp4",)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_searched_to_their_depths_and_names_differ(tmp_path):
    touch(
        tmp_path / "a b.mp4", tmp_path / "x/y.mp4", tmp_path / "x-y.mp4", tmp_path / ".hidden/z.mp4", tmp_path / "n.txt"
    )
    (tmp_path / "loop").symlink_to(tmp_path)
    items = find_items([str(tmp_path)], MP4)
    assert {item.source for item in items} == {"a b.mp4", "x/y.mp4", "x-y.mp4"}
    names = [item.name for item in items]
    assert names[0] == "a-b"
    assert len(set(names)) == 3
    assert all("." not in name and "/" not in name for name in names)
    assert find_items([str(tmp_path)], MP4) == items


def test_patterns_and_the_same_file_twice(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert [i.name for i in find_items([str(tmp_path / "*.mp4"), str(tmp_path / "a.mp4")], MP4)] == ["a", "b"]
    with pytest.raises(UserError, match="no file fits the pattern"):
        find_items([str(tmp_path / "*.mov")], MP4)
    with pytest.raises(UserError, match="give files, or folders"):
        find_items([], MP4)


def test_lists_name_times_boxes_people_and_licences(tmp_path):
    touch(tmp_path / "v/a.mp4")
    row = {
        "file": "v/a.mp4", "identity": "p", "start_s": 1.5, "end_s": 3, "left": 0, "top": 0.1, "right": 0.5,
        "bottom": 1, "licence": "CC0-1.0", "adult": "yes",
    }  # fmt: skip
    (tmp_path / "l.json").write_text(json.dumps([row]))
    (tmp_path / "l.csv").write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    (from_json,), (from_csv,) = (find_items([str(tmp_path / f"l.{kind}")], MP4) for kind in ("json", "csv"))
    assert from_json == from_csv
    assert (from_json.path, from_json.identity) == (tmp_path / "v/a.mp4", "p")
    assert (from_json.start_s, from_json.end_s, from_json.box) == (1.5, 3.0, (0.0, 0.1, 0.5, 1.0))
    assert (from_json.licence, from_json.adult) == ("CC0-1.0", True)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "path\nx.mp4\n", "'file' is needed, and known others are name"),
        ("a.csv", "file,start_s\nx.mp4,soon\n", "entry 1 of .* is wrong"),
        ("a.csv", "file,start_s\nx.mp4\n", "line 2 of .* has not as many cells"),
        ("a.csv", "file,left\nx.mp4,0.1\n", "a box has left, top, right and bottom"),
        ("a.json", "{", "is not readable JSON"),
        ("a.json", '{"file": "x.mp4"}', "holds no list of objects"),
        ("a.json", '[{"file": "x.mp4", "adult": "perhaps"}]', "adult is yes or no"),
        ("a.json", '[{"file": "x.mp4", "start_s": 3, "end_s": 2}]', "the times 3 to 2.0 s are no stretch"),
        ("a.json", '[{"file": "x.mp4", "start_s": NaN}]', "are no stretch of a video"),
        ("a.json", '[{"file": "x.mp4", "start_frame": -1}]', "the frames -1 to None are no stretch"),
        ("a.json", '[{"file": "x.mp4", "start_s": 1, "start_frame": 9}]', "give one of them"),
        ("a.json", '[{"file": "x.mp4", "left": 0, "top": 0, "right": 640, "bottom": 360}]', "in parts of the picture"),
    ],
)
def test_wrong_lists_are_told(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        find_items([str(tmp_path / name)], MP4)


def test_voxceleb2(tmp_path):
    touch(tmp_path / "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4")
    (item,) = find_items([str(tmp_path)], MP4, READERS["voxceleb2"])
    assert item.identity == "id00012"
    assert item.name == "dev-mp4-id00012-21Uxsk56VDQ-00001"


def test_vfhq(tmp_path):
    touch(tmp_path / "videos/a+b_c.mp4")
    meta = tmp_path / "meta"
    meta.mkdir()
    (meta / "Clip+a+b_c+P1+C0+F50-100.txt").write_text(
        "Video: a+b_c\nH 1080\nW 1920\nFPS 25.0\n\nCROP: 480 0 1440 1080\n0 0 1 2 3 4\n"
    )
    (item,) = find_items([str(meta)], MP4, READERS["vfhq"])
    assert item.path == tmp_path / "videos/a+b_c.mp4"
    assert (item.identity, item.start_s, item.end_s) == ("a+b_c-P1", 2.0, 4.0)
    assert item.box == (0.25, 0.0, 0.75, 1.0)
    (meta / "Clip+a+P1+C0+F50-100.txt").write_text("H 1080\n")
    with pytest.raises(UserError, match="lacks a line H, W, FPS or CROP"):
        find_items([str(meta)], MP4, READERS["vfhq"])


def test_celebv_hq(tmp_path):
    touch(tmp_path / "videos/abc.mp4")
    clip = {
        "ytb_id": "abc", "duration": {"start_sec": 1.0, "end_sec": 5.5},
        "bbox": {"top": 0.0, "bottom": 0.9, "left": 0.2, "right": 1.1},
    }  # fmt: skip
    (tmp_path / "celebvhq_info.json").write_text(json.dumps({"meta_info": {}, "clips": {"abc_3": clip}}))
    (item,) = find_items([str(tmp_path / "celebvhq_info.json")], MP4, READERS["celebv-hq"])
    assert (item.name, item.identity, item.path) == ("abc_3", "abc", tmp_path / "videos/abc.mp4")
    assert (item.start_s, item.end_s, item.box) == (1.0, 5.5, (0.2, 0.0, 1.0, 0.9))
    (tmp_path / "celebvhq_info.json").write_text(json.dumps({"clips": {"abc_3": {"ytb_id": "abc"}}}))
    with pytest.raises(UserError, match=r"the clip abc_3 of .* lacks 'bbox'"):
        find_items([str(tmp_path / "celebvhq_info.json")], MP4, READERS["celebv-hq"])


def test_talkinghead_1kh(tmp_path):
    touch(tmp_path / "abc_0003.mp4")
    (tmp_path / "train_video_tubes.txt").write_text("abc_0003,720,1280,10,200,320,0,960,720\n")
    (item,) = find_items([str(tmp_path / "train_video_tubes.txt")], MP4, READERS["talkinghead-1kh"])
    assert (item.path, item.identity) == (tmp_path / "abc_0003.mp4", "abc")
    assert (item.start_frame, item.end_frame, item.box) == (10, 200, (0.25, 0.0, 0.75, 1.0))
    (tmp_path / "train_video_tubes.txt").write_text("abc_0003,720,1280\n")
    with pytest.raises(UserError, match=r"line 1 of .* is not a tube"):
        find_items([str(tmp_path / "train_video_tubes.txt")], MP4, READERS["talkinghead-1kh"])


def test_ffhq(tmp_path):
    touch(tmp_path / "images1024x1024/00000/00000.png", tmp_path / "images1024x1024/00000/00007.png")
    (tmp_path / "ffhq_aging_labels.csv").write_text("image_number,age_group\n0,0-2\n7,30-39\n")
    items = find_items([str(tmp_path / "images1024x1024")], (".png",), READERS["ffhq"])
    assert [(item.identity, item.adult) for item in items] == [("00000", False), ("00007", True)]


@pytest.mark.parametrize("layout", ["voxceleb2", "vfhq", "ffhq", "celebv-hq", "talkinghead-1kh"])
def test_a_layout_says_what_it_wants(tmp_path, layout):
    given = tmp_path / "other.csv"
    given.write_text("a\n")
    with pytest.raises(UserError, match="give"):
        find_items([str(given)], MP4, READERS[layout])


def test_names_are_short_differ_without_case_and_are_not_those_of_our_folders(tmp_path):
    touch(tmp_path / f"{'long' * 40}a.mp4", tmp_path / f"{'long' * 40}b.mp4", tmp_path / "jobs.mp4", tmp_path / "A.mp4")
    touch(tmp_path / "a.mp4", tmp_path / "left_out.mp4")
    names = [item.name for item in find_items([str(tmp_path)], MP4)]
    assert len({name.casefold() for name in names}) == 6
    assert max(map(len, names)) < 80
    assert not {"jobs", "left_out"} & set(names)


def test_empty_cells_are_missing_ones(tmp_path):
    (tmp_path / "l.json").write_text('[{"file": "a.mp4", "identity": null, "licence": "", "end_s": null}]')
    (item,) = find_items([str(tmp_path / "l.json")], MP4)
    assert (item.identity, item.licence, item.end_s) == ("", "", None)


def test_names_that_are_no_utf8_can_be_printed(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).touch()
    (item,) = find_items([str(tmp_path)], MP4)
    assert item.source == "caf\\xe9.mp4"
    assert item.path.is_file()
