"""What the pages share: the frame of a document, and the formulas of this project's sentences as HTML."""

import re
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
GREEK = {
    "lam": "λ",
    "lambda": "λ",
    "kappa": "κ",
    "tau": "τ",
    "gamma": "γ",
    "nu": "ν",
    "rho": "ρ",
    "sigma": "σ",
    "Sigma": "Σ",
    "mu": "μ",
    "theta": "θ",
    "eps": "ε",
    "phi": "φ",
    "beta": "β",
}
SIGNS = {
    "&lt;=": "≤",
    "&gt;=": "≥",
    "+-": "±",
    "-&gt;": "→",
    "!=": "≠",
    " - ": " − ",
    " * ": " · ",
    "sum_": "∑_",
}
GROUP = r"\((?:[^()]|\([^()]*\))*\)"  # parentheses, once nested

# The browser itself then refuses whatever a page might ask of a network.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def document(title: str, body: str, style: str, script: str = "") -> str:
    """A whole HTML document that needs nothing but itself.

    Args:
        title: plain text. body: HTML.
        style, script: names of files beside this one that are written into the page; every page has `page.css`.
    """
    css = _text("page.css") + _text(style)
    code = f"<script>\n{_text(script)}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n{body}\n{code}</body>\n</html>\n"
    )


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def maths(sentence: str) -> str:
    """A sentence with ASCII formulas, such as "lam_W |W|^2 >= nu", as HTML with Greek letters and indices."""
    text = escape(sentence, quote=False)
    text = re.sub(r"&lt;(\w[\w ]*, [^&]*?\w)&gt;", r"⟨\1⟩", text)
    for ascii_sign, sign in SIGNS.items():
        text = text.replace(ascii_sign, sign)
    text = re.sub(r"(?<=[A-Za-z])-(?=\d)", "−", text)
    names = "|".join(GREEK)
    text = re.sub(rf"(?<![A-Za-z])(?:{names})(?![A-Za-z]| functions)", lambda found: GREEK[found[0]], text)
    text = re.sub(r"\bsqrt\s*", "√", text)
    base = r"(?<![^\W_])[^\W\d_]|[|)⟩∑]"
    text = re.sub(rf"({base})_({GROUP}|\w+|[*+])", lambda found: found[1] + _index("sub", found[2]), text)
    text = re.sub(rf"\^({GROUP}|-?[\w.]*\w|\*)", lambda found: _index("sup", found[1]), text)
    return re.sub(r"(?<![\w)*.'])-(?=[\w(⟨√])", "−", text)


def _index(tag: str, text: str) -> str:
    inner = text[1:-1] if text.startswith("(") else text
    return f"<{tag}>{inner}</{tag}>"
