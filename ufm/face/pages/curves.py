"""Curves over the steps of a solve as SVG: logarithmic axes with labels, and a cursor that a script can move."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 450, 10, 190
LINEAR = 300  # steps up to which their axis is linear
MOST_TICKS = 7


@dataclass(frozen=True, eq=False)
class Curve:
    """values [T], not drawn where undefined and drawn at `floor`, the size of rounding, where they are below it."""

    name: str
    kind: str  # the class of its line in the style sheet
    values: np.ndarray
    floor: float


def places(steps: np.ndarray) -> np.ndarray:
    """[T] where each step is across a chart."""
    return LEFT + (RIGHT - LEFT) * _scaled(steps, steps) if steps[-1] > 0 else np.full(len(steps), float(LEFT))


def chart(title: str, steps: np.ndarray, curves: Sequence[Curve]) -> str:
    """A figure of HTML: the curves, their legend and a line of class "cursor"."""
    drawn = [(curve, np.isfinite(curve.values)) for curve in curves if np.any(np.isfinite(curve.values))]
    head = f"<figure>\n<figcaption>{escape(title)}</figcaption>\n"
    if not drawn:
        return f"{head}<p>undefined: W H is zero</p>\n</figure>"
    heights = [np.log10(np.maximum(curve.values[there], curve.floor)) for curve, there in drawn]
    low, high = math.floor(min(map(np.min, heights))), math.ceil(max(map(np.max, heights)))
    high = max(high, low + 1)
    across = places(steps)
    lines = []
    for (curve, there), height in zip(drawn, heights, strict=True):
        y = BOTTOM - (BOTTOM - TOP) * (height - low) / (high - low)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across[there], y, strict=True))
        lines.append(f'<polyline class="{curve.kind}" points="{points}"/>')
    named = ", ".join(curve.name for curve, _ in drawn)
    legend = "".join(
        f'<li><svg width="26" height="8" aria-hidden="true"><path class="{curve.kind}" d="M1 4h24"/></svg> '
        f"{escape(curve.name)}</li>"
        for curve, _ in drawn
    )
    return (
        f'{head}<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title}: {named} over the steps, logarithmic")}">\n'
        f"{_frame(steps, low, high)}\n{chr(10).join(lines)}\n"
        f'<path class="cursor" d="M0 {TOP}V{BOTTOM}"/>\n</svg>\n<ul class="legend">{legend}</ul>\n</figure>'
    )


def _scaled(x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Shares of the axis of steps: linear, or log(1 + step)."""
    last = steps[-1]
    return x / last if last <= LINEAR else np.log1p(x) / np.log1p(last)


def _frame(steps: np.ndarray, low: int, high: int) -> str:
    lines = [f'<path class="frame" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>']
    for decade in range(low, high + 1, math.ceil((high - low) / MOST_TICKS)):
        y = round(BOTTOM - (BOTTOM - TOP) * (decade - low) / (high - low))
        lines.append(f'<path class="frame" d="M{LEFT} {y}h-4"/>')
        lines.append(f'<text x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{_power(decade)}</text>')
    for tick in _step_ticks(int(steps[-1])):
        x = round(LEFT + (RIGHT - LEFT) * float(_scaled(np.array(tick), steps))) if tick else LEFT
        name = f"{tick}" if tick < 1000 else _power(round(math.log10(tick)))
        lines.append(f'<path class="frame" d="M{x} {BOTTOM}v4"/>')
        lines.append(f'<text x="{x}" y="{BOTTOM + 17}" text-anchor="middle">{name}</text>')
    lines.append(f'<text x="{(LEFT + RIGHT) // 2}" y="{HEIGHT - 4}" text-anchor="middle">step</text>')
    return "\n".join(lines)


def _step_ticks(last: int) -> list[int]:
    if last > LINEAR:
        return [0, *(10**power for power in range(int(math.log10(last)) + 1))]
    wide = next(step for step in (1, 2, 5, 10, 20, 50, 100) if last <= MOST_TICKS * step)
    return list(range(0, last + 1, wide))


def _power(decade: int) -> str:
    sign = "−" if decade < 0 else ""
    return "1" if decade == 0 else f'10<tspan dy="-4" font-size="8">{sign}{abs(decade)}</tspan>'
