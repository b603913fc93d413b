"""Strategies that damage valid files: bytes anywhere, and values anywhere in a JSON document."""

import json

import hypothesis.strategies as st

TOKENS = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\r",
        b'"',
        b"'",
        b",",
        b";",
        b"\t",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"\\",
    ),
    *(b"NaN", b"Infinity", b"-1", b"1e309", b"99999999999999999999", b"1.5", b"null", b"true"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", "‮".encode(), b"=1+1", b"item"),
    *(b"person", b"answer", b"model", b"label", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\x80\x04"),
)
OPERATIONS = ("flip", "cut", "drop", "double", "insert", "replace", "swap")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**20, -(10**9), 2**63, 1e308, -1e-308, 0.5, float("nan"), float("inf")]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["", "nan", "1", "0", "irtkit/scale/1", "=1", "<script>", "\ud800", "A" * 500]
    ),
    st.lists(st.integers(-1, 2), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(0, 2), max_size=2),
)


@st.composite
def damaged(draw, content):
    """Damage bytes by up to four operations at random places."""
    for _ in range(draw(st.integers(1, 4))):
        content = _operated(draw, content)
    return content


def _operated(draw, content):
    where = draw(st.integers(0, max(len(content), 1)))
    until = min(len(content), where + draw(st.integers(1, 40)))
    before, middle, after = content[:where], content[where:until], content[until:]
    what = draw(st.sampled_from(OPERATIONS))
    token = draw(st.sampled_from(TOKENS) | st.binary(max_size=4))
    if what == "flip" and middle:
        return before + bytes([middle[0] ^ draw(st.integers(1, 255))]) + middle[1:] + after
    return {
        "cut": before,
        "drop": before + after,
        "double": before + middle + middle + after,
        "insert": before + token + middle + after,
        "replace": before + token + after,
        "swap": middle + before + after,
    }.get(what, before + token + after)


@st.composite
def changed(draw, document):
    """Change, remove or add values somewhere in a document of lists and objects."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        holder, place = draw(st.sampled_from(list(_places(document)) or [(None, None)]))
        if holder is None:
            break
        what = draw(st.sampled_from(["change", "change", "remove", "double", "tweak"]))
        if what == "remove":
            del holder[place]
        elif what == "double" and isinstance(holder, list):
            holder.insert(place, holder[place])
        elif what == "double":
            holder[f"{place}x"] = holder[place]
        elif what == "tweak" and isinstance(holder[place], (int, float)):
            holder[place] = holder[place] * draw(st.sampled_from([-1, 0, 0.5, 1e3, 1e6, 1e200]))
        else:
            holder[place] = draw(VALUES)
    return document


def _places(value, most=400):
    """Every place in a document, with what holds it."""
    open_values = [value]
    found = 0
    while open_values and found < most:
        holder = open_values.pop(0)
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for place, inner in list(pairs):
            found += 1
            yield holder, place
            if isinstance(inner, (dict, list)):
                open_values.append(inner)
