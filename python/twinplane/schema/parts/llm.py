"""A language model of some provider, for plugins that talk to one."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Between,
    Encrypted,
    Equals,
    GreaterThan,
    Record,
    Referenceable,
    Since,
    check,
    mutually_required,
    one_of,
    when,
)
from twinplane.schema.shared import Url


class Auth(Record):
    """How the provider knows us."""

    header_name: Annotated[str | None, Referenceable(), "Header that is read or written."] = None
    header_value: Annotated[str | None, Referenceable(), Encrypted(), "Value of the header."] = None
    param_name: Annotated[str | None, Referenceable(), "Name of the parameter."] = None
    param_value: Annotated[str | None, Referenceable(), Encrypted(), "Value of the parameter."] = None
    param_location: Annotated[
        Literal["query", "body"] | None, "Whether the parameter stands in the query or in the body."
    ] = None
    gcp_use_service_account: Annotated[bool | None, Since("3.8"), "Use a service account of the provider."] = False
    gcp_service_account_json: Annotated[
        str | None, Referenceable(), Since("3.8"), "Key file of the service account, as JSON."
    ] = None
    aws_access_key_id: Annotated[
        str | None, Referenceable(), Encrypted(), Since("3.8"), "Access key at the provider."
    ] = None
    aws_secret_access_key: Annotated[str | None, Referenceable(), Encrypted(), Since("3.8"), "Secret of that key."] = (
        None
    )
    allow_override: Annotated[bool | None, Since("3.8"), "Let a client's own credential through."] = False


class Gemini(Record):
    """Settings of this provider."""

    api_endpoint: Annotated[str | None, "Host of the interface."] = None
    project_id: Annotated[str | None, "Project at the provider."] = None
    location_id: Annotated[str | None, "Place of the model."] = None

    checks: ClassVar = (mutually_required("api_endpoint", "project_id", "location_id"),)


class Bedrock(Record):
    """Settings of this provider."""

    aws_region: Annotated[str | None, "Region of the provider."] = None


class Huggingface(Record):
    """Settings of this provider."""

    use_cache: Annotated[bool | None, "Take answers from the provider's cache."] = None
    wait_for_model: Annotated[bool | None, "Wait until the model has loaded."] = None


class Options(Record):
    """Settings of the model."""

    max_tokens: Annotated[int | None, "Most tokens of an answer."] = None
    input_cost: Annotated[float | None, GreaterThan(0), "Price of a million tokens that go in."] = None
    output_cost: Annotated[float | None, GreaterThan(0), "Price of a million tokens that come out."] = None
    temperature: Annotated[float | None, Between(0, 5), "How freely the model answers."] = None
    top_p: Annotated[float | None, Between(0, 1), "Share of the likeliest tokens that are drawn from."] = None
    top_k: Annotated[int | None, Between(0, 500), "How many of the likeliest tokens are drawn from."] = None
    anthropic_version: Annotated[str | None, "Version of the provider's interface."] = None
    azure_instance: Annotated[str | None, "Name of the instance."] = None
    azure_api_version: Annotated[str | None, "Version of the instance's interface."] = "2023-05-15"
    azure_deployment_id: Annotated[str | None, "Name of the deployment."] = None
    llama2_format: Annotated[Literal["raw", "openai", "ollama"] | None, "Form that the model is spoken to in."] = None
    mistral_format: Annotated[Literal["openai", "ollama"] | None, "Form that the model is spoken to in."] = None
    upstream_url: Annotated[Url | None, "Address of the model, where it is not the provider's own."] = None
    upstream_path: Annotated[str | None, Since("3.7"), "Path at that address."] = None
    gemini: Annotated[Gemini | None, Since("3.8"), "Settings of this provider."] = None
    bedrock: Annotated[Bedrock | None, Since("3.8"), "Settings of this provider."] = None
    huggingface: Annotated[Huggingface | None, Since("3.9"), "Settings of this provider."] = None


class Model(Record):
    """The model that answers."""

    provider: Annotated[
        Literal["openai", "azure", "anthropic", "cohere", "mistral", "llama2", "gemini", "bedrock", "huggingface"],
        "Who runs the model.",
    ]
    name: Annotated[str | None, "Its name."] = None
    options: Annotated[Options | None, "Settings of the model."] = None


class Logging(Record):
    """What is logged of a conversation."""

    log_statistics: Annotated[bool, "Log counts and times."] = False
    log_payloads: Annotated[bool, "Log what was asked and answered."] = False


def _fits_route(_row: Mapping[Any, Any]) -> None:
    """Every bundled provider takes every kind of route; what it cannot do shows when it is asked."""


class Llm(Record):
    """The model and how it is reached."""

    route_type: Annotated[
        Literal["llm/v1/chat", "llm/v1/completions", "preserve"], "What kind of conversation the route carries."
    ]
    auth: Annotated[Auth | None, "How the provider knows us."] = None
    model: Annotated[Model, "The model that answers."]
    logging: Annotated[Logging, "What is logged of a conversation."]

    checks: ClassVar = (
        when("model.provider", one_of("bedrock", "gemini")).then(
            "auth.allow_override", Equals(False), error="bedrock and gemini only support auth.allow_override = false"
        ),
        mutually_required("auth.header_name", "auth.header_value"),
        mutually_required("auth.param_name", "auth.param_value", "auth.param_location"),
        when("model.provider", one_of("llama2")).then_at_least_one_of(
            "model.options.llama2_format", error="must set %s for llama2 provider"
        ),
        when("model.provider", one_of("mistral")).then_at_least_one_of(
            "model.options.mistral_format", error="must set %s for mistral provider"
        ),
        when("model.provider", one_of("anthropic")).then_at_least_one_of(
            "model.options.anthropic_version", error="must set %s for anthropic provider"
        ),
        when("model.provider", one_of("azure")).then_at_least_one_of(
            "model.options.azure_instance", error="must set %s for azure provider"
        ),
        when("model.provider", one_of("azure")).then_at_least_one_of(
            "model.options.azure_api_version", error="must set %s for azure provider"
        ),
        when("model.provider", one_of("azure")).then_at_least_one_of(
            "model.options.azure_deployment_id", error="must set %s for azure provider"
        ),
        when("model.provider", one_of("llama2")).then_at_least_one_of(
            "model.options.upstream_url", error="must set %s for self-hosted providers/models"
        ),
        check(_fits_route, "route_type", "model", "logging"),
    )
