"""ip-restriction through a real gateway: its vectors, and the example of its page."""

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases

from twinplane import _dataplane  # noqa: TID251  # what a node refuses is told by its core


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_a_status_that_no_answer_has_is_refused_with_the_configuration() -> None:
    config = """
    _format_version: "3.0"
    plugins: [{name: ip-restriction, id: 4f1c2b9e-55f0-4b0e-8f5e-3a3f3d3f4b11, config: {deny: ["::1"], status: 99.5}}]
    """
    with pytest.raises(_dataplane.ApplyError, match=r"4f1c2b9e.*config\.status: 99\.5"), gateway(config):
        pass
