import pytest

from base.errors import InputError
from utils.training.experiment import Experiment


def test_an_experiment_exists_once_it_has_begun(tmp_path):
    """An experiment that was stopped while cases were read can be started again by the same command."""
    record = {"seed": 1, "options": {"alpha": 0.1}}
    Experiment(tmp_path, "one", record, resume=False)
    assert not list(tmp_path.iterdir())
    Experiment(tmp_path, "one", record, resume=False).begin()
    with pytest.raises(InputError, match="--resume"):
        Experiment(tmp_path, "one", record, resume=False)
    Experiment(tmp_path, "one", record, resume=True).begin()
    with pytest.raises(InputError, match=r"options alpha 0\.1, not 0\.5"):
        Experiment(tmp_path, "one", {"seed": 1, "options": {"alpha": 0.5}}, resume=True)
