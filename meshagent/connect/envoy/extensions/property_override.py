"""`builtin/property-override` at work: fields set and taken away, by Envoy's own descriptors.

A resource is a message in its JSON form, so what is set is written as JSON writes it: a Duration is a text, and a field
of a oneof takes the place of its siblings.

Source: surface row M82; protobuf.dev "ProtoJSON format"; the recorded listener and cluster. What may change here:
nothing that is recorded.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from meshagent.catalog.entries.extensions import fields
from meshagent.catalog.entries.extensions.property_override import Patch, PropertyOverride
from meshagent.connect.envoy import durations
from meshagent.connect.envoy.extensions.context import INBOUND, OUTBOUND, Context
from meshagent.connect.envoy.resources import Resource
from meshagent.errors import BadRequest

__all__ = ["patch"]

_DURATION, _TIMESTAMP = "google.protobuf.Duration", "google.protobuf.Timestamp"


def patch(arguments: PropertyOverride, context: Context) -> None:
    """Raises BadRequest."""
    for one in arguments.patches:
        try:
            steps = fields.steps(one.resource_filter.resource_type, one.path, debug=arguments.debug)
        except fields.BadPath as error:
            raise BadRequest(str(error)) from None
        for resource in _wanted(one, context):
            if one.op == "add":
                _set(resource, steps, one.value)
            else:
                _remove(resource, steps)


# --- which ----------------------------------------------------------------------------------------------------------


def _wanted(one: Patch, context: Context) -> Iterator[Resource]:
    """The resources that a patch is for; endpoints are copied here."""
    chosen, resources = one.resource_filter, context.resources
    services = {service.name for service in chosen.services}
    direction = chosen.traffic_direction
    if chosen.resource_type == "cluster":
        for name, cluster in resources.clusters.items():
            if context.direction_of_cluster(name) == direction and _of(services, context.services_of_cluster(name)):
                yield cluster
    elif chosen.resource_type == "cluster-load-assignment":
        for name, held in list(resources.endpoints.items()):
            if context.direction_of_cluster(name) == direction and _of(services, context.services_of_cluster(name)):
                resources.endpoints[name] = copy.deepcopy(held)
                yield resources.endpoints[name]
    elif chosen.resource_type == "listener":
        for name, listener in resources.listeners.items():
            if context.direction_of_listener(listener) == direction and _of(
                services, context.services_of_listener(name)
            ):
                yield listener
    else:
        yield from _routes(direction, services, context)


def _routes(direction: str, services: set[str], context: Context) -> Iterator[Resource]:
    if direction == OUTBOUND:
        for name, route in context.resources.routes.items():
            if _of(services, context.services_of_route(name)):
                yield route
    for manager in context.managers(direction):
        inside = manager.get("route_config")
        if inside is not None and (
            direction == INBOUND or _of(services, context.services_of_route(inside.get("name", "")))
        ):
            yield inside


def _of(services: set[str], found: set[str]) -> bool:
    return not services or bool(services & found)


# --- what -----------------------------------------------------------------------------------------------------------


def _set(resource: Resource, steps: list[fields.Step], value: Any) -> None:
    for step in steps[:-1]:
        _alone(resource, step)
        inner = resource.get(step.name)
        if not isinstance(inner, dict):
            if inner is not None:
                raise BadRequest(f"the field '{step.name}' is written as {inner!r}: set it as a whole")
            inner = resource[step.name] = {}
        resource = inner
    _alone(resource, steps[-1])
    resource[steps[-1].name] = _written(steps[-1], value)


def _remove(resource: Resource, steps: list[fields.Step]) -> None:
    for step in steps[:-1]:
        inner = resource.get(step.name)
        if not isinstance(inner, dict):
            return
        resource = inner
    resource.pop(steps[-1].name, None)


def _alone(resource: Resource, step: fields.Step) -> None:
    """What cannot be set beside a field is taken away."""
    if step.containing_oneof is not None:
        for other in step.containing_oneof.fields:
            if other.name != step.name:
                resource.pop(other.name, None)


def _written(step: fields.Step, value: Any) -> Any:
    """A value as the JSON form of its field."""
    if not isinstance(value, dict):
        return value
    message = step.message_type
    if message.full_name in (_DURATION, _TIMESTAMP):
        if message.full_name == _TIMESTAMP:
            raise BadRequest(f"unsupported target field type '{_TIMESTAMP}'")
        return durations.of_nanoseconds(int(value.get("seconds", 0)) * 10**9 + int(value.get("nanos", 0)))
    return {name: _written(message.fields_by_name[name], inner) for name, inner in value.items()}
