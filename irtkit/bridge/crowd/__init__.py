"""Labels of a crowd: who labelled what, what the label should be, who labels well.

`labels.py` and `counts.py` hold the nouns `CrowdLabels` and `LabelCounts`, `rows.py` what makes
the first of a table, `aggregation.py` the verb `aggregate` with votes, `worker_models.py`
Dawid-Skene and one-coin, `irt_votes.py` votes weighed by ability, `workers.py` describes workers,
`agreement.py` how far they agree, `label_errors.py` gold labels that look wrong. Files are read
in `crowd_files/`.
"""

from irtkit.bridge.crowd.aggregation import (
    AggregatedLabels,
    SoftMean,
    Vote,
    aggregate,
    label_distribution,
)
from irtkit.bridge.crowd.agreement import crowd_agreement, item_agreement
from irtkit.bridge.crowd.counts import LabelCounts
from irtkit.bridge.crowd.irt_votes import AbilityVote
from irtkit.bridge.crowd.label_errors import label_errors
from irtkit.bridge.crowd.labels import CrowdLabels, hash_workers
from irtkit.bridge.crowd.worker_models import DawidSkene, OneCoin
from irtkit.bridge.crowd.workers import worker_table

__all__ = [
    "AbilityVote",
    "AggregatedLabels",
    "CrowdLabels",
    "DawidSkene",
    "LabelCounts",
    "OneCoin",
    "SoftMean",
    "Vote",
    "aggregate",
    "crowd_agreement",
    "hash_workers",
    "item_agreement",
    "label_distribution",
    "label_errors",
    "worker_table",
]
