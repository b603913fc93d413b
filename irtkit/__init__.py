"""irtkit: Item Response Theory, and a bridge from it to machine learning.

`calibrate` items from people's answers, `screen` them, freeze what is left with `build_scale`,
place any person or model on it with `scale_score`, export it with `finetuning_set`.
"""

from irtkit.arrays import same
from irtkit.bridge.finetuning import FinetuningSet, finetuning_set, write_finetuning_set
from irtkit.bridge.predictions import read_predictions
from irtkit.coding import Coding
from irtkit.datasets import dataset_names, load_dataset, load_items, load_truth
from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.local_dependence import local_dependence
from irtkit.diagnostics.multiplicity import adjust
from irtkit.errors import (
    FileError,
    IrtkitError,
    ModelError,
    NotConverged,
    PredictionError,
    ResponseError,
    ScaleError,
)
from irtkit.estimation import (
    MML,
    Beta,
    Calibration,
    Checkpoint,
    Convergence,
    Equal,
    Fixed,
    LogitNormal,
    LogNormal,
    Plain,
    Priors,
    Squarem,
    anchored,
    calibrate,
)
from irtkit.io import (
    TextFormat,
    read_calibration,
    read_decisions,
    read_key,
    read_responses,
    read_scale,
    write_calibration,
    write_scale,
    write_table,
)
from irtkit.latent import Histogram, Normal
from irtkit.layout import Long, Wide
from irtkit.models import (
    FourPL,
    GeneralizedPartialCredit,
    Graded,
    Nominal,
    OnePL,
    PartialCredit,
    Rasch,
    ThreePL,
    TwoPL,
)
from irtkit.norms import Norms, Percentiles
from irtkit.responses import Responses
from irtkit.scale import EvaluationScale, ScaleScores, build_scale, scale_score
from irtkit.scoring import (
    Reliability,
    Scores,
    plausible_values,
    reliability,
    score,
    test_information,
)
from irtkit.screening import (
    Communality,
    Decision,
    ItemFit,
    ItemStates,
    PairDependence,
    Screening,
    communality,
    preset,
    screen,
)
from irtkit.simulate import Simulation, simulate

__all__ = [
    "MML",
    "Beta",
    "Calibration",
    "Checkpoint",
    "Coding",
    "Communality",
    "Convergence",
    "Decision",
    "Equal",
    "EvaluationScale",
    "FileError",
    "FinetuningSet",
    "Fixed",
    "FourPL",
    "GeneralizedPartialCredit",
    "Graded",
    "Histogram",
    "IrtkitError",
    "ItemFit",
    "ItemStates",
    "LogNormal",
    "LogitNormal",
    "Long",
    "ModelError",
    "Nominal",
    "Normal",
    "Norms",
    "NotConverged",
    "OnePL",
    "PairDependence",
    "PartialCredit",
    "Percentiles",
    "Plain",
    "PredictionError",
    "Priors",
    "Rasch",
    "Reliability",
    "ResponseError",
    "Responses",
    "ScaleError",
    "ScaleScores",
    "Scores",
    "Screening",
    "Simulation",
    "Squarem",
    "TextFormat",
    "ThreePL",
    "TwoPL",
    "Wide",
    "adjust",
    "anchored",
    "build_scale",
    "calibrate",
    "communality",
    "dataset_names",
    "finetuning_set",
    "item_fit",
    "load_dataset",
    "load_items",
    "load_truth",
    "local_dependence",
    "plausible_values",
    "preset",
    "read_calibration",
    "read_decisions",
    "read_key",
    "read_predictions",
    "read_responses",
    "read_scale",
    "reliability",
    "same",
    "scale_score",
    "score",
    "screen",
    "simulate",
    "test_information",
    "write_calibration",
    "write_finetuning_set",
    "write_scale",
    "write_table",
]
