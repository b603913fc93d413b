"""Options of the estimation: the model, and by which method it is estimated.

`with_method` gives a command one method object, `MML` or `Bayes`, instead of many options; an
option of the other method is refused rather than ignored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from irtkit.errors import ModelError, listing, nearest, shown
from irtkit.estimation import MML, Checkpoint, Priors
from irtkit.estimation.bayes import (
    NUTS,
    Bayes,
    FixedPriors,
    HierarchicalPriors,
    Pathfinder,
    SignedPriors,
)
from irtkit.estimation.bayes.method import FORMULATIONS
from irtkit.estimation.bayes.nuts import Progress
from irtkit.estimation.bayes.priors import BayesPriors
from irtkit.estimation.method import STANDARD_ERRORS
from irtkit.io import read_key, write_checkpoint
from irtkit.models import MODELS, ItemModel
from irtkit.options import Command, with_options
from irtkit.responses import Responses

CHECKPOINT_SECONDS = 5.0  # between two writes of the state
PRIORS: dict[str, BayesPriors] = {
    "hierarchical": HierarchicalPriors(),
    "correlated": HierarchicalPriors(correlated=True),
    "signed": SignedPriors(),
    "wide": FixedPriors(),
}
MODEL = click.option(
    "--model", type=click.Choice(sorted(MODELS)), default="2pl", show_default=True
)
MML_OPTIONS = [
    click.option(
        "--max-cycles",
        type=click.IntRange(1),
        default=5000,
        show_default=True,
        help="Give up after so many.",
    ),
    click.option(
        "--tolerance",
        type=click.FloatRange(0, 1, min_open=True),
        default=1e-6,
        show_default=True,
        help="Largest move at the end.",
    ),
    click.option(
        "--latent",
        type=click.Choice(["normal", "histogram"]),
        default="normal",
        show_default=True,
        help="Shape of the ability distribution.",
    ),
    click.option(
        "--small-sample", is_flag=True, help="Weak priors on slopes and difficulties: few persons."
    ),
    click.option(
        "--standard-errors",
        type=click.Choice([*STANDARD_ERRORS, "none"]),
        default="oakes",
        show_default=True,
    ),
    click.option("--backend", type=click.Choice(["numpy", "torch"]), default="numpy"),
    click.option("--device", default="cpu", help="With --backend torch: cpu, cuda, cuda:1."),
]
BAYES_OPTIONS = [
    click.option(
        "--priors",
        type=click.Choice(list(PRIORS)),
        default="hierarchical",
        show_default=True,
        help="With --method bayes: priors of the items.",
    ),
    click.option(
        "--draws", type=click.IntRange(1), default=1000, show_default=True, help="Of each chain."
    ),
    click.option(
        "--tune", type=click.IntRange(1), default=1000, show_default=True, help="Draws before."
    ),
    click.option("--chains", type=click.IntRange(1), default=4, show_default=True),
    click.option(
        "--target-accept",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.95,
        show_default=True,
        help="Higher takes smaller steps.",
    ),
    click.option(
        "--formulation",
        type=click.Choice(FORMULATIONS),
        default="marginal",
        show_default=True,
        help="Sum abilities out, or sample them too.",
    ),
    click.option("--quick-look", is_flag=True, help="Approximate by Pathfinder, do not sample."),
    click.option("--sampling-seed", type=int, default=0, show_default=True),
]
OWNER = {
    **dict.fromkeys(("tolerance", "max_cycles", "latent", "small_sample"), "mml"),
    **dict.fromkeys(("standard_errors", "backend", "device"), "mml"),
    **dict.fromkeys(("priors", "draws", "tune", "chains", "target_accept"), "bayes"),
    **dict.fromkeys(("formulation", "quick_look", "sampling_seed"), "bayes"),
}
METHOD_OPTIONS = [
    MODEL,
    click.option(
        "--method",
        type=click.Choice(["mml", "bayes"]),
        default="mml",
        show_default=True,
        help="Maximum marginal likelihood, or the posterior.",
    ),
]


def with_method(command: Command) -> Command:
    """Add the options of the estimation; the command gets `model` and one `method`."""

    @wraps(command)
    def gather(**given: Any) -> None:
        chosen = given.pop("method")
        _refuse_others(chosen)
        mml, bayes = _mml(given), _bayes(given)
        command(method=mml if chosen == "mml" else bayes, **given)

    return with_options([*METHOD_OPTIONS, *MML_OPTIONS, *BAYES_OPTIONS])(gather)


def _refuse_others(chosen: str) -> None:
    """Refuse options on the command line that the chosen method does not have."""
    context = click.get_current_context()
    for parameter in context.command.params:
        said = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        owner = OWNER.get(parameter.name or "", chosen)
        if said and owner != chosen:
            raise click.UsageError(
                f"{parameter.opts[0]} belongs to --method {owner} and does not go with "
                f"--method {chosen}."
            )


def _mml(given: dict[str, Any]) -> MML:
    take = given.pop
    errors = take("standard_errors")
    return MML(
        tolerance=take("tolerance"),
        max_cycles=take("max_cycles"),
        latent=take("latent"),
        priors=Priors.small_sample() if take("small_sample") else Priors(),
        standard_errors=None if errors == "none" else errors,
        backend=take("backend"),
        device=take("device"),
    )


def _bayes(given: dict[str, Any]) -> Bayes:
    take = given.pop
    draws, tune, chains = take("draws"), take("tune"), take("chains")
    accept, formulation = take("target_accept"), take("formulation")
    quick = take("quick_look")
    sampler = (
        Pathfinder(draws) if quick else NUTS(draws, tune, chains, accept, "nutpie", formulation)
    )
    return Bayes(PRIORS[take("priors")], sampler, take("sampling_seed"))


def models_of(path: str | None, model: str, responses: Responses) -> dict[str, ItemModel]:
    """The model of each item: the one for all, or what a file says of it."""
    chosen = {item: MODELS[model] for item in responses.items}
    for item, name in ({} if path is None else read_key(path)).items():
        if item not in chosen:
            raise ModelError(
                f"{path} names the item {shown(item)}, which was not answered."
                f"{nearest(item, responses.items)}"
            )
        if name not in MODELS:
            raise ModelError(
                f"{path} gives item {shown(item)} the model {shown(name)}; known are "
                f"{listing(sorted(MODELS), 12)}."
            )
        chosen[item] = MODELS[name]
    return chosen


def watcher(
    tell: Callable[[str, float], None], path: str | None, tolerance: float
) -> Callable[[Checkpoint], None]:
    """Show each cycle and, now and then, keep its state in a file.

    What is done is told by how far the change of a cycle has come from 1 down to the tolerance,
    on a log scale.
    """
    last = time.monotonic()

    def watch(at: Checkpoint) -> None:
        nonlocal last
        change = min(max(at.change, tolerance), 1.0)
        share = math.log(change) / math.log(tolerance) if tolerance < 1.0 else 1.0
        tell(f"cycle {at.n_cycles}, log-likelihood {at.log_likelihood:.3f}", share)
        if path is not None and time.monotonic() - last > CHECKPOINT_SECONDS:
            write_checkpoint(at, path)
            last = time.monotonic()

    return watch


def counter(tell: Callable[[str, float], None]) -> Progress:
    """Show how many draws are done."""

    def count(done: int, of: int) -> None:
        if done % 20 == 0 or done == of:
            tell(f"draw {done:,} of {of:,}", done / of)

    return count
