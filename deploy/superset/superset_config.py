"""Configuration of a Superset for one person on this machine: everything lies in the folder SUPERSET_HOME."""

import os
from pathlib import Path

from superset.config import TALISMAN_CONFIG

HOME = Path(os.environ["SUPERSET_HOME"])
SECRET_KEY = (HOME / "secret-key").read_text(encoding="utf-8").strip()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME / 'superset.db'}"
RATELIMIT_STORAGE_URI = "memory://"
LOG_LEVEL = "ERROR"

# One process serves: what it keeps in memory needs no server of its own.
_IN_MEMORY = {"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": 200, "CACHE_DEFAULT_TIMEOUT": 86_400}
CACHE_CONFIG = FILTER_STATE_CACHE_CONFIG = EXPLORE_FORM_DATA_CACHE_CONFIG = _IN_MEMORY

# Superset counts page views by a picture from another's server; pages here load nothing but what is here.
TALISMAN_CONFIG["content_security_policy"]["img-src"] = ["'self'", "blob:", "data:"]
