"""Evaluation logs of other programs -> `Responses`, one small reader a format.

`reading.py` holds the doors, `detection.py` finds the format, `options.py` says which score
counts, `gathering.py` makes one table of all answers. A reader yields `Answer`s (`answers.py`)
and never holds a log in memory where its format lets it.
"""

from irtkit.bridge.logs.detection import found_format
from irtkit.bridge.logs.hugging_face import responses_of_output
from irtkit.bridge.logs.options import LogOptions
from irtkit.bridge.logs.reading import read_item_texts, read_logs

__all__ = ["LogOptions", "found_format", "read_item_texts", "read_logs", "responses_of_output"]
