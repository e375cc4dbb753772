"""Differences against what is allowed, as an SVG of fixed scales: all pictures of a page are read alike."""

import math
from collections.abc import Iterable

from ufm.verify.claim import Row

WIDTH, HEIGHT = 242, 190
LEFT, RIGHT, TOP, BOTTOM = 68, 234, 8, 144  # of the decades; zero has a lane of its own beside them
FIRST, LAST = -20, 0  # decades; what is smaller is drawn in the first
LANE = 16
TICKS = (-15, -10, -5, 0)

AXES = f"""<svg class="hidden" width="0" height="0" aria-hidden="true"><defs><g id="scatter-axes">
<path class="forbidden" d="M{LEFT} {BOTTOM}V{TOP}H{RIGHT}z"/>
<path class="limit" d="M{LEFT} {BOTTOM}L{RIGHT} {TOP}"/>
<path class="frame" d="M{LEFT - LANE} {TOP}V{BOTTOM + LANE}H{RIGHT}"/>
{{ticks}}
<text x="{(LEFT + RIGHT) // 2}" y="{HEIGHT - 2}" text-anchor="middle">allowed</text>
<text transform="translate(9 {(TOP + BOTTOM) // 2}) rotate(-90)" text-anchor="middle">difference</text>
</g></defs></svg>"""


def axes() -> str:
    """What all pictures of a page have in common, to be written once before them."""
    ticks = [f'<text x="{LEFT - LANE - 3}" y="{BOTTOM + LANE + 3}" text-anchor="end">0</text>']
    ticks.append(f'<text x="{LEFT - LANE}" y="{BOTTOM + LANE + 12}" text-anchor="middle">0</text>')
    for decade in TICKS:
        power = "1" if decade == 0 else f'10<tspan dy="-4" font-size="8">−{-decade}</tspan>'
        x, y = _across(10.0**decade), _up(10.0**decade)
        ticks.append(f'<path class="frame" d="M{x} {BOTTOM + LANE}v3M{LEFT - LANE} {y}h-3"/>')
        ticks.append(f'<text x="{x}" y="{BOTTOM + LANE + 12}" text-anchor="middle">{power}</text>')
        ticks.append(f'<text x="{LEFT - LANE - 3}" y="{y + 3}" text-anchor="end">{power}</text>')
    return AXES.format(ticks="\n".join(ticks))


def scatter(rows: Iterable[Row], name: str) -> str:
    """The picture of these rows: a dot each, right of and below the diagonal where the difference is allowed.

    Args:
        rows: equal dots are drawn once. name: of what they belong to, for readers who do not see the picture.
    """
    within: set[tuple[int, int]] = set()
    beyond: set[tuple[int, int]] = set()
    count = 0
    for row in rows:
        count += 1
        (within if allowed(row) else beyond).add((_across(row.tolerance), _up(row.difference)))
    told = f"{name}: {count} differences against what is allowed, {'some' if beyond else 'none'} beyond it"
    return (
        f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">'
        f'<use href="#scatter-axes"/>{_dots("within", within)}{_dots("beyond", beyond)}</svg>'
    )


def allowed(row: Row) -> bool:
    """Whether the difference is within a tolerance that means something."""
    return row.difference <= row.tolerance < math.inf


def _dots(kind: str, places: set[tuple[int, int]]) -> str:
    return f'<path class="{kind}" d="{"".join(f"M{x} {y}h0" for x, y in sorted(places))}"/>' if places else ""


def _across(x: float) -> int:
    return LEFT - LANE if x == 0.0 else round(LEFT + (RIGHT - LEFT) * _share(x))


def _up(x: float) -> int:
    return BOTTOM + LANE if x == 0.0 else round(BOTTOM - (BOTTOM - TOP) * _share(x))


def _share(x: float) -> float:
    """Where x is among the decades, 0 to 1; what is undefined or infinite, at the end."""
    if not math.isfinite(x):
        return 1.0
    return min(max((math.log10(x) - FIRST) / (LAST - FIRST), 0.0), 1.0)
