"""Components that are sent to workers by value, because the workers cannot import their module."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ray import cloudpickle


def send_by_value(module: ModuleType) -> None:
    """Send the classes and functions of a module by value from now on, such as those of a study in a file."""
    cloudpickle.register_pickle_by_value(module)


def as_sent(component: Any) -> Any:
    """Return a component as a worker receives it if its module is sent by value."""
    module = sys.modules[type(component).__module__]
    send_by_value(module)
    try:
        return cloudpickle.loads(cloudpickle.dumps(component))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
