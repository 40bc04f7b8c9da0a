"""Work with models on a device that is no CPU: a tensor that was left on the CPU is an error there.

The scenarios are `tests.helpers.sim_scenarios`. They run in a process of their own, since a device that is
written in Python is registered for good.
"""

import json
import subprocess
import sys

import pytest
from torch.utils import backend_registration

from tests.helpers.paths import ROOT
from tests.helpers.processes import ALONE
from tests.helpers.sim_device import REGISTER
from tests.helpers.sim_scenarios import SCENARIOS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(backend_registration, REGISTER), reason="PyTorch without Python devices"),
]

COSTLY = {
    "losses_are_trained_on",
    "the_monitor_leaves_a_training_as_it_was",
    "a_recipe_is_trained_and_its_run_goes_on",
    "a_run_is_repaired",
    "the_plain_trainer_takes_a_loss",
}


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    asked = [item.callspec.params["name"] for item in request.session.items if item.path == request.path]
    folder = tmp_path_factory.mktemp("sim")
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.sim_scenarios", str(folder), *asked],
        capture_output=True, text=True, cwd=ROOT, env=ALONE, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "outcomes.json").read_text())


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.exhaustive] if name in COSTLY else []) for name in SCENARIOS],
)
def test_on_the_pretend_device(outcomes, name):
    assert outcomes[name]["wrong"] is None, outcomes[name]["wrong"]
