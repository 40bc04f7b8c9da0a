"""Stand-ins for W&B and MLflow: they know the real signatures, refuse a wrong call and keep the right ones.

Recorded from the packages themselves (`VERSIONS`), which CI does not install; where one is installed, a test
compares the record with it.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

VERSIONS = {"wandb": "0.31.0", "mlflow": "3.17.2"}
SIGNATURES: dict[str, dict[str, Callable[..., Any]]] = {
    "wandb": {
        "init": lambda entity=None, project=None, dir=None, id=None, name=None, notes=None, tags=None,
        config=None, config_exclude_keys=None, config_include_keys=None, allow_val_change=None, group=None,
        job_type=None, mode=None, force=None, reinit=None, resume=None, resume_from=None, fork_from=None,
        save_code=None, tensorboard=None, sync_tensorboard=None, monitor_gym=None, settings=None,
        anonymous=None: None,
        "Table": lambda columns=None, data=None, rows=None, dataframe=None, dtype=None, optional=None,
        allow_mixed_types=None, log_mode=None: None,
        "Html": lambda data, inject=None, data_is_not_path=None: None,
        "Run.define_metric": lambda self, name, step_metric=None, step_sync=None, hidden=None, summary=None,
        overwrite=None: None,
        "Run.log": lambda self, data, step=None, commit=None: None,
        "Run.finish": lambda self, exit_code=None: None,
    },
    "mlflow": {
        "set_experiment": lambda experiment_name=None, experiment_id=None, trace_location=None: None,
        "start_run": lambda run_id=None, experiment_id=None, run_name=None, nested=None, parent_run_id=None,
        tags=None, description=None, log_system_metrics=None: None,
        "log_metrics": lambda metrics, step=None, synchronous=None, run_id=None, timestamp=None,
        model_id=None, dataset=None: None,
        "set_tags": lambda tags, synchronous=None: None,
        "log_dict": lambda dictionary, artifact_file, run_id=None: None,
        "log_text": lambda text, artifact_file, run_id=None: None,
        "get_tracking_uri": lambda: None,
    },
}  # fmt: skip
"""Parameters of the functions that are called, and which of them must be given."""


class Recorder:
    """A package, or an object of one, that checks and keeps every call of a recorded function."""

    def __init__(self, package: str, prefix: str = "", **attributes: object) -> None:
        """Stand for a package, or for what its functions with a prefix are methods of."""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._own = {
            name.removeprefix(prefix): inspect.signature(known)
            for name, known in SIGNATURES[package].items()
            if name.startswith(prefix) and "." not in name.removeprefix(prefix)
        }
        self._first = (self,) if prefix else ()
        self.answers: dict[str, Any] = {}
        """What a function returns; its own arguments where nothing is said."""
        vars(self).update(attributes)

    def __getattr__(self, name: str) -> Any:
        """A recorded function.

        Raises:
            AttributeError: the package has none of that name, or it was not recorded.
        """
        if name.startswith("_") or name not in self._own:
            raise AttributeError(name)

        def called(*given: Any, **named: Any) -> Any:
            arguments = dict(self._own[name].bind(*self._first, *given, **named).arguments)
            arguments.pop("self", None)
            self.calls.append((name, arguments))
            return self.answers.get(name, arguments)

        return called

    def given(self, name: str) -> list[dict[str, Any]]:
        """The arguments of each call of a function."""
        return [arguments for called, arguments in self.calls if called == name]


class Context(types.SimpleNamespace):
    """What `with mlflow.start_run()` gives, and whether it was left, by what error."""

    left: list[object]

    def __enter__(self) -> Context:
        self.left = []
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.left.append(kind)


def parameters(function: Callable[..., Any]) -> dict[str, bool]:
    """Names of a function's parameters, and whether each must be given."""
    return {
        name: parameter.default is inspect.Parameter.empty
        for name, parameter in inspect.signature(function).parameters.items()
    }
