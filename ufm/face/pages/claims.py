"""The page of `ufm verify --report`: every claim with its numbers, its picture and how to run it again."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from importlib import import_module
from itertools import groupby

from ufm.face.pages.html import document, maths
from ufm.face.pages.scatter import allowed, axes, scatter
from ufm.face.verify_record import shown
from ufm.sweep.version import installed
from ufm.verify.claim import Check, Outcome, Row
from ufm.verify.runner import Verified

WORDS = {
    Outcome.HOLDS: "holds",
    Outcome.VIOLATED: "violated",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.NOT_APPLICABLE: "not applicable",
}
MARKS = {Outcome.HOLDS: "", Outcome.VIOLATED: "✗ ", Outcome.INCONCLUSIVE: "? ", Outcome.NOT_APPLICABLE: "– "}
KINDS = {Outcome.HOLDS: "good", Outcome.VIOLATED: "bad", Outcome.INCONCLUSIVE: "open", Outcome.NOT_APPLICABLE: "soft"}
HEAD = "<th>quantity<th>predicted<th>measured<th>difference<th>allowed"  # </th> may be left out, and so may </td>


def claims_page(found: Iterable[Verified], seconds: float, *, full: bool = False) -> str:
    """One self-contained HTML document.

    Args:
        found: claims as run, those of a topic one after the other. seconds: that all of it took.
        full: the larger grids were run.
    """
    families = {topic: tuple(claims) for topic, claims in groupby(found, lambda verified: verified.topic)}
    families = dict(sorted(families.items(), key=lambda family: reading_order(family[1][0].id)))
    command = "ufm verify --full" if full else "ufm verify"
    body = [
        axes(),
        _header([v for claims in families.values() for v in claims], seconds, command),
        _index(families),
        "<main>",
        *(_family(topic, claims, command) for topic, claims in families.items()),
        "</main>",
    ]
    return document("Neural Collapse: the executable literature", "\n".join(body), "claims.css")


def reading_order(id: str) -> tuple[int, list[int], str]:
    """Sorts ids of claims: T1 to T27, then the numbered sections, then the rest."""
    kind = 0 if re.match(r"T\d", id) else 1 if id[0].isdigit() else 2
    return kind, [int(digits) for digits in re.findall(r"\d+", id)], id


def family_title(topic: str) -> str:
    """HTML: the first sentence of the file that the claims of a topic stand in, without its references."""
    text = (import_module(f"ufm.verify.claims.{topic}").__doc__ or topic).strip().split("\n")[0]
    return maths(re.sub(r"\s*\([^()]*\)", "", text).rstrip("."))


def _header(found: list[Verified], seconds: float, command: str) -> str:
    counts = Counter(verified.outcome for verified in found)
    told = ", ".join(
        f'<span class="{KINDS[outcome]}">{MARKS[outcome]}{counts[outcome]} {_verb(outcome, counts[outcome])}</span>'
        for outcome in Outcome
        if counts[outcome]
    )
    checks = [check for verified in found for check in verified.checks]
    rows = [row for check in checks for row in check.rows]
    boundary = sum(verified.boundary for verified in found)
    software = ", ".join(f"{name} {installed(name)}" for name in ("ufm", "jax", "numpy", "scipy"))
    return f"""<header>
<h1>Neural Collapse: the executable literature</h1>
<p class="verdict">Of {len(found)} claims {told}.</p>
{_failures(found)}<div class="overview">
<div>
<p>Each claim is a statement of the literature with an experiment of its own, here at {len(checks):,} settings:
{len(rows):,} quantities that <code>ufm</code> <em>measured</em> on solved and certified problems, without knowing the
theory; what the closed forms of <code>theory</code> <em>predict</em> for them; and a tolerance stated beforehand, what
rounding and the gradient left by the solver <em>allow</em>. {boundary} of the claims, marked
<span class="mark">boundary</span>, say where a statement of the literature stops.</p>
<p>In the pictures each quantity at each setting is a dot: across what is allowed, upwards the difference between
predicted and measured. Dots above the diagonal would be violations. The lanes marked 0 hold what is equal to the last
bit, and what must be: counts, verdicts. For bounds the difference is what goes beyond them.</p>
<p>Run again: <code>{command}</code>, or one claim: <code>{command} --only ID</code>. The JSON file beside this page has
the same numbers for machines.</p>
<p class="soft">{escape(software)}; {seconds:,.0f} s.</p>
</div>
<figure>{scatter(rows, "All claims")}<figcaption>All claims</figcaption></figure>
</div>
</header>"""


def _failures(found: Iterable[Verified]) -> str:
    """Where to look first; "" if all is well."""
    lines = [
        f'<li class="{KINDS[v.outcome]}"><a href="#{escape(v.id)}">{escape(v.id)}</a> {WORDS[v.outcome]}: '
        f"{maths(v.statement)}"
        for v in found
        if v.outcome in (Outcome.VIOLATED, Outcome.INCONCLUSIVE)
    ]
    return "\n".join(["<ul>", *lines, "</ul>", ""]) if lines else ""


def _verb(outcome: Outcome, count: int) -> str:
    if outcome is Outcome.HOLDS:
        return "holds" if count == 1 else "hold"
    return f"{'is' if count == 1 else 'are'} {WORDS[outcome]}"


def _index(families: Mapping[str, tuple[Verified, ...]]) -> str:
    lines = ['<nav id="index" aria-label="Claims by family">', "<h2>Claims</h2>"]
    for topic, claims in families.items():
        lines.append(f'<p><a href="#topic-{topic}">{family_title(topic)}</a><br>')
        lines += [
            f'<a class="chip {KINDS[v.outcome]}" href="#{escape(v.id)}">{MARKS[v.outcome]}{escape(v.id)}</a>'
            for v in claims
        ]
        lines.append("</p>")
    return "\n".join([*lines, "</nav>"])


def _family(topic: str, claims: tuple[Verified, ...], command: str) -> str:
    head = f'<section aria-labelledby="topic-{topic}">\n<h2 id="topic-{topic}">{family_title(topic)}</h2>'
    return "\n".join([head, *(_claim(verified, command) for verified in claims), "</section>"])


def _claim(verified: Verified, command: str) -> str:
    id, checks = escape(verified.id), verified.checks
    rows = [row for check in checks for row in check.rows]
    settings = f"{len(checks)} setting" + ("" if len(checks) == 1 else "s")
    boundary = ' <span class="mark">boundary</span>' if verified.boundary else ""
    outcome = (
        f'<span class="outcome {KINDS[verified.outcome]}">{MARKS[verified.outcome]}{WORDS[verified.outcome]}</span>'
    )
    return f"""<article id="{id}" aria-labelledby="{id}-name">
<h3 id="{id}-name"><a href="#{id}">{id}</a> {outcome}{boundary}</h3>
<p class="statement">{maths(verified.statement)}</p>
<div class="claim">
{scatter(rows, id) if rows else ""}
<dl>
<dt>Source</dt><dd>{maths(verified.source)}</dd>
<dt>Assumes</dt><dd>{maths(verified.assumptions)}</dd>
<dt>Allows</dt><dd>{maths(verified.tolerance)}</dd>
<dt>Run again</dt><dd><code>{command} --only {id}</code> <span class="soft">({verified.seconds:.1f} s here)</span></dd>
</dl>
</div>
{_worst(checks)}<details><summary>{settings.capitalize()}, every number</summary>
{"".join(_setting(check) for check in checks)}</details>
</article>"""


def _worst(checks: Iterable[Check]) -> str:
    """Of each quantity the setting that uses up most of what is allowed."""
    worst: dict[str, Row] = {}
    for check in checks:
        for row in check.rows:
            if row.quantity not in worst or _used(row) > _used(worst[row.quantity]):
                worst[row.quantity] = row
    if not worst:
        return ""
    body = "".join(map(_row, worst.values()))
    return f"<table><caption>Closest to its limit, of each quantity</caption><tr>{HEAD}\n{body}</table>\n"


def _used(row: Row) -> float:
    return math.inf if math.isnan(row.ratio) else row.ratio


def _setting(check: Check) -> str:
    word = "" if check.outcome is Outcome.HOLDS else f' <b class="{KINDS[check.outcome]}">{WORDS[check.outcome]}</b>'
    reason = f"<br>{escape(check.reason)}" if check.reason else ""
    caption = f"<caption><code>{escape(check.setting)}</code>{word}{reason}</caption>"
    body = f"<tr>{HEAD}\n{''.join(map(_row, check.rows))}" if check.rows else "<tr><td>nothing measured"
    return f"<table>{caption}{body}</table>\n"


def _row(row: Row) -> str:
    predicted, measured = shown(row)
    kind = "" if allowed(row) else ' class="bad"'
    cells = (_sign(predicted), measured, _number(row.difference), _number(row.tolerance))
    return f"<tr{kind}><th>{escape(row.quantity)}" + "".join(f"<td>{escape(cell)}" for cell in cells) + "\n"


def _sign(text: str) -> str:
    return text.replace(">= ", "≥ ").replace("<= ", "≤ ")


def _number(x: float) -> str:
    if x == 0.0:
        return "0"
    return "undefined" if math.isnan(x) else "differs" if math.isinf(x) else f"{x:.1e}"
