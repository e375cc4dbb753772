"""`ufm verify --report`: the page says what was found, is sound HTML, and asks for nothing but itself."""

import json
import math
import re

import numpy as np
import pytest
from html_checks import checked

from ufm.cli import main
from ufm.face.pages.claims import claims_page
from ufm.face.pages.html import maths
from ufm.face.pages.scatter import BOTTOM, LANE, LEFT, RIGHT, TOP, scatter
from ufm.verify.claim import AtLeast, Claim, Measurement, Row
from ufm.verify.runner import Verified, run_claim


def verified(id: str, predicted, measured, topic: str = "balanced", tolerance: float = 1e-12, **changes) -> Verified:
    """A claim at two settings, of which the first is exact."""

    exact = {name: getattr(value, "value", value) for name, value in predicted.items()}

    def measure(setting):
        values = exact if setting == "exact" else measured
        return Measurement(values, dict.fromkeys(predicted, tolerance), changes.get("failure", ""))

    sentence = "At <b>minima</b> lam_W W^T W = lam_H H H^T & f >= nu |W H|_*."
    made = Claim(id, sentence, "A & B (2021)", "d >= K-1", "32 eps", lambda full: ["exact", "K<4>"], measure,
                 lambda setting: predicted, boundary=id.endswith("-x"))  # fmt: skip
    return run_claim(topic, made, False)


FOUND = (
    verified(
        "3.1", {"f": 1.0, "verdict": "GLOBAL_MINIMUM"}, {"f": 1.0 + 1e-13, "verdict": "GLOBAL_MINIMUM"}, "squares"
    ),
    verified("T2", {"f": 2.0}, {"f": 2.5}),
    verified("T2-x", {"f": AtLeast(2.0)}, {"f": math.nan}),
    verified("T2-y", {"f": 2.0}, {}, failure="a <script> failed"),
)


def test_the_page_is_sound_and_says_what_was_found():
    page = checked(claims_page(FOUND, 61.0))
    for said in (
        "Of 4 claims 1 holds, ✗ 1 is violated, ? 2 are inconclusive.",
        "here at 8 settings: 8 quantities",
        "1 of the claims, marked boundary, say",
        "At <b>minima</b> λW WT W = λH H HT & f ≥ ν |W H|*.",
        "A & B (2021)",
        "a <script> failed",
        "ufm verify --only T2-x",
        "K<4>",
        "≥ 2 nan undefined 1.0e-12",
        "f 2 2.5 5.0e-01 1.0e-12",
    ):
        assert said in page.text, said


def test_the_families_come_in_the_order_of_reading_and_failures_first():
    text = claims_page(FOUND, 61.0)
    order = re.findall(r'<article id="([^"]+)"', text)
    assert order == ["T2", "T2-x", "T2-y", "3.1"]
    assert re.findall(r'<li class="(\w+)"><a href="#([^"]+)"', text) == [
        ("bad", "T2"),
        ("open", "T2-x"),
        ("open", "T2-y"),
    ]
    assert "Equal class sizes: the minima, their spectra and thresholds, their proofs</a>" in text
    assert "<ul>" not in claims_page(FOUND[:1], 1.0)


def test_the_larger_grids_are_named_in_the_commands():
    assert "ufm verify --full --only 3.1" in checked(claims_page(FOUND[:1], 1.0, full=True)).text


def test_a_dot_is_right_of_the_diagonal_where_the_difference_is_allowed():
    def places(kind, *pairs):
        rows = [Row("q", 0.0, 0.0, difference, tolerance) for difference, tolerance in pairs]
        path = re.search(rf'class="{kind}" d="([^"]*)"', scatter(rows, "x"))
        return [] if path is None else [tuple(map(int, at)) for at in re.findall(r"M(\d+) (\d+)h0", path[1])]

    assert places("within", (0.0, 0.0)) == [(LEFT - LANE, BOTTOM + LANE)]
    assert places("within", (1e-10, 1.0)) == [(RIGHT, (TOP + BOTTOM) // 2)]
    assert places("beyond", (1.0, 1e-20)) == [(LEFT, TOP)]
    for difference, tolerance in [(1e-13, 1e-12), (1e-30, 1e-25), (3e-16, 4e-9), (1.0, 2.0)]:
        ((x, y),) = places("within", (difference, tolerance))
        assert (x - LEFT) / (RIGHT - LEFT) >= (BOTTOM - y) / (BOTTOM - TOP) - 0.01
    assert places("beyond", (math.nan, 1e-12), (math.inf, 0.0)) == [(LEFT - LANE, TOP), (LEFT + 66, TOP)]
    assert len(places("within", *[(1e-16, 1e-12)] * 50)) == 1
    assert "none beyond" in scatter([], "x")


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("lam_W |W|^2 >= nu", "λ<sub>W</sub> |W|<sup>2</sup> ≥ ν"),
        ("<G, Z> + 1 < K and d > 2", "⟨G, Z⟩ + 1 &lt; K and d &gt; 2"),
        ("(g N/sqrt n_max)^(1/(q-2))", "(g N/√n<sub>max</sub>)<sup>1/(q−2)</sup>"),
        ("K-1, but T16-T17 and cross-entropy", "K−1, but T16-T17 and cross-entropy"),
        ("sums of gamma functions", "sums of gamma functions"),
        ("|G|_2 and (x)_+", "|G|<sub>2</sub> and (x)<sub>+</sub>"),
        ("e^-a +- -s |mu_k|", "e<sup>−a</sup> ± −s |μ<sub>k</sub>|"),
        ("data_loss & <script>", "data_loss &amp; &lt;script&gt;"),
    ],
)
def test_formulas(sentence, shown):
    assert maths(sentence) == shown


def test_the_command_writes_both_files(capsys, tmp_path):
    target = tmp_path / "report.html"
    assert main(["verify", "--only", "2.2-bounds", "--report", str(target)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.endswith(f"Report: {target}, {tmp_path / 'report.json'}\n")
    page, record = checked(target.read_text()), json.loads((tmp_path / "report.json").read_text())
    assert "The bounds on ρ* count flat caps" in page.text
    assert (record["schema"], record["full"]) == ("ufm-verify/1", False)
    (claim,) = record["claims"]
    assert claim["id"] == "2.2-bounds"
    for row in (row for check in claim["checks"] for row in check["rows"]):
        assert row["predicted"] in page.text
        assert f"{row['tolerance']:.1e}" in page.text
    assert main(["verify", "--only", "2.2-bounds", "--report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["claims"][0]["outcome"] == "HOLDS"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--report", "nowhere/at/all.html"], "--report nowhere/at/all.html: there is no directory nowhere/at."),
        (["--report", "x.html", "--list"], "--report would have no effect: --list runs nothing."),
    ],
)
def test_bad_options(capsys, argv, said):
    assert main(["verify", *argv]) == 2
    assert said in capsys.readouterr().err


def test_the_json_of_what_is_undefined_is_strict():
    from ufm.face.verify_record import as_record

    found = verified("T2", {"f": 1.0}, {"f": -math.inf}, tolerance=math.inf)
    row = as_record((found,), 1.0)["claims"][0]["checks"][1]["rows"][0]
    assert (row["difference"], row["tolerance"]) == (None, None)
    json.dumps(as_record((*FOUND, found), np.float64(1.0)), allow_nan=False)
