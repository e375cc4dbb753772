"""What a page of ours must be, read without a browser: closed elements, unique ids, links that lead somewhere."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "input"}
CLOSED_BY_THE_NEXT = {"th", "td", "tr", "li", "dt", "dd"}  # their end tags may be left out
DRAWN = {"path", "use", "polyline"}  # SVG, closed in themselves


class Page(HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID | CLOSED_BY_THE_NEXT:
            self.open.append(tag)
        if tag in CLOSED_BY_THE_NEXT:
            self.words.append(" ")

    def handle_startendtag(self, tag, attrs):
        assert tag in DRAWN, tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in CLOSED_BY_THE_NEXT:
            assert self.open.pop() == tag, tag

    def handle_data(self, data):
        kind = self.open[-1] if self.open else ""
        if kind == "script":
            self.scripts.append(data)
        elif kind != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def checked(text: str) -> Page:
    """The page, which is sound and asks for nothing."""
    assert text.startswith("<!DOCTYPE html>\n")
    page = Page(text)
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes in page.elements:
        for name in ("href", "src", "for", "aria-labelledby", "aria-describedby"):
            to = attributes.get(name)
            if to is None or (tag == "link" and to == "data:,"):
                continue
            assert to.startswith("#") or name not in ("href", "src"), to
            assert to.removeprefix("#") in ids, to
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
    assert not [tag for tag, _ in page.elements if tag in ("img", "iframe", "object", "base")]
    assert "url(" not in text
    assert "@import" not in text
    return page
