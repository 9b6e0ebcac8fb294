"""The small language in which entities and plugin configurations are declared, and what reads it. Never does I/O."""

from twinplane.schema.violations import ENTITY, SchemaViolation

__all__ = ["ENTITY", "SchemaViolation"]
