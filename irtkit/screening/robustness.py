"""Whether a screening keeps the same items on other persons and in another order.

Complementary half-samples: the persons are split at random, each half is screened, the items in
random order so that ties fall differently. A bootstrap of persons is no substitute: repeated
persons make items misfit (it rejects S-X2 61% of the time where half-samples reject 7%).

References
----------
Meinshausen, N., & Bühlmann, P. (2010). Stability selection. Journal of the Royal Statistical
    Society B, 72(4), 417-473.
Shah, R. D., & Samworth, R. J. (2013). Variable selection with error control: another look at
    stability selection. Journal of the Royal Statistical Society B, 75(1), 55-80.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from irtkit.arrays import FloatArray, IntArray
from irtkit.errors import ModelError, NotConverged
from irtkit.estimation import MML, Calibration
from irtkit.estimation.calibration import matched
from irtkit.models import ItemModel
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.screening.objections import Observation, Rule, rules_among
from irtkit.screening.pair_rules import PairDependence
from irtkit.screening.sequence import Decision, Screening, screen
from irtkit.threads import each

PATTERNS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])  # quantiles of the EAPs
FEWEST_PERSONS = 40


@dataclass(frozen=True, slots=True, eq=False)
class OrderRobustness:
    """How stable a screening is.

    Attributes
    ----------
    items : DataFrame
        Indexed by item: kept (by the screening of all persons), retention (share of the
        half-samples that kept it), cluster (number of its dependence cluster, 0 for none).
    clusters : DataFrame
        Indexed by cluster: items, representative (the member with most information),
        retention (share of half-samples that kept at least one member), representative_retention.
    overlap : DataFrame
        One row a pair of halves: kept_first, kept_second, jaccard (of the two kept sets),
        jaccard_first, jaccard_second (of each with the items kept on all persons).
    theta : DataFrame
        One row a reference pattern: quantile, n_answered, theta (on the scale from all persons),
        and mean, standard_deviation, lowest and highest theta of the same answers on the scales
        of the half-samples.
    n_failed : int
        Half-samples that kept too few items, fell into unconnected parts or did not converge;
        they count as having kept nothing.
    """

    items: pd.DataFrame
    clusters: pd.DataFrame
    overlap: pd.DataFrame
    theta: pd.DataFrame
    n_failed: int


def order_robustness(
    responses: Responses,
    model: ItemModel,
    rules: Sequence[Rule | Observation],
    *,
    n_pairs: int = 50,
    seed: int | np.random.Generator = 1,
    method: MML | None = None,
    decisions: Sequence[Decision] = (),
    progress: Callable[[int, int], None] | None = None,
) -> OrderRobustness:
    """Screen complementary halves of the persons with ties broken at random.

    Parameters
    ----------
    responses, model, rules, method, decisions
        As for `screen`, by maximum likelihood only.
    n_pairs : int
        Pairs of halves; each costs two screenings.
    seed : int or Generator
    progress : callable, optional
        Called with the number of screenings done and of all.

    Raises
    ------
    ModelError
        If there are fewer than 40 persons, or the screening of all persons keeps too little.
    """
    if responses.n_persons < FEWEST_PERSONS:
        raise ModelError(
            f"{responses.n_persons} persons are too few to halve: {FEWEST_PERSONS} are needed."
        )
    asked = rules_among(rules)
    whole = screen(responses, model, asked, method=method, decisions=decisions)
    loose = [
        replace(rule, tie="order") if isinstance(rule, PairDependence) else rule for rule in asked
    ]
    tasks = _tasks(responses, n_pairs, np.random.default_rng(seed))

    def screened(task: tuple[IntArray, IntArray]) -> Screening | None:
        persons, order = task
        half = responses.select_persons(persons).select_items(
            [responses.items[place] for place in order]
        )
        try:
            return screen(half, model, loose, method=method, decisions=decisions)
        except (ModelError, NotConverged):
            return None

    results = each(screened, tasks, progress)
    kept = np.array([_among(responses, result) for result in results])  # (2 n, I)
    pair_rule = next((rule for rule in asked if isinstance(rule, PairDependence)), None)
    cluster = _clusters(responses, whole, pair_rule)
    items, clusters = _retention(responses, whole, kept, cluster)
    return OrderRobustness(
        items,
        clusters,
        _overlaps(items["kept"].to_numpy(), kept),
        _thetas(responses, whole, results),
        sum(result is None for result in results),
    )


def _tasks(
    responses: Responses, n_pairs: int, rng: np.random.Generator
) -> list[tuple[IntArray, IntArray]]:
    """Persons and item order of each half-sample; the halves of a pair follow each other."""
    tasks = []
    for _ in range(n_pairs):
        shuffled = rng.permutation(responses.n_persons)
        middle = len(shuffled) // 2
        for half in (shuffled[:middle], shuffled[middle:]):
            tasks.append((np.sort(half), rng.permutation(responses.n_items)))
    return tasks


def _among(responses: Responses, result: Screening | None) -> npt.NDArray[np.bool_]:
    """Which items a screening kept; none if it failed."""
    kept = set() if result is None else set(result.kept)
    return np.array([item in kept for item in responses.items])


def _retention(
    responses: Responses, whole: Screening, kept: npt.NDArray[np.bool_], cluster: IntArray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Retention per item, and per cluster of items that depended on each other at the start."""
    items = pd.DataFrame(
        {
            "kept": _among(responses, whole),
            "retention": kept.mean(axis=0),
            "cluster": cluster,
        },
        index=pd.Index(responses.items, name="item"),
    )
    known, part = matched(responses, whole.first)
    nodes = part.nodes()
    information = pd.Series(
        np.exp(nodes.log_weights) @ part.assignment.information(part.parameters, nodes.theta),
        index=list(known.items),
    )
    rows = []
    for number in range(1, int(cluster.max(initial=0)) + 1):
        places = np.flatnonzero(cluster == number)
        members = [responses.items[place] for place in places]
        best = int(np.argmax(information.reindex(members).fillna(0.0)))
        rows.append(
            {
                "cluster": number,
                "items": " ".join(members),
                "representative": members[best],
                "retention": float(kept[:, places].any(axis=1).mean()),
                "representative_retention": float(kept[:, places[best]].mean()),
            }
        )
    columns = ["cluster", "items", "representative", "retention", "representative_retention"]
    return items, pd.DataFrame(rows, columns=columns).set_index("cluster")


def _clusters(responses: Responses, whole: Screening, rule: PairDependence | None) -> IntArray:
    """Number the connected groups of pairs that were flagged at the start; 0 for no partner."""
    place = {item: number for number, item in enumerate(responses.items)}
    pairs = [] if rule is None else rule.flags(responses, whole.first)
    links = np.array(
        [[place[flag.item], place[str(flag.partner)]] for flag in pairs], dtype=np.int64
    ).reshape(-1, 2)
    graph = sp.coo_array(
        (np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(place), len(place))
    )
    _, component = connected_components(graph.tocsr(), directed=False)
    sizes = np.bincount(component)
    grown = np.flatnonzero(sizes > 1)
    number = np.zeros(len(sizes), dtype=np.int64)
    number[grown] = np.arange(1, len(grown) + 1)
    return number[component]


def _jaccard(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    either = (first | second).sum()
    return float((first & second).sum() / either) if either else 1.0


def _overlaps(whole: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]) -> pd.DataFrame:
    rows = [
        {
            "kept_first": int(first.sum()),
            "kept_second": int(second.sum()),
            "jaccard": _jaccard(first, second),
            "jaccard_first": _jaccard(first, whole),
            "jaccard_second": _jaccard(second, whole),
        }
        for first, second in zip(kept[0::2], kept[1::2], strict=True)
    ]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="pair"))


def _thetas(
    responses: Responses, whole: Screening, results: Sequence[Screening | None]
) -> pd.DataFrame:
    """Score the answers of persons spread over the scale on every half-sample's scale."""
    theta = score(responses, whole.first).theta  # (P,)
    order = np.argsort(theta, kind="stable")
    chosen = order[np.round(PATTERNS * (len(order) - 1)).astype(np.int64)]
    patterns = responses.select_persons(chosen)

    def on(calibration: Calibration) -> FloatArray:
        return score(patterns.select_items(calibration.items), calibration).theta

    found = np.array([on(r.calibration) for r in results if r is not None])  # (R, 7)
    if not len(found):
        found = np.full((1, len(PATTERNS)), np.nan)
    return pd.DataFrame(
        {
            "quantile": PATTERNS,
            "n_answered": patterns.n_answered(),
            "theta": on(whole.calibration),
            "mean": found.mean(axis=0),
            "standard_deviation": found.std(axis=0),
            "lowest": found.min(axis=0),
            "highest": found.max(axis=0),
        }
    ).set_index("quantile")
