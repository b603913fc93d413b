"""A `Posterior` as a netCDF file and back.

The groups posterior and sample_stats are those that ArviZ writes and reads; observed_data holds
the answered cells, and the root one JSON text with all that is no array. Writing is atomic.
"""

from __future__ import annotations

import io
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from irtkit.atomic import replacing
from irtkit.coding import MISSING
from irtkit.errors import FileError, ScaleError, shown
from irtkit.estimation.bayes.extras import extra
from irtkit.estimation.bayes.method import NUTS, Pathfinder
from irtkit.estimation.bayes.posterior import Posterior, Sampling
from irtkit.estimation.bayes.priors import FixedPriors, HierarchicalPriors, SignedPriors
from irtkit.estimation.priors import Beta, LogitNormal, LogNormal
from irtkit.latent import Normal
from irtkit.models import MODELS, Assignment
from irtkit.responses import Responses

SCHEMA = "irtkit/posterior/1"
ENGINE = "h5netcdf"
KINDS = {
    kind.__name__: kind
    for kind in (
        *(NUTS, Pathfinder, HierarchicalPriors, SignedPriors, FixedPriors),
        *(Normal, LogNormal, LogitNormal, Beta),
    )
}


def write_posterior(posterior: Posterior, path: str | Path) -> None:
    """Write a posterior, its answers included, as netCDF.

    Raises
    ------
    FileError
        If it cannot be written; what stood there is intact.
    ModelError
        If ``irtkit[bayes]`` is not installed.
    """
    xarray = _xarray()
    path = Path(path)
    variables, coordinates = posterior.variables()
    groups = {
        "posterior": xarray.Dataset(variables, coordinates),
        "sample_stats": xarray.Dataset(posterior.sample_stats()),
        "observed_data": xarray.Dataset(*_cells(posterior.responses)),
    }
    root = xarray.Dataset({"document": ((), json.dumps(_document(posterior)))})
    store = xarray.backends.H5NetCDFStore
    content = io.BytesIO()  # the HDF5 library can crash on a full disk
    with extra(ENGINE).File(content, "w") as file:
        root.dump_to_store(store(file))
        for group, dataset in groups.items():
            dataset.dump_to_store(store(file, group=group))
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_posterior(path: str | Path) -> Posterior:
    """Read what `write_posterior` wrote.

    Raises
    ------
    FileError
        If the file cannot be opened as netCDF.
    ScaleError
        If it holds something else; the message says what is wrong.
    """
    xarray = _xarray()
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} does not exist, or is no file. Check the name.")
    try:
        groups = {
            group: xarray.load_dataset(path, group=group, engine=ENGINE)
            for group in (None, "posterior", "sample_stats", "observed_data")
        }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FileError(
            f"{path} cannot be read as a posterior: {type(error).__name__}: {error}. It is "
            "damaged, or another kind of file."
        ) from error
    try:
        return _posterior(groups)
    except ScaleError as error:
        raise ScaleError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ScaleError(
            f"{path} is no complete posterior: {type(error).__name__}: {error}. Sample it again."
        ) from error


def _xarray() -> Any:
    """xarray, with what it needs for netCDF."""
    for name in ("h5py", ENGINE):
        extra(name)
    return extra("xarray")


def _document(posterior: Posterior) -> dict[str, Any]:
    """Everything that is no array."""
    responses, sampling = posterior.responses, posterior.sampling
    return {
        "schema": SCHEMA,
        "models": [model.name for model in posterior.assignment.models],
        "n_categories": posterior.assignment.n_categories.tolist(),
        "states": list(posterior.states),
        "hyperparameters": sorted(posterior.hyperparameters),
        "persons": list(responses.persons),
        "items": list(responses.items),
        "categories": list(responses.categories),
        "key": None if responses.key is None else list(responses.key),
        "label_set": list(responses.label_set),
        "sparse": isinstance(responses.codes, sp.csr_array),
        "notes": list(responses.notes),
        "sampler": _written(sampling.sampler),
        "priors": _written(sampling.priors),
        "seed": sampling.seed,
        "n_nodes": sampling.n_nodes,
        "compile_seconds": sampling.compile_seconds,
        "seconds": sampling.seconds,
        "versions": [list(pair) for pair in sampling.versions],
    }


def _written(value: Any) -> Any:
    """A frozen dataclass as its name and fields."""
    if type(value).__name__ not in KINDS:
        return value
    own = {field.name: _written(getattr(value, field.name)) for field in fields(value)}
    return {"kind": type(value).__name__, **own}


def _read(value: Any) -> Any:
    """The inverse of `_written`; unknown kinds and fields are errors."""
    if not isinstance(value, dict):
        return value
    own = {name: _read(each) for name, each in value.items() if name != "kind"}
    if value.get("kind") not in KINDS:
        raise ScaleError(f"{shown(value.get('kind'))} is no sampler or prior of this irtkit.")
    return KINDS[value["kind"]](**own)


def _cells(responses: Responses) -> tuple[dict[str, Any], dict[str, Any]]:
    """Person, item and category of each answer, and the weights."""
    person, item, code = _triples(responses)
    found: dict[str, Any] = {
        "cell_person": (("cell",), person.astype(np.int32)),
        "cell_item": (("cell",), item.astype(np.int32)),
        "answer": (("cell",), code),
        "weight": (("person",), responses.weights),
    }
    return found, {}


def _triples(responses: Responses) -> tuple[Any, Any, Any]:
    codes = responses.codes
    if isinstance(codes, sp.csr_array):
        person = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
        return person, codes.indices, (codes.data - 1).astype(np.int8)
    person, item = np.nonzero(codes != MISSING)
    return person, item, codes[person, item]


def _posterior(groups: dict[Any, Any]) -> Posterior:
    document = json.loads(str(groups[None]["document"].values))
    found = document["schema"]
    if found != SCHEMA:
        raise ScaleError(f"The file has schema {shown(found)}, not {shown(SCHEMA)}.")
    sizes = document["n_categories"]
    strange = sorted(set(document["models"]) - set(MODELS))
    if strange:
        raise ScaleError(f"The file names models that this irtkit does not know: {strange}.")
    assignment = Assignment.of([MODELS[name] for name in document["models"]], sizes)
    draws, stats = groups["posterior"], groups["sample_stats"]
    shape = (*(draws.sizes[name] for name in ("chain", "draw", "item")), assignment.n_parameters)
    parameters = np.full(shape, np.nan)
    for family in assignment.families:
        names = family.model.parameter_names(family.n_categories)
        for place, name in enumerate(names):
            parameters[..., family.places, place] = draws[name].values[..., family.places]
    ok = [state == "ok" for state in document["states"]]
    if not np.isfinite(parameters[:, :, ok, 0]).all():
        raise ScaleError("Some draws of the slopes are not finite.")
    sampling = Sampling(
        _read(document["sampler"]),
        _read(document["priors"]),
        document["seed"],
        document["n_nodes"],
        document["compile_seconds"],
        document["seconds"],
        tuple((name, version) for name, version in document["versions"]),
    )
    return Posterior(
        responses=_responses(document, groups["observed_data"]),
        assignment=assignment,
        states=tuple(document["states"]),
        parameters=parameters,
        hyperparameters={n: draws[n].values for n in document["hyperparameters"]},
        theta=draws["theta"].values if "theta" in draws else None,
        statistics={str(name): stats[name].values for name in stats.data_vars},
        sampling=sampling,
    )


def _responses(document: dict[str, Any], observed: Any) -> Responses:
    persons, items = tuple(document["persons"]), tuple(document["items"])
    cells = observed["cell_person"].values, observed["cell_item"].values
    answer = observed["answer"].values.astype(np.int8)
    shape = (len(persons), len(items))
    codes: Any
    if document["sparse"]:
        codes = sp.csr_array((answer + np.int8(1), cells), shape=shape, dtype=np.int8)
    else:
        codes = np.full(shape, MISSING, dtype=np.int8)
        codes[cells] = answer
    return Responses(
        codes=codes,
        persons=persons,
        items=items,
        categories=tuple(document["categories"]),
        key=None if document["key"] is None else tuple(document["key"]),
        label_set=tuple(document["label_set"]),
        weights=observed["weight"].values,
        notes=tuple(document["notes"]),
    )
