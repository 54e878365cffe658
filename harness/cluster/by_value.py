"""Components as Ray sends them to workers, and by value to workers that cannot import their module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ray import cloudpickle


def send_by_value(module: ModuleType) -> None:
    """Send the classes and functions of a module by value from now on, such as those of a study in a file."""
    cloudpickle.register_pickle_by_value(module)


def as_sent(component: Any) -> Any:
    """Return a component as a worker receives it that can import its module."""
    return cloudpickle.loads(cloudpickle.dumps(component))


def as_sent_by_value(component: Any) -> Any:
    """Return a component as a worker receives it if its module is sent by value."""
    module = sys.modules[type(component).__module__]
    send_by_value(module)
    try:
        with _kept_classes(module):
            return as_sent(component)
    finally:
        cloudpickle.unregister_pickle_by_value(module)


@contextmanager
def _kept_classes(module: ModuleType) -> Iterator[None]:
    """Give the classes of a module their attributes back after the block.

    In the process that pickled a class, loading it by value replaces the attributes of this very class by copies.
    """
    own = [each for each in vars(module).values() if isinstance(each, type)]
    before = {each: dict(vars(each)) for each in own if each.__module__ == module.__name__}
    try:
        yield
    finally:
        for each, attributes in before.items():
            for name, value in attributes.items():
                if vars(each).get(name) is not value:
                    setattr(each, name, value)
