"""Reading numbers and words back from axes."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.text import Text


def curves(ax):
    """Points (n, 2) of each line, in the order of drawing."""
    return [np.asarray(line.get_xydata(), dtype=float) for line in ax.lines]


def bars(ax):
    """Ends ((x, y), (x, y)) of all intervals, shape (n, 2, 2)."""
    found = [
        segment
        for collection in ax.collections
        if isinstance(collection, LineCollection)
        for segment in collection.get_segments()
        if len(segment) == 2
    ]
    return np.array(found)


def words(figure):
    """All visible texts of a figure that say something."""
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    return [text for text in texts if text.axes is None or text.axes.axison or text in shown(text)]


def shown(text):
    """Texts that stand although their axes are not drawn."""
    return [*text.axes.texts, text.axes.title, text.axes._left_title]


def legend_words(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]
