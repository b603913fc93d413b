"""A paragraph on methods, ready to paste: only what was used, with its references.

Each sentence comes with the words of `references.py` that it cites, so that text and list cannot
part.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from irtkit.errors import count
from irtkit.report.parts import Part
from irtkit.report.references import REFERENCES
from irtkit.report.story import preset_of
from irtkit.report.summary import Measures, models_of
from irtkit.report.wording import number, several, share

Said = tuple[str, tuple[str, ...]]

CITED = {  # author and year in the text
    "rasch": "Rasch, 1960",
    "1pl": "Thissen, 1982",
    "2pl": "Birnbaum, 1968",
    "3pl": "Birnbaum, 1968",
    "4pl": "Barton & Lord, 1981",
    "graded": "Samejima, 1969",
    "gpcm": "Muraki, 1992",
    "pcm": "Masters, 1982",
    "nominal": "Bock, 1972",
}
SAMPLED = "posterior standard deviations"


def methods(part: Part, found: Measures) -> str:
    """Write what was done to a part, and the works to cite, as plain text."""
    said = [
        _calibration(part),
        _errors(part),
        *_screening(part),
        *_fit(part),
        _measurement(part, found),
        *_scored(part),
    ]
    text = " ".join(sentence for sentence, _ in said if sentence)
    words = dict.fromkeys(word for _, cited in said for word in cited)
    works = sorted(REFERENCES[word] for word in words)
    return "\n\n".join([text, "References", *works])


def _calibration(part: Part) -> Said:
    calibration = part.calibration
    names = list(dict.fromkeys(model.name for model in calibration.assignment.models))
    cited = "; ".join(dict.fromkeys(CITED[name] for name in names if name in CITED))
    models = f"{models_of(part)} ({cited})" if cited else models_of(part)
    who = (
        f"the answers of {calibration.n_persons:,.0f} persons to {count(len(part.items), 'item')}"
    )
    works = tuple("2pl" if name == "3pl" else name for name in names if name in CITED)
    start = f"With irtkit {version('irtkit')}, {models} was calibrated from {who}"
    if calibration.standard_errors == SAMPLED:
        nuts = any("chains" in note for note in calibration.notes)
        how = " by the No-U-Turn sampler (Hoffman & Gelman, 2014)" if nuts else " by variational "
        how = how if nuts else f"{how}approximation"
        return f"{start}; parameters are posterior means{how}.", (*works, *(["nuts"] * nuts))
    nodes = calibration.convergence.n_nodes
    how = f"marginal maximum likelihood (Bock & Aitkin, 1981) with {nodes} quadrature nodes"
    works = (*works, "em")
    if calibration.log_prior:
        how += " and priors on the item parameters (Mislevy, 1986)"
        works = (*works, "priors")
    end = "" if calibration.converged else " It did not converge."
    cycles = count(calibration.n_cycles, "EM cycle")
    like = number(calibration.log_likelihood)
    return f"{start} by {how}; {cycles}, log-likelihood {like}.{end}", works


def _errors(part: Part) -> Said:
    source = part.calibration.standard_errors
    if not source or source == SAMPLED:
        return "", ()
    return f"Standard errors come from the {source}.", ()


def _screening(part: Part) -> list[Said]:
    if part.scale is None:
        return []
    provenance = part.scale.provenance
    if not provenance.rules:
        return []
    known = preset_of(part)
    how = (
        f"the preset {known} of irtkit" if known else f"the rules {several(provenance.rules, 20)}"
    )
    cited: tuple[str, ...] = ()
    if known == "lalor2016":
        how, cited = f"{how}, after Lalor, Wu, and Yu (2016)", ("lalor2016",)
    gone = len(provenance.dropped)
    said = (
        f"Items were screened by {how}, recalibrating after each step: {gone:,} of "
        f"{provenance.n_items_offered:,} {'was' if gone == 1 else 'were'} dropped."
    )
    return [(said, cited)]


def _fit(part: Part) -> list[Said]:
    tables = part.tables
    said: list[Said] = []
    if "item_fit" in tables:
        binary = bool((part.calibration.assignment.n_categories == 2).all())
        works = ("s_x2", "infit") if binary else ("s_x2", "s_x2_polytomous", "infit")
        who = "Orlando & Thissen, 2000" + ("" if binary else "; Kang & Chen, 2008")
        words = f"The fit of items was tested by S-X² ({who}) and described by infit and outfit"
        said.append((f"{words} (Wright & Masters, 1982).", works))
    if "local_dependence" in tables:
        words = "Pairs were tested for local dependence by LD-X² (Chen & Thissen, 1997) and"
        said.append((f"{words} described by Q3 (Yen, 1984).", ("ld_x2", "q3")))
    if said:
        said.append(("p-values were adjusted after Holm (1979).", ("holm",)))
    if "item_curves" in tables:
        words = "Intervals of observed shares are those of Wilson (1927)."
        said.append((words, ("wilson",)))
    if "model_fit" in tables:
        said.append(_whole(part))
    if "dimensionality" in tables:
        table = tables["dimensionality"]
        kept = count(int(table["retained"].sum()), "component") if "retained" in table else ""
        found = f": {kept} retained" if kept else ""
        words = f"Dimensions were counted by parallel analysis (Horn, 1965){found}."
        said.append((words, ("parallel",)))
    return said


def _whole(part: Part) -> Said:
    row = part.tables["model_fit"].iloc[0]
    name = str(row.get("statistic", "m2")).lower()
    word, who, cited = (
        ("C2", "Cai & Monroe, 2014", "c2")
        if name == "c2"
        else ("M2", "Maydeu-Olivares & Joe, 2006", "m2")
    )
    p = float(row["p"])
    chance = "p < .001" if p < 0.001 else f"p = {share(p, 3)}"
    said = (
        f"The whole model was tested by {word} ({who}): {number(float(row['m2']), 1)} on "
        f"{number(float(row['df']), 0)} degrees of freedom, {chance}, RMSEA "
        f"{share(float(row['rmsea']), 3)}."
    )
    return said, (cited,)


def _measurement(part: Part, found: Measures) -> Said:
    return (
        f"Marginal reliability (Green et al., 1984) is {share(found.reliability.marginal)}.",
        ("reliability",),
    )


def _scored(part: Part) -> list[Said]:
    if part.standings is None and part.scale is None:
        return []
    return [
        (
            "Abilities are posterior means (EAP; Bock & Mislevy, 1982); percentiles are shares of "
            "the calibrating population.",
            ("eap",),
        )
    ]


def versions(packages: Sequence[str]) -> list[tuple[str, str]]:
    """Name the versions of those packages that are installed."""
    found = []
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            found.append((name, version(name)))
    return found
