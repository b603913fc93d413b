"""Results -> self-contained HTML pages: nothing is fetched, and every text stays text.

`write_report` goes from a folder or a scale to a page: `kinds.py` tells what a file is,
`folder.py` what belongs together in a `Part` (`parts.py`, with `answers.py`), `completion.py`
computes the tables that are missing. `scale_page.py` puts the sections in order; each is a file:
`summary.py`, `item_table.py` with `flags.py`, `story.py`, `structure.py`, `placing.py`,
`methods.py` with `references.py`, `pictures.py`. `wording.py` writes numbers, `page.py` is the
shell with `looks.py` and `behaviour.py`. `leaderboard_page.py` is another page.
"""

from irtkit.report.answers import AnswerFormat
from irtkit.report.writing import Beside, write_report

__all__ = ["AnswerFormat", "Beside", "write_report"]
