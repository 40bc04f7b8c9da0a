"""Find tasks of lm-evaluation-harness by name; the only module that imports lm_eval, and only when asked.

The package is an extra (`pip install 'overmem[lm-eval]'`), and its index of tasks differs among releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from overmem.errors import DataError
from overmem.extras import needs_extra

SEED = 1234
"""lm-eval's own default, so that few-shot examples are the ones its command line takes."""


def find_task(name: str, folder: str | None) -> Any:
    """Build a task with its requests, few-shot examples and all, as `lm_eval.simple_evaluate` does.

    Args:
        name: of one task, not of a group.
        folder: where its YAML is; None for the tasks that come with lm-eval.

    Raises:
        RunError: lm-eval cannot be imported.
        DataError: no such folder or task, a group, or data that cannot be loaded.
    """
    if folder is not None and not Path(folder).expanduser().is_dir():
        raise DataError(
            "no such folder of lm-eval tasks", got=folder or "none", expected="lm_eval:TASK@FOLDER"
        )
    if not name:
        raise DataError("no task of lm-eval is named", got="no name", expected="lm_eval:TASK")
    manager = _bundled_tasks() if folder is None else _own_tasks(folder)
    _check_name(name, manager, folder or "")
    return _build(name, manager)


def library() -> SimpleNamespace:
    """What is used of lm_eval.

    Raises:
        MissingExtraError: it cannot be imported.
    """
    with needs_extra("lm-eval", "measuring tasks of lm-evaluation-harness"):
        import lm_eval
        from lm_eval.api.task import ConfigurableTask
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    return SimpleNamespace(
        version=lm_eval.__version__,
        ConfigurableTask=ConfigurableTask,
        HFLM=HFLM,
        TaskManager=TaskManager,
    )


@cache
def _bundled_tasks() -> Any:
    """lm-eval's own tasks; reading their thousands of files takes seconds, so it is done once."""
    return library().TaskManager()


def _own_tasks(folder: str) -> Any:
    """The tasks of a folder, without lm-eval's own, which would take seconds to read."""
    return library().TaskManager(include_path=str(Path(folder).expanduser()), include_defaults=False)


def _check_name(name: str, manager: Any, folder: str) -> None:
    if name in manager.all_subtasks:
        return
    if name in manager.all_tasks:
        members = _members(name, manager)
        first, own = members[0] if members else "TASK", f"@{folder}" if folder else ""
        raise DataError(
            f"`{name}` is a group of lm-eval tasks",
            got=f"{len(members)} tasks: {', '.join(members[:12])}{', ...' if len(members) > 12 else ''}",
            expected="one task for each OOD set",
            next_step=f"for example --ood {first}=lm_eval:{first}{own}",
        )
    close = get_close_matches(name, manager.all_subtasks, n=5, cutoff=0.5)
    listing = f"lm_eval:TASK@FOLDER with a task of {folder}" if folder else "one of `lm-eval ls tasks`"
    raise DataError(
        f"lm-eval has no task `{name}`" + (f" in {folder}" if folder else ""),
        expected=f"perhaps {', '.join(close)}" if close else listing,
        next_step="" if folder else "for a task of your own: lm_eval:TASK@FOLDER, where its YAML is",
    )


def _members(name: str, manager: Any, seen: frozenset[str] = frozenset()) -> list[str]:
    """The tasks of a group or tag, through its subgroups; the index differs among lm-eval's versions."""
    entry = manager.task_index.get(name)
    if name in manager.all_subtasks or name in seen or entry is None:
        return [name]
    if isinstance(entry, Mapping):  # before 0.4.12
        listed = entry["task"] if entry["task"] != -1 else manager._get_config(name).get("task")
    else:
        listed = sorted(entry.tags) if name in manager.all_tags else (entry.cfg or {}).get("task")
    children = [
        child if isinstance(child, str) else child.get("task", child.get("group"))
        for child in (listed if isinstance(listed, list) else [])
    ]
    names = [child for child in children if isinstance(child, str)]
    return list(dict.fromkeys(leaf for child in names for leaf in _members(child, manager, seen | {name})))


def _build(name: str, manager: Any) -> Any:
    """Load a task and render its requests, in lm-eval's own way and with its own seeds."""
    try:
        found = manager.load(name)["tasks"] if hasattr(manager, "load") else manager.load_task_or_group(name)
        task = found[name]
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=SEED)
        task.build_all_requests()
    except Exception as error:  # network, a missing data set, or code of the task
        lines = str(error).strip().splitlines() or [""]
        raise DataError(
            f"lm-eval cannot load the task `{name}`",
            got=f"{type(error).__name__}: {lines[0][:300]}",
            next_step="is its data set within reach? Load it once with a network, or mend the task's YAML",
        ) from error
    return task
