"""Consumers: who calls, and the groups they may belong to."""

from typing import Annotated, ClassVar

from twinplane.schema import Entity, Reference, References, Unique, at_least_one_of
from twinplane.schema.shared import AutoId, CreatedAt, Tags, Text, ToConsumer, UpdatedAt


class Consumer(Entity, collection="consumers", endpoint_key="username"):
    """Someone or something that calls the gateway."""

    id: AutoId = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    username: Annotated[Text | None, Unique(), "Name of the consumer."] = None
    custom_id: Annotated[Text | None, Unique(), "Id of the consumer in a system of yours."] = None
    tags: Tags = None

    checks: ClassVar = (at_least_one_of("custom_id", "username"),)


class ConsumerGroup(Entity, collection="consumer_groups", endpoint_key="name", edition="ee", since="2.7"):
    """Consumers that plugins treat alike."""

    id: AutoId = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    name: Annotated[Text, Unique(), "Name of the group."]
    tags: Tags = None


class ConsumerGroupConsumer(
    Entity,
    collection="consumer_group_consumers",
    cache_key=("consumer_group", "consumer"),
    edition="ee",
    since="2.7",
):
    """Membership of a consumer in a group."""

    id: AutoId = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    consumer_group: Annotated[Reference, References("consumer_groups", on_delete="cascade"), "The group."]
    consumer: Annotated[ToConsumer, "The member."]
    tags: Tags = None
