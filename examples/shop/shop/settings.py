"""Where things are, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


def _database() -> Path:
    return Path(os.environ.get("SHOP_DATABASE", "shop.sqlite3"))


def _rates_url() -> str:
    return os.environ.get("RATES_URL", "http://127.0.0.1:8001")


@dataclass(frozen=True)
class Settings:
    """Read once, when the application is made."""

    database: Path = field(default_factory=_database)
    rates_url: str = field(default_factory=_rates_url)
    connections: int = 5
