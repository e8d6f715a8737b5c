"""Tables of hand-made rows: means, what is best, and what must be escaped."""

import csv
import io
from dataclasses import replace

import pytest

from megaportraits.evaluate import methods, scores
from megaportraits.evaluate.columns import column
from megaportraits.evaluate.results import Results, Row
from megaportraits.evaluate.tables import KNOWING, MOVED, Table, csv_rows, latex, latex_text, markdown, tables


def row(method: str, frame: int = 0, moved: float = 0.0, **values: float | None) -> Row:
    return Row("a", frame, method, 10.0, moved, 0.02, values)


def results(*rows: Row, unavailable: dict[str, str] | None = None, sets: dict | None = None) -> Results:
    return Results("truth", "2024-01-01", "ab" * 32, 64, {}, ["a"], [], {}, unavailable or {}, sets or {}, list(rows))


def cells(table: Table, key: str) -> dict[str, str]:
    """A column as it is printed, by method; the best values in stars."""
    at = [c.key for c in table.columns].index(key)
    return {m: f"*{line[at].text}*" if line[at].best else line[at].text for m, line in table.rows.items()}


def test_names_of_methods_that_know_more_are_those_in_use():
    used = {scores.ANSWER, scores.DRIVER, methods.ORACLE, methods.SIMILARITY, methods.SPLINE, methods.RELATIVE}
    assert set(KNOWING) == used


def test_means_leave_unknown_values_out():
    found = tables(results(row("model", 0, head_l1=0.25, eyes_l1=None), row("model", 1, head_l1=0.75, eyes_l1=0.125)))
    assert len(found) == 1
    assert cells(found[0], "head_l1") == {"model": "0.5000"}
    assert cells(found[0], "eyes_l1") == {"model": "0.1250"}


def test_best_follows_the_metric_and_leaves_out_who_knows_the_answer():
    made = tables(
        results(
            row("model", head_psnr_db=20.004, head_l1=0.3, face_csim=0.5, mouth_opening=0.2),
            row("source unchanged", head_psnr_db=20.001, head_l1=0.1, face_csim=0.4, mouth_opening=0.1),
            row("source, landmark warp", head_psnr_db=30.0, head_l1=0.0, face_csim=0.9, mouth_opening=0.9),
            row("right answer", face_csim=1.0, mouth_opening=0.3),
        )
    )
    pictures, judged = made
    equal = {"model": "*20.00*", "source unchanged": "*20.00*", "source, landmark warp": "30.00"}
    assert cells(pictures, "head_psnr_db") == equal
    assert cells(pictures, "head_l1")["source unchanged"] == "*0.1000*"
    assert list(judged.rows) == ["model", "source unchanged", "source, landmark warp", "right answer"]
    assert cells(judged, "face_csim")["model"] == "*0.5000*"
    assert "*" not in "".join(cells(judged, "mouth_opening").values())


def test_one_method_alone_is_not_the_best():
    assert cells(tables(results(row("model", head_l1=0.3)))[0], "head_l1") == {"model": "0.3000"}


def test_sharpness_has_a_table_of_its_own_and_no_best():
    made = tables(
        results(
            row("model", head_l1=0.3, head_sharpness=0.8, head_gradient_error=0.01),
            row("other", head_l1=0.2, head_sharpness=1.9, head_gradient_error=0.02),
        )
    )
    assert [table.title.split()[0] for table in made] == ["Pictures", "Sharpness"]
    assert cells(made[1], "head_sharpness") == {"model": "0.800", "other": "1.900"}
    assert cells(made[1], "head_gradient_error") == {"model": "*0.0100*", "other": "0.0200"}
    assert made[1].notes[0].startswith("sharpness: 1 is the right answer's")


def test_moved_frames_have_their_own_tables():
    still, moved = row("model", 0, MOVED, head_l1=0.1), row("model", 1, MOVED * 1.01, head_l1=0.3)
    both, only_moved = tables(results(still, moved))
    assert (cells(both, "head_l1"), cells(only_moved, "head_l1")) == ({"model": "0.2000"}, {"model": "0.3000"})
    assert "(1 of 2)" in only_moved.title


def test_columns_without_any_value_are_left_out():
    table = tables(results(row("model", head_l1=0.5, eyes_l1=None), row("other", head_l1=None)))[0]
    assert [c.key for c in table.columns] == ["head_l1"]
    assert cells(table, "head_l1") == {"model": "0.5000", "other": ""}


def test_frames_without_a_face_are_counted():
    """Also where there are errors for fewer frames, because the right answer shows no face either."""
    openings, errors = (0.1, None, 0.3), (0.1, None, None)
    rows = [
        row("model", i, mouth_opening=o, mouth_landmarks=e)
        for i, (o, e) in enumerate(zip(openings, errors, strict=True))
    ]
    table = tables(results(*rows))[0]
    assert cells(table, "mouth_opening") == {"model": "0.2000"}
    assert cells(table, "no_face") == {"model": "1"}


def test_scores_of_sets_stand_beside_the_judged_ones():
    sets = {"model": {"fid": 12.344, "mouth_opening_r": 0.5}, "source unchanged": {"fid": None}}
    table = tables(results(row("model", face_csim=0.5), sets=sets))[0]
    assert cells(table, "fid") == {"model": "12.34", "source unchanged": ""}
    assert cells(table, "mouth_opening_r") == {"model": "0.500", "source unchanged": ""}


def test_unknown_metrics_keep_their_name():
    found = [column(key) for key in ("head_sharp_ness", "novel", "mouth_opening_r", "raw_fid", "ears_l1")]
    assert [c.title for c in found] == ["head sharp_ness", "novel", "mouth opening r", "raw FID", "ears L1"]
    assert [c.arrow for c in found] == ["", "", "↑", "↓", "↓"]
    assert found[0].text(1 / 3) == "0.3333"


def test_markdown():
    table = tables(results(row("a|b <i>", head_l1=0.5), unavailable={"LPIPS": "no weights", "FID": "no *net*"}))
    assert markdown(table[0]).splitlines() == [
        "## Pictures against the right answer",
        "",
        "| method | head L1 ↓ |",
        "|---|---:|",
        r"| a\|b \<i> | 0.5000 |",
        "",
        "LPIPS: not available: no weights",
    ]
    assert r"FID: not available: no \*net\*" in markdown(table[1])
    assert "| method" not in markdown(table[1])


def test_likeness_by_our_own_net_is_not_passed_off_as_csim():
    """A recogniser that needs a pose net is one of `train identity`."""
    own, other = {"file": "identity", "sha256": "a", "with": "b"}, {"file": "x.pth", "sha256": "a"}
    for judge, said in ((own, True), (other, False)):
        made = tables(replace(results(row("a", face_csim=0.7)), networks={"csim": judge}))
        assert any("not comparable with the CSIM of other" in note for t in made for note in t.notes) == said


def test_latex():
    made = latex(tables(results(row("my_model", head_psnr_db=20.0, head_l1=0.5), row("b & c", head_psnr_db=21.0)))[0])
    lines = made.splitlines()
    assert r"method & head PSNR dB $\uparrow$ & head L1 $\downarrow$ \\" in lines
    assert r"my\_model & 20.00 & 0.5000 \\" in lines
    assert r"b \& c & \textbf{21.00} &  \\" in lines
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert r"\begin{tabular}{lrr}" in lines


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("5% & a_b", r"5\% \& a\_b"),
        (r"\x{1}", r"\textbackslash{}x\{1\}"),
        ("#$^~", r"\#\$\textasciicircum{}\textasciitilde{}"),
    ],
)
def test_latex_escapes(text, wanted):
    assert latex_text(text) == wanted


def test_csv_holds_every_row():
    text = csv_rows([row("model, z", 3, 0.5, head_l1=0.1), row("b", 4, face_csim=None)])
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"sample": "a", "frame": "3", "method": "model, z", "yaw_deg": "10.0", "moved": "0.5", "expression": "0.02",
         "head_l1": "0.1", "face_csim": ""},
        {"sample": "a", "frame": "4", "method": "b", "yaw_deg": "10.0", "moved": "0.0", "expression": "0.02",
         "head_l1": "", "face_csim": ""},
    ]  # fmt: skip
