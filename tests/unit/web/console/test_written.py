"""Entities as text to take away: nothing in them is a secret, nor stands for one as if it were a value."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import yaml

from twinplane.control.masking import MASK
from twinplane.registry import entity_types
from twinplane.web.console.entities.written import FORMS, HIDDEN, written

SECRET = "planted-secret"
KEY = ("keyauth_credentials", {"id": "1", "consumer": {"id": "2"}, "key": SECRET})
PLUGIN = ("plugins", {"id": "1", "name": "aws-lambda", "config": {"aws_key": SECRET, "aws_region": "us-east-1"}})
CHAIN = ("filter_chains", {"id": "1", "filters": [{"name": "a", "config": {"api_key": SECRET, "1_token": SECRET}}]})


def _written(form: str, collection: str, row: dict[str, Any]) -> str:
    return written(form, entity_types()[collection], row, control_plane_id="c", api="https://us.api.example")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("collection", "row"), [KEY, PLUGIN, CHAIN])
def test_no_form_holds_a_secret_or_a_stand_in(form: str, collection: str, row: dict[str, Any]) -> None:
    text = _written(form, collection, row)
    for word in (SECRET, MASK, HIDDEN, "\ue000", "\\ue000", "…", "\\u2026"):
        assert word not in text


def test_json_leaves_secrets_out_and_calls_name_variables() -> None:
    assert json.loads(_written("JSON", *KEY)) == {"id": "1", "consumer": {"id": "2"}}
    assert json.loads(_written("JSON", *PLUGIN))["config"] == {"aws_region": "us-east-1"}
    assert _written("curl", *KEY).endswith("""-d '{"key": "'"$SECRET_KEY"'"}'""")
    assert "'\"$SECRET_CONFIG_AWS_KEY\"'" in _written("curl", *PLUGIN)
    body = json.loads(shlex.split(_written("curl", *KEY).replace("$SECRET_KEY", "mine"))[-1])
    assert body == {"key": "mine"}
    assert _written("curl", "services", {"id": "1", "host": "h"}).startswith("curl -X PUT")


def test_deck_and_terraform_name_variables() -> None:
    (found,) = yaml.safe_load(_written("decK", *KEY))["keyauth_credentials"]
    assert found["key"] == '${{ env "DECK_KEY" }}'
    (found,) = yaml.safe_load(_written("decK", *PLUGIN))["plugins"]
    assert found["config"] == {"aws_key": '${{ env "DECK_CONFIG_AWS_KEY" }}', "aws_region": "us-east-1"}
    assert "  key = var.key\n" in _written("Terraform", *KEY)
    assert "    aws_key = var.config_aws_key\n" in _written("Terraform", *PLUGIN)
