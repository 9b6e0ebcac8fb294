"""standard-webhooks through a real gateway: its vectors, and the example of its page."""

import base64
import hashlib
import hmac
import time

import pytest
from tests.plugin_cases import VectorCase, check_example, gateway, play, vector_cases

CONFIG = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/]}]
    plugins: [{name: standard-webhooks, config: {secret_v1: plain secret, tolerance_second: 60}}]
"""


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def test_only_a_message_of_our_time_passes() -> None:
    with gateway(CONFIG) as running:
        for shift, status in [(0, 200), (-30, 200), (30, 200), (-120, 400), (120, 400)]:
            at = int(time.time()) + shift
            signature = base64.b64encode(hmac.digest(b"plain secret", f"m1.{at}.x".encode(), hashlib.sha256)).decode()
            answer = running.send(
                f"POST / HTTP/1.1\r\nHost: a\r\nwebhook-id: m1\r\nwebhook-timestamp: {at}\r\n"
                f"webhook-signature: v1,{signature}\r\nContent-Length: 1\r\n\r\nx"
            )
            assert answer.status == status, shift
