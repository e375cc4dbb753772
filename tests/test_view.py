"""`ufm view`: what the page is told, how it is projected, and in a browser that slider, mouse and keys change it."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from chromium import Tab, binary, chromium
from html_checks import checked
from test_figures import problem, solution
from test_report_page import FOUND

import ufm
from ufm.cli import main
from ufm.face.pages import run as page
from ufm.face.pages.claims import claims_page
from ufm.face.pages.curves import BOTTOM, LEFT, RIGHT, TOP, Curve, chart, places
from ufm.face.pages.scene import CLASSES, scene
from ufm.face.text import describe

STEPS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Any:
    """Where `ufm view` has written page.html: four classes in three dimensions, gradient descent that is not done."""
    folder = tmp_path_factory.mktemp("view")
    argv = ["view", "--n", "3", "--d", "3", "--max-steps", str(STEPS), "--out", str(folder / "page.html")]
    assert main(argv) == 1  # not converged
    return folder


def path(of: ufm.Problem, **changes: Any) -> Any:
    """A made-up trajectory."""
    return solution(of, **changes).trajectory


def data(text: str) -> dict[str, Any]:
    return json.loads(checked(text).scripts[0])


def test_the_page_is_sound_and_says_what_is_drawn(folder, capsys):
    text = (folder / "page.html").read_text()
    found = checked(text)
    for said in (
        "cross-entropy, K=4 classes, 3 samples each (N=12), d=3 features",
        "gradient descent (lr 1, momentum 0.9), random start (key 0, scale 1), float64",
        "The last point: not a critical point",
        "At the last step they hold 100 % of the squared norm of the class means, 100 % of W",
        "All features are drawn.",
        "f − f* (T7)",
    ):
        assert said in found.text, said
    told = data(text)
    frames = len(told["steps"])
    assert (told["steps"][0], told["steps"][-1]) == (0, STEPS)
    assert [len(told[name][0]) for name in ("rows", "means", "features")] == [12, 12, 36]
    assert all(len(values) == frames for group in ("series", "shares") for values in told[group].values())
    assert told["series"]["f"][-1] < told["series"]["f"][0]
    assert told["shares"]["features"] == pytest.approx([1.0] * frames)
    assert len(text) < 100_000


def test_what_has_no_picture_is_refused():
    made = dataclasses.replace(solution(problem()), trajectory=None)
    for bad, message in (
        (made, "Pass record="),
        (dataclasses.replace(made, trajectory=_nonfinite(solution(problem()))), "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            page.view_page(problem(), bad)
    deep = ufm.Problem(3, 2, 3, 1e-2, 1e-2, loss=ufm.MSE(), model=ufm.DeepLinear((3,)))
    with pytest.raises(ValueError, match="class labels and one matrix W"):
        page.view_page(deep, solution(problem()))


def _nonfinite(made: Any) -> Any:
    W = made.trajectory.params.W.copy()
    W[2, 0, 0] = np.nan
    return dataclasses.replace(made.trajectory, params=made.trajectory.params._replace(W=W))


def test_four_classes_lose_nothing_and_ten_what_is_said():
    of, made = problem(4, 3, 20), path(problem(4, 3, 20))
    simplex = np.eye(4, 20) - np.concatenate([np.full((4, 4), 0.25), np.zeros((4, 16))], axis=1)
    kept = made.params._replace(W=np.stack([simplex] * 6), H=np.stack([np.repeat(simplex, 3, axis=0).T] * 6))
    whole = scene(of, dataclasses.replace(made, params=kept))
    assert whole.shares["features"] == pytest.approx(np.ones(6))
    assert np.linalg.norm(whole.rows, axis=2) == pytest.approx(np.ones((6, 4)))
    assert whole.rows @ whole.rows.swapaxes(1, 2) == pytest.approx(np.stack([simplex @ simplex.T / 0.75] * 6))
    assert np.max(np.abs(whole.rows - whole.means)) < 1e-12
    large = problem(10, 2, 20)
    part, W = scene(large, path(large)), path(large).params.W[-1]
    inside = W @ np.linalg.svd(W, full_matrices=False)[2][:3].T  # the means are the rows there, up to noise of e^-15
    assert part.shares["W"][-1] == pytest.approx(np.sum(inside**2) / np.sum(W**2))
    assert part.shares["W"][-1] < 0.9


@pytest.mark.parametrize(("K", "d"), [(2, 1), (2, 5), (3, 2)])
def test_directions_that_the_last_point_leaves_open_come_from_the_path(K, d):
    of = problem(K, 2, d)
    made = path(of)
    turned = np.stack([made.params.W[t] if t else made.params.W[t][:, ::-1] for t in range(6)])
    found = scene(of, dataclasses.replace(made, params=made.params._replace(W=turned)))
    assert found.rows.shape == (6, K, 3)
    assert np.all(found.shares["W"] <= 1.0 + 1e-12)
    seen = np.linalg.matrix_rank(np.vstack([*found.rows, *found.features]), tol=1e-6)
    assert seen == min(d, 3)


def test_a_path_that_ends_at_zero_is_seen_where_it_was():
    of = problem(4, 2, 6)
    found = scene(of, path(of, steps=range(0, 60, 10), shrink=1.0))
    assert found.shares["means"][0] > 0.5
    zero = path(of)
    nothing = zero.params._replace(W=0.0 * zero.params.W, H=0.0 * zero.params.H)
    assert np.all(np.isnan(scene(of, dataclasses.replace(zero, params=nothing)).shares["W"]))


def test_a_page_has_room_for_so_many_points():
    of = problem(100, 3, 110)
    found = scene(of, path(of, steps=range(20)))
    assert found.means.shape == (20, CLASSES, 3)
    assert sorted(set(found.labels.tolist())) == list(range(CLASSES))
    many = problem(2, 5000, 3)
    found = scene(many, path(many, steps=range(20)))
    assert 20 * 3 * found.features.shape[1] <= 100_000
    assert found.features.shape[1] == len(found.labels) > 1000


def test_long_trajectories_are_thinned_to_their_ends():
    made = path(problem(2, 1, 2), steps=range(1000))
    kept = page._thinned(made)
    assert len(kept.steps) == len(kept.params.W) == page.FRAMES
    assert (kept.steps[0], kept.steps[-1]) == (0, 999)
    assert page._thinned(kept) is kept


def test_curves_stay_inside_their_frame():
    steps = np.array([0, 1, 10, 1000])
    values = np.array([1.0, np.nan, 1e-30, 1e-5])
    drawn = chart("A & B", steps, [Curve("f", "one", values, 1e-16), Curve("g", "two", np.full(4, np.nan), 1.0)])
    points = drawn.split('points="')[1].split('"')[0].split()
    at = np.array([[float(x) for x in point.split(",")] for point in points])
    assert len(at) == 3
    assert np.all((at >= (LEFT, TOP)) & (at <= (RIGHT, BOTTOM)))
    assert at[0, 1] == TOP
    assert at[1, 1] == BOTTOM  # at the floor
    assert "A &amp; B" in drawn
    assert "<li>" in drawn
    assert drawn.count("<li>") == 1
    assert "undefined" in chart("A", steps, [Curve("f", "one", np.full(4, np.nan), 1.0)])
    assert places(np.array([7])) == pytest.approx([RIGHT])
    assert places(np.array([0])) == pytest.approx([LEFT])
    assert ">300</text>" in chart("A", np.array([0, 300]), [Curve("f", "one", np.ones(2), 1.0)])


def test_a_path_that_diverges_has_no_page(capsys, tmp_path):
    argv = ["view", "--n", "3", "--d", "3", "--max-steps", str(STEPS), "--lr", "1e9", "--out", str(tmp_path / "x")]
    assert main(argv) == 1
    assert "NONFINITE" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--K", "1"], "ufm view: K=1 (one class has nothing to separate)"),
        (["--n", "5,4", "--K", "3"], "n has 2 class sizes, but K=3"),
        (["--momentum", "0.5", "--solver", "adam"], "--momentum would have no effect"),
        (["--out", "nowhere/at/all.html"], "--out nowhere/at/all.html: there is no directory nowhere/at."),
    ],
)
def test_bad_input_is_refused_in_one_line(capsys, argv, said):
    assert main(["view", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": ufm.normalized(5.0)}, "cross-entropy, W in Spheres  H in Spheres  tau=5  no bias"),
        ({"lam_H": 0.01, "model": ufm.fixed_classifier(np.eye(3))}, "W in Fixed  H in Euclidean  lam_H=0.01  no bias"),
        ({"lam_W": 0.01, "lam_H": 0.01, "loss": ufm.Focal(2.0)}, "Focal(gamma=2.0), lam_W=0.01  lam_H=0.01  no bias"),
    ],
)
def test_models_without_some_decays_are_described(changes, told):
    what, how = describe(ufm.Problem(3, 2, 3, **changes))
    assert told in f"{what.split('   ')[0]}, {how}"


@pytest.fixture(scope="module")
def shown(folder, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The page in a browser, from a server that counts requests."""
    if binary() is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    asked: list[str] = []

    class Counting(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with chromium(tmp_path_factory.mktemp("chromium")) as tab:
            address = f"http://127.0.0.1:{server.server_address[1]}/page.html"
            tab.open(address)
            yield SimpleNamespace(tab=tab, asked=asked, address=address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


MOVED = """new Promise(done => {
  const look = () => Number(time.value) >= 2 ? done(1) : setTimeout(look, 10);
  look();
})"""
END_OF_THE_CHART = """(() => {
  const chart = document.querySelector('.chart');
  chart.scrollIntoView();
  const box = chart.getBoundingClientRect();
  return [box.right - 2, box.top + 50];
})()"""
SETTLED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def picture(tab: Tab) -> str:
    """Every pixel of the canvas."""
    tab.evaluate(SETTLED)
    return tab.evaluate("document.getElementById('space').toDataURL()")


def test_the_slider_moves_the_path(shown):
    tab = shown.tab
    seen = [picture(tab)]
    assert tab.evaluate("document.getElementById('step').textContent") == str(STEPS)
    tab.evaluate("document.getElementById('time').focus()")
    for key in ("ArrowLeft", "Home"):
        tab.key(key)
        seen.append(picture(tab))
    assert len(set(seen)) == 3
    assert tab.evaluate("document.getElementById('step').textContent") == "0"
    assert tab.evaluate("document.getElementById('time').getAttribute('aria-valuetext')").startswith("step 0: f 1")
    assert tab.evaluate("document.querySelector('.cursor').getAttribute('transform')") == f"translate({LEFT})"
    assert tab.evaluate("document.getElementById('at-share-means').textContent") == "100.0 %"
    tab.key("End")
    assert picture(tab) == seen[0]


def test_mouse_and_keys_turn_the_picture(shown):
    tab = shown.tab
    first = picture(tab)
    box = tab.evaluate("(() => { const b = document.getElementById('space').getBoundingClientRect();"
                       " return [b.x, b.y, b.width, b.height]; })()")  # fmt: skip
    middle = (box[0] + box[2] / 2, box[1] + box[3] / 2)
    tab.drag(middle, (middle[0] + 60, middle[1] + 10))
    dragged = picture(tab)
    tab.evaluate("document.getElementById('space').focus()")
    seen = [first, dragged]
    for key in ("ArrowRight", "ArrowUp", "+"):
        tab.key(key)
        seen.append(picture(tab))
    assert len(set(seen)) == 5
    assert tab.evaluate("document.getElementById('step').textContent") == str(STEPS)
    tab.key("Home")
    assert picture(tab) == first
    assert tab.evaluate("document.getElementById('space').matches(':focus-visible')")
    assert tab.evaluate("getComputedStyle(document.getElementById('space')).outlineWidth") == "3px"


def test_what_is_not_wanted_is_not_drawn(shown):
    tab = shown.tab
    whole = picture(tab)
    seen = [whole]
    for part in ("features", "means", "rows", "paths"):
        tab.evaluate(f"document.getElementById('show-{part}').click()")
        seen.append(picture(tab))
    assert len(set(seen)) == 5
    for part in ("features", "means", "rows", "paths"):
        tab.evaluate(f"document.getElementById('show-{part}').click()")
    assert picture(tab) == whole


def test_play_goes_through_the_path_and_pause_stops(shown):
    tab = shown.tab
    tab.evaluate("document.getElementById('play').click()")
    assert tab.evaluate(MOVED) == 1
    assert tab.evaluate("play.textContent") == "Pause"
    tab.evaluate("play.click()")
    assert tab.evaluate("play.textContent") == "Play"
    frame = tab.evaluate("time.value")
    tab.evaluate("new Promise(done => setTimeout(done, 500))")
    assert tab.evaluate("time.value") == frame
    x, y = tab.evaluate(END_OF_THE_CHART)
    tab.drag((x, y), (x, y))
    assert tab.evaluate("document.getElementById('step').textContent") == str(STEPS)


def test_dark_paper_and_a_telephone(shown):
    tab = shown.tab
    light = picture(tab)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert picture(tab) != light
    tab.call("Emulation.setEmulatedMedia", features=[])
    tab.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=True)
    tab.evaluate(SETTLED)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.evaluate("document.getElementById('space').width") == 2 * (390 - 32)
    tab.call("Emulation.clearDeviceMetricsOverride")


def test_the_console_is_silent_and_there_was_one_request(shown):
    assert shown.tab.complaints() == []
    assert shown.tab.requests() == [shown.address]
    assert shown.asked == ["/page.html"]


def test_the_report_needs_nothing_either(shown, folder):
    (folder / "report.html").write_text(claims_page(FOUND, 1.0))
    tab = shown.tab
    tab.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=True)
    tab.open(shown.address.replace("page", "report"))
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.complaints() == []
    assert shown.asked[-1] == "/report.html"
    assert len(tab.requests()) == 1
    tab.call("Emulation.clearDeviceMetricsOverride")
