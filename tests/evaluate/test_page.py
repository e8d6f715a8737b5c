"""The report page of hand-made results."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from megaportraits.evaluate.page import chief_scores, extremes, write_page
from megaportraits.evaluate.results import Results, Row

VOID = {"meta", "img", "br", "link", "input", "hr"}
SAMPLES = ["first", "second & <i>"]


def results(protocol: str = "truth", methods: tuple[str, ...] = ("model", "<b>")) -> Results:
    """Three frames of each of two samples; PSNR grows and the pose error shrinks from frame to frame."""
    rows = [
        Row(
            sample, frame, method, 15.0 * frame, 0.1, 0.01 * frame,
            {"head_psnr_db": 20.0 + 3 * i + frame, "head_pose_deg": 9.5 - 3 * i - frame, "face_csim": None},
        )
        for method in methods
        for i, sample in enumerate(SAMPLES)
        for frame in range(3)
    ]  # fmt: skip
    networks = {"pose_deg": {"file": "pose & net", "sha256": "cd" * 32}}
    columns = ["source", "right answer", *methods]
    return Results(
        protocol, "2024-05-06T07:08:09+00:00", "ab" * 32, 64, {}, SAMPLES, columns, networks,
        {"FID": "no weights < here"}, {}, rows,
    )  # fmt: skip


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what a page names and shows."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        facts = dict(attrs)
        self.links += [facts[name] for name in ("href", "src", "xlink:href") if name in facts]
        self.ids += [facts["id"]] if "id" in facts else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data.strip())


def written(tmp_path: Path, *several: Results) -> Page:
    write_page(tmp_path / "report.html", several)
    return Page((tmp_path / "report.html").read_text())


def test_page_is_whole_and_shows_everything(tmp_path):
    page = written(tmp_path, results())
    text = "\n".join(page.words)
    for fact in ("2024-05-06T07:08:09+00:00", "ab" * 32, "64 × 64 px", "pose & net", "cd" * 32, "Protocol truth"):
        assert fact in text
    assert page.words[page.words.index("Samples") + 1 :][:1] == ["2"]
    assert page.words[page.words.index("Frames") + 1 :][:1] == ["6"]
    assert "FID: not available: no weights < here" in page.words
    assert "<b>" in page.words
    assert "i" not in page.seen
    assert "script" not in page.seen
    assert page.seen.count("svg") == 2 * 2
    assert page.seen.count("table") == 4
    assert {"22.50", "7.00"} <= set(page.words), "means of the two scores"


def test_page_refers_to_nothing_outside(tmp_path):
    page = written(tmp_path, results())
    assert {link for link in page.links if not link.startswith("#")} == {
        f"pictures/{name}.jpg" for name in ("000-0000", "001-0000", "001-0002")
    }
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "url(http" not in (tmp_path / "report.html").read_text()
    assert "@import" not in (tmp_path / "report.html").read_text()


def test_several_protocols_have_their_own_folders(tmp_path):
    page = written(tmp_path, results("truth"), results("self"))
    assert {"truth/pictures/001-0002.jpg", "self/pictures/001-0002.jpg", "#protocol-2"} <= set(page.links)
    assert "pictures/001-0002.jpg" not in page.links
    assert len(page.ids) == len(set(page.ids))


def test_worst_median_and_best_follow_the_direction():
    found = {rank: (row.sample, row.frame) for rank, row in extremes(results(), "head_psnr_db")}
    assert found == {"worst": ("first", 0), "median": (SAMPLES[1], 0), "best": (SAMPLES[1], 2)}
    turned = {rank: row.scores["head_pose_deg"] for rank, row in extremes(results(), "head_pose_deg")}
    assert turned == {"worst": 9.5, "median": 6.5, "best": 4.5}


@pytest.mark.parametrize(("count", "ranks"), [(1, ["best"]), (2, ["worst", "best"]), (3, ["worst", "median", "best"])])
def test_few_frames_are_shown_once(count, ranks):
    few = results(methods=("model",))
    del few.rows[count:]
    assert [rank for rank, _ in extremes(few, "head_psnr_db")] == ranks


def test_chief_scores_are_those_with_values():
    found = results()
    assert chief_scores(found) == ["head_psnr_db", "head_pose_deg"]
    found.rows[0].scores["face_psnr_db"] = found.rows[0].scores["mouth_landmarks"] = 1.0
    assert chief_scores(found) == ["head_psnr_db", "head_pose_deg", "mouth_landmarks"]


def test_without_the_model_there_are_tables_only(tmp_path):
    page = written(tmp_path, results(methods=("other",)))
    assert page.seen.count("table") == 4
    assert not {"svg", "img"} & set(page.seen)
