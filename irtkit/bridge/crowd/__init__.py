"""Labels of a crowd: who labelled what, what the label should be, who labels well.

`labels.py` and `counts.py` hold the nouns `CrowdLabels` and `LabelCounts`, `rows.py` what makes
the first of a table, `aggregation.py` the verb `aggregate` with votes, `worker_models.py`
Dawid-Skene and one-coin, `irt_votes.py` votes weighed by ability, `workers.py` describes workers,
`agreement.py` how far they agree, `label_errors.py` gold labels that look wrong. Files are read
in `crowd_files/`.
"""
