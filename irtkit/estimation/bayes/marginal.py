"""The marginal log-likelihood and its gradient by the item parameters, as a sampler wants them.

Divide-by-total models go through `kernel.py`; the others, and extreme slopes, through the E-step
of the EM algorithm, whose expected counts give the gradient of the marginal likelihood (Fisher's
identity). Answers are kept as cells, never made dense.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.estimation.bayes.kernel import marginal_by_parameters
from irtkit.estimation.blocks import Rows
from irtkit.estimation.em import Expected, Tables, e_step
from irtkit.estimation.m_step import Problem, derivatives
from irtkit.estimation.priors import Priors
from irtkit.latent import Nodes
from irtkit.models import Assignment
from irtkit.storage import category_counts

MOST_PATTERN_CELLS = 20_000  # beyond it the products of the E-step are faster
NO_PRIORS = Priors(lower=None, upper=None)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The cells of a matrix of answers, persons with the same missing answers side by side.

    Attributes
    ----------
    starts : array of int, shape (P + 1,)
        Where each person's cells begin.
    items, codes : array of int, shape (N,)
        Item and category of each cell whose category is above the first.
    weights : array, shape (P,)
    pattern : array of int, shape (P,)
        Which set of answered items each person has, rising.
    pattern_starts, pattern_items : array of int
        The items of each set.
    totals : array, shape (I, K)
        Weighted count of each category above the first.
    """

    starts: IntArray
    items: IntArray
    codes: IntArray
    weights: FloatArray
    pattern: IntArray
    pattern_starts: IntArray
    pattern_items: IntArray
    totals: FloatArray

    @classmethod
    def of(cls, rows: Rows, n_categories: int) -> Answers:
        """Sort the persons by what they answered."""
        codes = rows.codes
        if not isinstance(codes, sp.csr_array):
            person, item = np.nonzero(codes != MISSING)
            counts = np.bincount(person, minlength=len(codes))
            starts = np.concatenate([[0], np.cumsum(counts)])
            cells = (codes[person, item] + 1, item, starts)
            codes = sp.csr_array(cells, shape=codes.shape)
        pattern, first = _patterns(codes)
        order = np.argsort(pattern, kind="stable")
        totals = category_counts(rows.codes, n_categories, rows.weights)
        totals[:, 0] = 0.0
        sets = codes[first]
        codes = codes[order]
        above = codes.data > 1
        return cls(
            starts=np.concatenate([[0], np.cumsum(above)])[codes.indptr].astype(np.int64),
            items=codes.indices[above].astype(np.int64),
            codes=codes.data[above].astype(np.int64) - 1,
            weights=np.asarray(rows.weights[order], np.float64),
            pattern=pattern[order],
            pattern_starts=sets.indptr.astype(np.int64),
            pattern_items=sets.indices.astype(np.int64),
            totals=totals,
        )

    def arrays(self) -> tuple[IntArray | FloatArray, ...]:
        """All arrays in the order that `kernel.marginal` takes them."""
        return (
            *(self.starts, self.items, self.codes, self.weights),
            *(self.pattern, self.pattern_starts, self.pattern_items, self.totals),
        )


def _patterns(codes: sp.csr_array) -> tuple[IntArray, IntArray]:
    """Number the sets of answered items: which each person has (P,), who has each first (M,)."""
    known: dict[bytes, int] = {}
    pattern = np.empty(codes.shape[0], dtype=np.int64)
    first: list[int] = []
    for person in range(codes.shape[0]):
        answered = codes.indices[codes.indptr[person] : codes.indptr[person + 1]].tobytes()
        if answered not in known:
            known[answered] = len(first)
            first.append(person)
        pattern[person] = known[answered]
    return pattern, np.array(first, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class MarginalLikelihood:
    """The likelihood of some answers as a function of the item parameters alone.

    Attributes
    ----------
    problem : Problem
        Blocks and assignment; without priors.
    nodes : Nodes
        Of the standard normal distribution.
    answers : Answers or None
        For divide-by-total models, unless very many persons left out different items.
    """

    problem: Problem
    nodes: Nodes
    answers: Answers | None

    @classmethod
    def of(cls, problem: Problem, rows: Rows, nodes: Nodes) -> MarginalLikelihood:
        """Prepare the answers for many evaluations."""
        answers = None
        if problem.assignment.linear:
            answers = Answers.of(rows, int(problem.assignment.n_categories.max()))
            if len(answers.pattern_items) > MOST_PATTERN_CELLS:
                answers = None
        return cls(replace(problem, priors=NO_PRIORS), nodes, answers)

    def __call__(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood at parameters (I, D) and its gradient, zero in unused cells."""
        if self.answers is None:
            return self.by_e_step(parameters)
        value, slopes = marginal_by_parameters(
            parameters, self.place_starts(), self.node_arrays(), self.answers.arrays()
        )
        return self.by_e_step(parameters) if np.isnan(value) else (float(value), slopes)

    def place_starts(self) -> IntArray:
        """Where each item's intercepts begin among all, shape (I + 1,)."""
        return np.concatenate([[0], np.cumsum(self.problem.assignment.n_categories - 1)])

    def node_arrays(self) -> tuple[FloatArray, FloatArray]:
        """Theta and log-weights, as the kernel takes them."""
        return self.nodes.theta, self.nodes.log_weights

    def by_e_step(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """The same by the E-step, for any model."""
        problem, nodes = self.problem, self.nodes
        tables = Tables.of(
            problem.assignment,
            parameters,
            nodes.theta,
            nodes.log_weights,
            complete=problem.blocks.complete,
        )
        expected = e_step(problem.blocks, tables)
        if problem.assignment.linear:
            slopes = derivatives(problem, parameters, nodes.theta, expected)[1]
        else:
            slopes = expected_gradient(problem.assignment, parameters, nodes.theta, expected)
        return expected.log_likelihood, slopes


def expected_gradient(
    assignment: Assignment, parameters: FloatArray, theta: FloatArray, expected: Expected
) -> FloatArray:
    """Gradient (I, D) of the expected log-likelihood, without the information beside it."""
    gradient = np.zeros(parameters.shape)
    for family in assignment.families:
        counts = expected.category_counts(family.places, family.n_categories)  # (Q, i, K)
        slopes = family.model.gradient(assignment.part(family, parameters), theta[:, None])
        gradient[family.places, : family.n_parameters] = np.einsum("qik,qikd->id", counts, slopes)
    return gradient
