"""Posteriors as netCDF files."""

import os
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pymc")
pytest.importorskip("h5netcdf")
pytest.importorskip("h5py")

import scipy.sparse as sp

from irtkit.arrays import same
from irtkit.errors import FileError, ScaleError
from irtkit.estimation.bayes import files, read_posterior, write_posterior
from irtkit.estimation.bayes.extras import extra
from irtkit.estimation.bayes.priors import FixedPriors, SignedPriors
from irtkit.estimation.priors import LogitNormal
from tests.bayes.posteriors import given, small, well_mixed


def test_what_is_written_is_read_back(tmp_path):
    _, posterior = small()
    write_posterior(posterior, tmp_path / "posterior.nc")
    again = read_posterior(tmp_path / "posterior.nc")
    assert same(again, posterior)
    assert os.listdir(tmp_path) == ["posterior.nc"]


@pytest.mark.parametrize("priors", [SignedPriors(), FixedPriors(lower=LogitNormal(-1.0, 0.5))])
def test_priors_ids_and_weights_survive(tmp_path, priors):
    posterior = given(well_mixed(2, 10))
    responses = replace(
        posterior.responses,
        weights=np.arange(1.0, 41.0),
        items=("a b", "é", "a" * 70_000),
        key=("x", "y", "x"),
        label_set=("x", "y"),
        notes=("a note",),
    )
    theta = np.random.default_rng(0).normal(size=(2, 10, 40))
    sampling = replace(posterior.sampling, priors=priors, versions=(("pymc", "0"),))
    posterior = replace(posterior, responses=responses, theta=theta, sampling=sampling)
    write_posterior(posterior, tmp_path / "p.nc")
    assert same(read_posterior(tmp_path / "p.nc"), posterior)


def test_sparse_answers_stay_sparse(tmp_path):
    posterior = given(well_mixed(2, 10))
    codes = posterior.responses.dense().copy()
    codes[np.random.default_rng(0).random(codes.shape) < 0.5] = -1
    csr = sp.csr_array((codes + 1).astype(np.int8))
    posterior = replace(posterior, responses=replace(posterior.responses, codes=csr))
    write_posterior(posterior, tmp_path / "p.nc")
    again = read_posterior(tmp_path / "p.nc")
    assert isinstance(again.responses.codes, sp.csr_array)
    assert (again.responses.dense() == codes).all()


def test_arviz_reads_the_file(tmp_path):
    _, posterior = small()
    write_posterior(posterior, tmp_path / "p.nc")
    found = extra("arviz").from_netcdf(tmp_path / "p.nc")
    assert found["posterior"]["slope"].values == pytest.approx(posterior.parameters[..., 0])


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "p.nc"
    write_posterior(given(well_mixed(2, 10)), path)
    before = path.read_bytes()

    def fails(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(FileError, match="No space left"):
        write_posterior(given(well_mixed(2, 20)), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.nc"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match="cannot be written"):
        write_posterior(given(well_mixed(2, 10)), tmp_path / "nowhere" / "p.nc")
    with pytest.raises(FileError, match="does not exist"):
        read_posterior(tmp_path / "p.nc")


def test_other_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "p.nc"
    path.write_text("no netCDF")
    with pytest.raises(FileError, match="cannot be read as a posterior"):
        read_posterior(path)
    write_posterior(given(well_mixed(2, 10)), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises((FileError, ScaleError)):
        read_posterior(path)


def test_another_schema_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "p.nc"
    with monkeypatch.context() as patch:
        patch.setattr(files, "SCHEMA", "irtkit/posterior/9")
        write_posterior(given(well_mixed(2, 10)), path)
    with pytest.raises(ScaleError, match="posterior/9"):
        read_posterior(path)
