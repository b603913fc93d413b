"""What the tests of pages share: hostile texts, and the outline of a document."""

from html.parser import HTMLParser

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script></style><svg onload=alert(1)>",
    "javascript:alert(1) {{7*7}} &lt;b&gt;",
    "\u202egnp.exe \x00\x1b[31m",
]
EMPTY = ("meta", "img", "br", "input")


class Outline(HTMLParser):
    """Tags, attributes and texts of a document; what is left open, or closed wrongly, fails."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(text)

    def values(self, tag, name):
        """Values of an attribute of all elements of a kind."""
        return [value for one, other, value in self.attributes if (one, other) == (tag, name)]
