"""MuJoCo's classes live in compiled modules without stubs: every attribute is `Any`."""

from typing import Any

def __getattr__(name: str) -> Any: ...
