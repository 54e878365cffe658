"""Import law that import-linter does not check: no cycle among files, imports for type checking included."""

import graphlib

import grimp
import pytest

PACKAGES = ("harness", "baselines", "sweeps", "reports", "meds_bench", "docs")


def test_no_file_imports_itself_through_others():
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imported) > 200
    graphlib.TopologicalSorter(imported).prepare()  # raises CycleError with the cycle


def test_the_check_finds_a_cycle():
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
