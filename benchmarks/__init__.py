"""irtkit beside its rivals: the same answers, the same machine, the same minute.

Run ``python -m benchmarks`` from the repository's root; README.md says how to read the table.
`__main__` orders the work: `workloads` draws answers, `processes` talks to one process a tool,
`fits`, `after_fit` and `large` measure, `likelihood` and `recovery` judge, `rows` prints.
"""
