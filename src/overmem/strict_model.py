"""What people write, as pydantic models: an unknown key is an error, and every error names its field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Strict(BaseModel):
    """What people write: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def wrong_fields(error: ValidationError) -> str:
    """What pydantic found wrong, each field by its path."""
    problems = error.errors()
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or '(top)'}: {p['msg']}" for p in problems)
