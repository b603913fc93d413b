"""What a CIFT experiment is: its data, its factors, and the cells that they make.

`CiftPlan` holds the data, `CiftDesign` the factors; `treatments` lists what each pre-trained
classifier is fine-tuned on. Running them is `experiment.py`.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2018). Soft label memorization-generalization for natural language
    inference. arXiv:1702.08563.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pandas as pd

from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.finetuning.leaks import check_leak
from irtkit.bridge.finetuning.scale_sets import finetuning_set
from irtkit.bridge.finetuning.selection import balanced_examples, random_examples
from irtkit.bridge.training.train import Training
from irtkit.errors import ModelError, listing, shown
from irtkit.scale import EvaluationScale, scale_document

TUNING = ("each", "first")
ARMS = ("gold-cross_entropy", "gold-mse", "crowd-cross_entropy", "crowd-mse")
LOSS_OF = {  # cross-entropy on a distribution has a name of its own
    ("gold", "cross_entropy"): "cross_entropy",
    ("crowd", "cross_entropy"): "soft_cross_entropy",
    ("gold", "mse"): "mse",
    ("crowd", "mse"): "mse",
}


@dataclass(frozen=True, slots=True)
class CiftDesign:
    """The factors of the experiment and how classifiers are trained.

    Attributes
    ----------
    sizes : tuple of int
        Numbers of random source examples to pre-train on; smaller samples are within larger ones.
    seeds : tuple of int
        Of the samples, new heads, dropout and the order of examples. Ten or more, for intervals.
    arms : tuple of str
        Target and loss of fine-tuning on scales: of the 2 x 2 `ARMS`.
    balanced_arms : tuple of str
        Arms that are run once more with as many examples of each gold label.
    crowd_arms : tuple of str
        Arms for the corpus with crowd labels, where there is one.
    learning_rates : tuple of float
        Of fine-tuning. The least development loss chooses, for each arm and size on its own.
    tuning : str
        "each": every cell chooses its learning rate; "first": the first seed and held-out scale
        choose for all cells of the same arm and size. Epochs are chosen in each cell.
    random : int
        Examples of the small baseline from another corpus.
    second_training : bool
        Score each classifier again after a second training on its source sample.
    least_steps : int
        Pre-training takes as many epochs as give so many steps, if the method has fewer.
    most_steps : int or None
        Fine-tuning on a large set takes only so many epochs as stay within this, one at least.
    max_length : int
        Tokens beyond which texts are cut.
    pretraining, finetuning : Training
        The seed of both, and loss and learning rate of the second, are the experiment's.
    """

    sizes: tuple[int, ...] = (100, 1000, 10000)
    seeds: tuple[int, ...] = tuple(range(10))
    arms: tuple[str, ...] = ARMS
    balanced_arms: tuple[str, ...] = ARMS
    crowd_arms: tuple[str, ...] = ARMS
    learning_rates: tuple[float, ...] = (1e-5, 3e-5, 1e-4)
    tuning: str = "each"
    random: int = 100
    second_training: bool = False
    least_steps: int = 100
    most_steps: int | None = None
    max_length: int = 128
    pretraining: Training = field(default_factory=lambda: Training(learning_rate=5e-5))
    finetuning: Training = field(default_factory=lambda: Training(epochs=4))

    def __post_init__(self) -> None:
        for name in ("arms", "balanced_arms", "crowd_arms"):
            strange = [arm for arm in getattr(self, name) if arm not in ARMS]
            if strange:
                raise ModelError(f"Unknown arm {listing(strange)}; there is {listing(ARMS)}.")
        if self.tuning not in TUNING:
            raise ModelError(f"Unknown tuning {shown(self.tuning)}; there is {listing(TUNING)}.")
        if not self.sizes or not self.seeds or not self.learning_rates or min(self.sizes) < 1:
            raise ModelError("A design has sizes from 1, seeds and learning rates, one at least.")
        for name in ("sizes", "seeds", "learning_rates"):
            given = getattr(self, name)
            if len(set(given)) != len(given):
                raise ModelError(f"The design's {name} name one twice: {listing(given, 12)}.")


@dataclass(frozen=True, slots=True, eq=False)
class CiftPlan:
    """The data of an experiment, checked against each other, and its design.

    Attributes
    ----------
    scales : tuple of EvaluationScale
        Two or more. Scales that share items (three cuts of one set of ratings, say) are one
        group: held out together and all scored; the first gives the training targets.
    texts : DataFrame
        item, text, text_pair of all their items.
    source : FinetuningSet
        To pre-train on.
    development : FinetuningSet
        Chooses learning rates and epochs, and nothing else does.
    tests : tuple of FinetuningSet
        Accuracy and confidence are measured on them; where they hold crowd distributions, the
        distance from those too.
    other : FinetuningSet
        Another corpus with gold labels, for the baselines.
    encoder : str
        Folder or name of the pretrained encoder to start from; "nse" for a Neural Semantic
        Encoder without any pretraining, as in the paper (which started from word vectors).
    crowd : FinetuningSet, optional
        A corpus with crowd label distributions but no scale: as many random examples of it as
        the scales give are a further baseline.
    design : CiftDesign

    Raises
    ------
    ModelError
        If labels differ, sets overlap with what is evaluated, or samples are larger than sets.
    """

    scales: tuple[EvaluationScale, ...]
    texts: pd.DataFrame
    source: FinetuningSet
    development: FinetuningSet
    tests: tuple[FinetuningSet, ...]
    other: FinetuningSet
    encoder: str
    crowd: FinetuningSet | None = None
    design: CiftDesign = field(default_factory=CiftDesign)

    def __post_init__(self) -> None:
        _check_plan(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the source's order."""
        return self.source.label_set

    @property
    def groups(self) -> dict[str, tuple[EvaluationScale, ...]]:
        """Scales by group; a group has the name of its first scale."""
        found: list[list[EvaluationScale]] = []
        for scale in self.scales:
            items = set(scale.items)
            kin = [g for g in found if any(items & set(other.items) for other in g)]
            merged = [other for group in kin for other in group] + [scale]
            found = [group for group in found if group not in kin] + [merged]
        order = {scale.name: place for place, scale in enumerate(self.scales)}
        ranked = sorted(found, key=lambda group: order[group[0].name])
        return {group[0].name: tuple(group) for group in ranked}

    def identity(self) -> dict[str, object]:
        """Describe data and training, by which a folder knows its experiment.

        Seeds, sizes and arms are not part of it: more of them can be added later.
        """
        design = asdict(self.design)
        for name in ("sizes", "seeds", "arms", "balanced_arms", "crowd_arms", "second_training"):
            del design[name]
        for name in ("pretraining", "finetuning"):
            del design[name]["device"]
        sets = {"source": self.source, "development": self.development, "other": self.other}
        prints = {name: examples.fingerprint() for name, examples in sets.items()}
        crowd = None if self.crowd is None else self.crowd.fingerprint()
        return {
            "encoder": _encoder(self.encoder),
            "scales": {scale.name: _hash(scale_document(scale)) for scale in self.scales},
            "texts": _hash(scale_set(self, tuple(self.groups), "gold").fingerprint()),
            **prints,
            "crowd": crowd,
            "tests": {test.name: test.fingerprint() for test in self.tests},
            "design": json.loads(json.dumps(design)),
        }


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a pre-trained classifier is fine-tuned on, and how.

    Attributes
    ----------
    training : str
        "none", "scales" (all groups but the one held out), "random" (examples of the other
        corpus), "other" (all of it) or "crowd" (examples of the corpus with crowd labels).
    arm : str
        Target and loss; empty for "none".
    held_out : str
        Name of the group that is held out, for "scales"; else empty: all groups are.
    balanced : bool
        As many examples of each label.
    """

    training: str
    arm: str = ""
    held_out: str = ""
    balanced: bool = False

    @property
    def target(self) -> str:
        """Target of the arm, gold or crowd; empty for none."""
        return self.arm.partition("-")[0]

    @property
    def loss(self) -> str:
        """Loss of the arm, cross_entropy or mse; empty for none."""
        return self.arm.partition("-")[2]


def treatments(plan: CiftPlan) -> list[Treatment]:
    """List what each pre-trained classifier is fine-tuned on; none comes first."""
    design, groups = plan.design, list(plan.groups)
    found = [Treatment("none"), Treatment("random", ARMS[0]), Treatment("other", ARMS[0])]
    found += [Treatment("scales", arm, name) for name in groups for arm in design.arms]
    found += [
        Treatment("scales", arm, name, True) for name in groups for arm in design.balanced_arms
    ]
    if plan.crowd is not None:
        found += [Treatment("crowd", arm) for arm in design.crowd_arms]
    return found


def examples_for(plan: CiftPlan, treatment: Treatment, seed: int) -> FinetuningSet:
    """Make the fine-tuning set of a treatment (not "none")."""
    if treatment.training == "other":
        return plan.other
    if treatment.training == "random":
        return random_examples(plan.other, plan.design.random, seed=seed)
    if treatment.training == "crowd":
        assert plan.crowd is not None
        drawn = random_examples(plan.crowd, crowd_size(plan), seed=seed)
        return drawn if treatment.target == "crowd" else hardened(drawn)
    names = [name for name in plan.groups if name != treatment.held_out]
    examples = scale_set(plan, names, treatment.target)
    return balanced_examples(examples, seed=seed) if treatment.balanced else examples


def scale_set(plan: CiftPlan, names: Sequence[str], target: str) -> FinetuningSet:
    """Join the first scales of some groups into one set."""
    groups = plan.groups
    held = [scale for name, group in groups.items() if name not in names for scale in group]
    return finetuning_set(
        [groups[name][0] for name in names], plan.texts, target=target, held_out=held
    )


def crowd_size(plan: CiftPlan) -> int:
    """Count the examples of the corpus with crowd labels: as many as the smallest fold has."""
    assert plan.crowd is not None
    sizes = [len(group[0].items) for group in plan.groups.values()]
    return min(sum(sizes) - max(sizes), len(plan.crowd.rows))


def hardened(examples: FinetuningSet) -> FinetuningSet:
    """Return the same examples with all mass of the target on the gold label."""
    rows = examples.rows.copy()
    n_labels = len(examples.label_set)
    rows["label_distribution"] = [
        [float(place == gold) for place in range(n_labels)] for gold in rows["label"]
    ]
    return replace(examples, target="gold", rows=rows)


def _encoder(name: str) -> str:
    """Name an encoder: on this disk by the hash of its weights, else by its name."""
    folder = Path(name)
    if not folder.is_dir():
        return name
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return f"{folder.name} {digest.hexdigest()}"


def _hash(document: object) -> str:
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_plan(plan: CiftPlan) -> None:
    names = [scale.name for scale in plan.scales]
    if len(set(names)) != len(names):
        raise ModelError(f"Two scales have the same name: {listing(names)}. Name them apart.")
    if len(plan.groups) < 2:
        raise ModelError(
            f"Scales that share items are held out together: the {len(plan.scales)} given leave "
            "nothing to train on. Give scales of different items."
        )
    if not plan.tests or len({test.name for test in plan.tests}) != len(plan.tests):
        raise ModelError("An experiment needs test sets, one at least, each with its own name.")
    _check_labels(plan)
    sizes = (("source", max(plan.design.sizes)), ("other", plan.design.random))
    for name, wanted in sizes:
        examples = getattr(plan, name)
        if wanted > len(examples.rows):
            raise ModelError(
                f"{wanted} examples of '{examples.name}' are wanted, and it has "
                f"{len(examples.rows)}. Ask for fewer."
            )
    _check_overlap(plan)


def _check_labels(plan: CiftPlan) -> None:
    sets = [plan.development, *plan.tests, plan.other, *([plan.crowd] if plan.crowd else [])]
    found = [(examples.name, examples.label_set) for examples in sets]
    found += [(scale.name, scale.calibration.label_set) for scale in plan.scales]
    for name, labels in found:
        if set(labels) != set(plan.labels):
            raise ModelError(
                f"'{name}' has the labels {listing(labels)}; the source '{plan.source.name}' has "
                f"{listing(plan.labels)}. Map them to the same names first."
            )
    if plan.other.target != "gold" or plan.source.target != "gold":
        raise ModelError("Source and other corpus are trained on with gold labels; give those.")
    if plan.development.target != "gold":
        raise ModelError("The development set chooses by its gold labels; give those.")
    if plan.crowd is not None and plan.crowd.target == "gold":
        raise ModelError(f"'{plan.crowd.name}' has gold labels alone; give label distributions.")


def _check_overlap(plan: CiftPlan) -> None:
    """Refuse what is trained on and also evaluated: scales, tests, development."""
    groups = tuple(plan.groups)
    items = scale_set(plan, groups, "gold")  # refuses texts that are missing
    for held in groups:
        scale_set(plan, [name for name in groups if name != held], "gold")  # same text, other id
    crowd = [] if plan.crowd is None else [plan.crowd]
    for training in (plan.source, plan.other, *crowd):
        check_leak(training, items, what=f"scales' ({training.name} in training)")
        check_leak(training, plan.development, what="development")
        for test in plan.tests:
            check_leak(training, test, what=f"test ({test.name})")
    for test in plan.tests:
        check_leak(items, test, what=f"test ({test.name})")
    check_leak(items, plan.development, what="development")
