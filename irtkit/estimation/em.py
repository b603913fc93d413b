r"""The E-step: expect the counts behind the responses, given the current parameters.

`e_step` runs over the blocks of persons, one thread a core. Two forms of the same sums:

- *Divide-by-total models.* A person's log-likelihood is :math:`\theta \sum_i s_{i y} +
  \sum_i t_{i y} - \sum_i G_i(\theta)` over the answered items, so posteriors need one sum of
  scores a person, and the M-step only each category's sum of expected theta beside the expected
  number of persons at each node. With complete answers no matrix product with the nodes is left:
  O(P I + P Q) instead of O(P I Q), and exactly the same numbers.
- *Other models* (3PL, graded, ...): with indicators :math:`Y_k` (P, I), :math:`\log L =
  O \log P_0^T + \sum_k Y_k (\log P_k - \log P_0)^T` is one matrix product a category, the counts
  another.

Persons are sorted, so a block needs only the nodes around its own posteriors. Nodes are left out
where every posterior of the block has fallen below e^-28 of its peak; the edges are looked at on
every pass and the window is widened when one is not that low.

Nothing here loops until convergence: see `cycles.py`.

References
----------
Bock, R. D., & Aitkin, M. (1981). Marginal maximum likelihood estimation of item parameters.
    Psychometrika, 46(4), 443-459. https://doi.org/10.1007/BF02293801
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import FloatArray, to_numpy
from irtkit.estimation.blocks import Block, Blocks, Indicators
from irtkit.models import Assignment, DivideByTotal, Family
from irtkit.models.assignment import Places
from irtkit.threads import spread

NEGLIGIBLE = 28.0  # nats below the peak of a posterior
WORTH_THREADS = 200_000  # cells


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The item response functions at the nodes, in the form that the E-step needs.

    Attributes
    ----------
    theta : array, shape (Q,)
    log_weights : array, shape (G, Q)
        Log-weights of the nodes in each group; their exponentials sum to one.
    base : array, shape (Q, I), or None
        Log-probability of each item's first category; None if nobody left an item out.
    base_total : array, shape (Q,)
        Its sum over the items.
    scores : array, shape (K - 1, I, 2), or None
        s and t of the categories above the first, if all items are divide-by-total models.
    contrasts : tuple of array, each of shape (Q, I)
        Else log-probability of each category above the first, minus that of the first.
    """

    theta: FloatArray
    log_weights: FloatArray
    base: FloatArray | None
    base_total: FloatArray
    scores: FloatArray | None
    contrasts: tuple[FloatArray, ...]

    @classmethod
    def of(
        cls,
        assignment: Assignment,
        parameters: FloatArray,
        theta: FloatArray,
        log_weights: FloatArray,
        *,
        complete: bool = False,
    ) -> Tables:
        """Evaluate parameters (I, D) at the nodes; log-weights (Q,) or (G, Q).

        With `complete` answers only sums over the items are kept of what has them.
        """
        log_weights = np.atleast_2d(log_weights)
        if assignment.linear:
            scores = linear_scores(assignment, parameters)
            base, base_total = _linear_base(assignment, parameters, theta, complete)
            return cls(theta, log_weights, base, base_total, scores, ())
        log_prob = assignment.log_prob(parameters, theta)  # (Q, I, K)
        base = np.ascontiguousarray(log_prob[:, :, 0])
        with np.errstate(invalid="ignore"):
            contrasts = tuple(
                np.where(np.isneginf(log_prob[:, :, k]), 0.0, log_prob[:, :, k] - base)
                for k in range(1, log_prob.shape[2])
            )
        return cls(theta, log_weights, base, base.sum(axis=1), None, contrasts)


def _linear_base(
    assignment: Assignment, parameters: FloatArray, theta: FloatArray, complete: bool
) -> tuple[FloatArray | None, FloatArray]:
    """Log-probability of the first category (Q, I), if needed, and its sum over the items."""
    base = None if complete else np.empty((len(theta), assignment.n_items))

    def add(tasks: Sequence[tuple[Family, Places]]) -> FloatArray:
        total = np.zeros(len(theta))
        for family, places in tasks:
            assert isinstance(family.model, DivideByTotal)
            part = parameters[places, : family.n_parameters]
            values = family.model.log_total(part, theta[:, None])
            total -= values.sum(axis=1)
            if base is not None:
                base[:, places] = -values
        return total

    tasks = list(assignment.tasks(len(theta)))
    worth = len(theta) * assignment.n_items > WORTH_THREADS
    return base, np.sum(spread(add, tasks, worth), axis=0)


def linear_scores(assignment: Assignment, parameters: FloatArray) -> FloatArray:
    """S and t of divide-by-total items, shape (K - 1, I, 2), zero where there is no category."""
    scores = np.zeros((int(assignment.n_categories.max()) - 1, assignment.n_items, 2))
    for family in assignment.families:
        assert isinstance(family.model, DivideByTotal)
        s, t = family.model.scores(assignment.part(family, parameters))  # (I, K - 1)
        scores[: family.n_categories - 1, family.places] = np.stack([s.T, t.T], axis=-1)
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Expected counts given the responses.

    Attributes
    ----------
    log_likelihood : float
        Marginal log-likelihood at the parameters that made the counts (nats).
    mass : array, shape (G, Q)
        Expected number of persons of each group at each node.
    answered : array, shape (Q, I), or (Q, 1) if all items were answered by all
        Expected number of persons at node q who answered item i.
    first, total : array, shape (K - 1, I), or None
        For divide-by-total models: sum of expected theta, and number, of the persons who chose
        category k.
    counts : tuple of array, each of shape (Q, I)
        For other models: expected number of persons at node q who chose category k.
    """

    log_likelihood: float
    mass: FloatArray
    answered: FloatArray
    first: FloatArray | None
    total: FloatArray | None
    counts: tuple[FloatArray, ...]

    def category_counts(self, places: Any, n_categories: int) -> FloatArray:
        """Expected number of persons at each node in each category of some items, (Q, I, K)."""
        above = [counts[:, places] for counts in self.counts[: n_categories - 1]]
        answered = np.broadcast_to(self.answered, self.counts[0].shape)[:, places]
        return np.stack([answered - sum(above), *above], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Posteriors of a block's persons on the nodes that matter to them.

    Attributes
    ----------
    block : Block
    window : slice
        Which nodes; call their number W.
    density : array, shape (W, B)
        Each column sums to `total`.
    total, mean : array, shape (B,)
        The mean is that of theta.
    log_marginal : array, shape (B,)
        Log marginal likelihood of each person (nats).
    """

    block: Block
    window: slice
    density: Any
    total: Any
    mean: Any
    log_marginal: Any

    def normalised(self) -> Any:
        """Posterior probabilities, shape (W, B)."""
        return self.density / self.total


def posterior(
    blocks: Blocks, block: Block, tables: Tables, *, intercepts: bool = True
) -> tuple[Posterior, Indicators]:
    """Compute the posteriors of one block's persons, with its indicators.

    Without `intercepts`, which no posterior depends on, `log_marginal` lacks the sum of t over
    the chosen categories of divide-by-total models.
    """
    xp = blocks.backend.namespace()
    indicators = blocks.indicators(block)
    whole = slice(0, tables.theta.shape[0])
    sums: Any = None
    if tables.scores is not None:
        sums = 0.0
        for k, chosen in enumerate(indicators.chosen):
            sums = sums + chosen @ tables.scores[k][:, : 1 + intercepts]  # (B, 1 or 2)
    key = (block.number, whole.stop, float(tables.theta[0]))
    window = blocks.windows.get(key, whole)
    while True:
        joint = _joint(tables, indicators, block.group, window, sums)  # (W, B)
        peak = xp.max(joint, axis=0)  # (B,)
        if window == whole or (
            _low(joint, peak, 0, window.start > 0)
            and _low(joint, peak, -1, window.stop < whole.stop)
        ):
            break
        window = whole
    if window == whole:
        blocks.windows[key] = _narrowest(joint, peak, xp)
    joint -= peak
    density = xp.exp(joint) if xp is not np else np.exp(joint, out=joint)
    theta = tables.theta[window]
    total, mean = xp.stack([xp.ones_like(theta), theta]) @ density  # (B,) twice
    mean = mean / total
    log_marginal = peak + xp.log(total)
    if sums is not None and intercepts:
        log_marginal = log_marginal + sums[:, 1]
    return Posterior(block, window, density, total, mean, log_marginal), indicators


def _joint(
    tables: Tables, indicators: Indicators, group: int, window: slice, sums: Any | None
) -> Any:
    """Log of likelihood times weight at the window's nodes, shape (W, B)."""
    log_weights = tables.log_weights[group][window]
    if indicators.answered is None:
        log_weights = log_weights + tables.base_total[window]
        joint = log_weights[:, None]
    else:
        assert tables.base is not None
        joint = _products(tables.base[window], indicators.answered)
        joint += log_weights[:, None]
    if sums is not None:
        return joint + tables.theta[window][:, None] * sums[:, 0]
    for contrast, chosen in zip(tables.contrasts, indicators.chosen, strict=True):
        joint = joint + _products(contrast[window], chosen)
    return joint


def _products(table: Any, matrix: Any) -> Any:
    """Return table (W, I) times the transpose of a matrix (B, I), dense or sparse."""
    if isinstance(matrix, sp.csr_array):
        return np.ascontiguousarray((matrix @ np.ascontiguousarray(table.T)).T)
    return table @ matrix.T


def _low(joint: Any, peak: Any, edge: int, matters: bool) -> bool:
    return not matters or float((joint[edge] - peak).max()) < -NEGLIGIBLE


def _narrowest(joint: Any, peak: Any, xp: Any) -> slice:
    """The nodes where any posterior of the block counts, and two more on each side."""
    needed = to_numpy(xp.max(joint - peak, axis=1)) > -NEGLIGIBLE  # (Q,)
    places = np.flatnonzero(needed)
    return slice(max(int(places[0]) - 2, 0), min(int(places[-1]) + 3, len(needed)))


def posteriors(blocks: Blocks, tables: Tables) -> Iterator[Posterior]:
    """Yield the posteriors of each block in turn."""
    for block in blocks:
        yield posterior(blocks, block, tables)[0]


def e_step(blocks: Blocks, tables: Tables) -> Expected:
    r"""Expect the counts behind the responses.

    .. math:: r_{qik} = \sum_p w_p P(\theta_q \mid y_p) \, 1[y_{pi} = k]

    Notes
    -----
    Complete answers to divide-by-total models: O(P I + P Q) time. Incomplete: two products of
    (P, I) with (I, Q), over the answered cells only if sparse. Other models: two a category.
    """
    there = _moved(tables, blocks)
    parts = spread(
        lambda share: _accumulated(blocks, there, share),
        blocks.blocks,
        _worth_threads(blocks),
    )
    whole = parts[0]
    for part in parts[1:]:
        whole.add(part)
    return whole.expected(blocks, there)


def _worth_threads(blocks: Blocks) -> bool:
    """Whether threads gain anything: looking packed bits up does not release the interpreter."""
    plain = blocks.packed and blocks.complete
    return blocks.backend.name == "numpy" and blocks.cells > WORTH_THREADS and not plain


def _moved(tables: Tables, blocks: Blocks) -> Tables:
    """Return the tables on the backend's device."""
    move = blocks.backend.array
    if blocks.backend.name == "numpy":
        return tables
    return Tables(
        move(tables.theta),
        move(tables.log_weights),
        None if tables.base is None else move(tables.base),
        move(tables.base_total),
        None if tables.scores is None else move(tables.scores),
        tuple(move(contrast) for contrast in tables.contrasts),
    )


class _Sums:
    """Running sums over blocks, one object a thread."""

    def __init__(self, blocks: Blocks, tables: Tables) -> None:
        array = blocks.backend.array
        n_nodes, n_items = tables.theta.shape[0], blocks.n_items
        n_above = blocks.blocks[0].n_categories - 1
        self.log_likelihood = 0.0
        self.mass = array(np.zeros(tuple(tables.log_weights.shape)))
        self.shared = array(np.zeros(n_nodes))  # of persons who answered everything
        self.answered: Any = None
        self.linear = tables.scores is not None
        shape = (n_above, n_items) if self.linear else (n_above, n_nodes, n_items)
        self.counts = array(np.zeros(shape))
        self.zeros = lambda: array(np.zeros((n_nodes, n_items)))

    def add(self, other: _Sums) -> None:
        """Add the sums of another thread."""
        self.log_likelihood += other.log_likelihood
        self.mass += other.mass
        self.shared += other.shared
        self.counts += other.counts
        if other.answered is not None:
            self.answered = other.answered + (0.0 if self.answered is None else self.answered)

    def expected(self, blocks: Blocks, tables: Tables) -> Expected:
        """Return the sums as NumPy arrays."""
        total = None
        if tables.scores is not None:
            total = blocks.totals()
            self.log_likelihood += float((tables.scores[:, :, 1] * total).sum())
            total = to_numpy(total)
        answered = to_numpy(self.shared)[:, None]  # (Q, 1)
        if self.answered is not None:
            answered = answered + to_numpy(self.answered)  # (Q, I)
        counts = to_numpy(self.counts)
        return Expected(
            log_likelihood=float(self.log_likelihood),
            mass=to_numpy(self.mass),
            answered=answered,
            first=counts if self.linear else None,
            total=total,
            counts=() if self.linear else tuple(counts),
        )


def _accumulated(blocks: Blocks, tables: Tables, share: Sequence[Block]) -> _Sums:
    sums = _Sums(blocks, tables)
    for block in share:
        found, indicators = posterior(blocks, block, tables, intercepts=False)
        window, density = found.window, found.density
        sums.log_likelihood += float(block.weights @ found.log_marginal)
        scale = block.weights / found.total  # (B,)
        here = density @ scale  # (W,)
        sums.mass[block.group, window] += here
        if tables.scores is not None:
            theta = found.mean * block.weights  # (B,)
            for k, chosen in enumerate(indicators.chosen):
                sums.counts[k] += (chosen.T @ theta[:, None])[:, 0]
        if indicators.answered is None:
            sums.shared[window] += here
            if tables.scores is not None:
                continue
        density *= scale
        if indicators.answered is not None:
            if sums.answered is None:
                sums.answered = sums.zeros()
            sums.answered[window] += _counted(density, indicators.answered)
        if tables.scores is None:
            for k, chosen in enumerate(indicators.chosen):
                sums.counts[k, window] += _counted(density, chosen)
    return sums


def _counted(density: Any, matrix: Any) -> Any:
    """Return density (W, B) times a matrix (B, I), dense or sparse."""
    if isinstance(matrix, sp.csr_array):
        return (matrix.T @ np.ascontiguousarray(density.T)).T
    return density @ matrix


def log_likelihoods(blocks: Blocks, tables: Tables) -> FloatArray:
    """Log marginal likelihood of each person, shape (P,)."""
    return _by_person(blocks, tables, lambda found: found.log_marginal)


def posterior_means(blocks: Blocks, tables: Tables) -> FloatArray:
    """Posterior mean of theta for each person, shape (P,)."""
    return _by_person(blocks, tables, lambda found: found.mean)


def _by_person(blocks: Blocks, tables: Tables, value: Callable[[Posterior], Any]) -> FloatArray:
    """One number of each person's posterior, shape (P,)."""
    there = _moved(tables, blocks)
    values = np.empty(blocks.n_persons)

    def fill(share: Sequence[Block]) -> None:
        for block in share:
            found, _ = posterior(blocks, block, there)
            values[block.rows] = to_numpy(value(found))

    spread(fill, blocks.blocks, _worth_threads(blocks))
    return values


def linear_sums(blocks: Blocks, tables: Tables) -> FloatArray:
    """Sum of the scores s of each person's answers to divide-by-total items, shape (P,)."""
    there = _moved(tables, blocks)
    values = np.empty(blocks.n_persons)
    for block in blocks:
        chosen = blocks.indicators(block).chosen
        assert there.scores is not None
        sums = sum(part @ there.scores[k][:, :1] for k, part in enumerate(chosen))
        values[block.rows] = to_numpy(sums)[:, 0]
    return values
