"""The definition of an audience: a tree of groups and conditions, parsed and checked.

Pure: standard library only. What the conditions mean is in `evaluate.py` and `population_sql.py`.
Source: issue "Audiences", Definitions; decision 9.

Group: {"operator": "and"|"or"|"not", "conditions": [...]}, `not` has one child.
Leaf: {"condition_type": "profile", "field_type", "name", "value_selector"?,
"condition": {"operator", "value"?}}.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audience.audiences.condition_values import (
    CompilePattern,
    ConditionValue,
    parse_text,
    parse_value,
    refuse,
    shown,
    value_document,
)
from audience.audiences.fields import FIELD_TYPES, Field, expected_names, find_field
from audience.audiences.operators import (
    EXISTENCE_OPERATORS,
    EXISTENCE_SELECTORS,
    NUMBER_OPERATORS,
    OPERATORS_OF_KIND,
    VALUE_SELECTORS,
    Kind,
)
from audience.uuid_text import parse_uuid

#: Groups inside groups; a condition is no level of its own.
MAX_LEVELS = 6
MAX_LEAVES = 50
MAX_NAME_CHARACTERS = 255
GROUP_OPERATORS = ("and", "or", "not")
_GROUP_MEMBERS = ("operator", "conditions")
_LEAF_MEMBERS = ("condition_type", "field_type", "name", "value_selector", "condition")
_CONDITION_MEMBERS = ("operator", "value")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition. value_selector: None when the definition leaves it out (any)."""

    field: Field
    name: str
    value_selector: str | None
    operator: str
    value: ConditionValue = None

    @property
    def audience_id(self) -> str | None:
        """The audience that a condition of field type `audiences` asks about, else None."""
        return self.name.lower() if self.field.kind == "membership" else None


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions put together by `operator`: and, or, not (one condition)."""

    operator: str
    conditions: tuple["Node", ...]


Node = Leaf | Group


@dataclass(frozen=True, slots=True)
class Definition:
    """A checked definition; `root` may be a lone leaf."""

    root: Node

    def leaves(self) -> Iterator[Leaf]:
        """Every condition, in the order of the document."""
        pending = [self.root]
        while pending:
            node = pending.pop()
            if isinstance(node, Leaf):
                yield node
            else:
                pending.extend(reversed(node.conditions))


def parse_definition(
    raw: object, compile_pattern: CompilePattern, path: str = "definition"
) -> Definition:
    """The definition that JSON stands for; `definition_document` gives the same JSON back.

    Limits: 6 levels of groups, 50 leaves; sizes of values in `condition_values.py`. Names of
    attributes and consent types need not exist.
    Errors: Invalid with the JSON path of the node at fault, e.g.
    `definition.conditions[1].condition.operator`.
    """
    parser = _Parser(compile_pattern)
    return Definition(parser.parse_node(raw, path, 1))


class _Parser:
    def __init__(self, compile_pattern: CompilePattern) -> None:
        self._compile_pattern = compile_pattern
        self._leaves = 0

    def parse_node(self, raw: object, path: str, level: int) -> Node:
        if not isinstance(raw, dict):
            refuse(path, "must be an object: a group of conditions or a condition")
        if "conditions" in raw or "operator" in raw:
            return self._parse_group(raw, path, level)
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            refuse(path, f"is one condition too many: at most {MAX_LEAVES} are allowed")
        return self._parse_leaf(raw, path)

    def _parse_group(self, raw: dict[str, Any], path: str, level: int) -> Group:
        _check_members(raw, _GROUP_MEMBERS, path)
        if level > MAX_LEVELS:
            refuse(path, f"is a group too deep: at most {MAX_LEVELS} levels are allowed")
        operator = _one_of(raw.get("operator"), GROUP_OPERATORS, f"{path}.operator")
        conditions = raw.get("conditions")
        if not isinstance(conditions, list) or not conditions:
            refuse(f"{path}.conditions", "must be a list of at least one condition or group")
        if operator == "not" and len(conditions) != 1:
            refuse(f"{path}.conditions", f"has {len(conditions)} entries: `not` takes exactly one")
        return Group(
            operator,
            tuple(
                self.parse_node(child, f"{path}.conditions[{position}]", level + 1)
                for position, child in enumerate(conditions)
            ),
        )

    def _parse_leaf(self, raw: dict[str, Any], path: str) -> Leaf:
        _check_members(raw, _LEAF_MEMBERS, path)
        _one_of(raw.get("condition_type"), ("profile",), f"{path}.condition_type")
        field_type = _one_of(raw.get("field_type"), FIELD_TYPES, f"{path}.field_type")
        name = parse_text(raw.get("name"), f"{path}.name", MAX_NAME_CHARACTERS)
        if field_type == "audiences":
            parse_uuid(name, f"{path}.name")
        field = find_field(field_type, name)
        if field is None:
            expected = expected_names(field_type)
            refuse(f"{path}.name", f"is {shown(name)}: expected {expected} for {field_type}")
        selector = None
        if "value_selector" in raw:
            allowed = ("any",) if field.kind == "membership" else VALUE_SELECTORS
            selector = _one_of(raw["value_selector"], allowed, f"{path}.value_selector")
        operator, value = self._parse_condition(raw.get("condition"), path, field, selector)
        return Leaf(field, name, selector, operator, value)

    def _parse_condition(
        self, raw: object, path: str, field: Field, selector: str | None
    ) -> tuple[str, ConditionValue]:
        where = f"{path}.condition"
        if not isinstance(raw, dict):
            refuse(where, "must be an object {operator, value}")
        _check_members(raw, _CONDITION_MEMBERS, where)
        kind: Kind = "number" if selector == "count" else field.kind
        allowed = NUMBER_OPERATORS if selector == "count" else OPERATORS_OF_KIND[kind]
        operator = _one_of(raw.get("operator"), allowed, f"{where}.operator")
        if operator in EXISTENCE_OPERATORS:
            if selector not in (None, *EXISTENCE_SELECTORS):
                refuse(f"{path}.value_selector", f"does not go with the operator {operator}")
            if "value" in raw:
                refuse(f"{where}.value", f"must be left out: the operator {operator} takes none")
            return operator, None
        if "value" not in raw:
            refuse(f"{where}.value", f"is required for the operator {operator}")
        return operator, parse_value(
            operator, kind, raw["value"], f"{where}.value", self._compile_pattern
        )


def definition_document(definition: Definition) -> dict[str, Any]:
    """The JSON the definition was parsed from."""
    return node_document(definition.root)


def node_document(node: Node) -> dict[str, Any]:
    """The JSON of one node."""
    if isinstance(node, Group):
        children = [node_document(child) for child in node.conditions]
        return {"operator": node.operator, "conditions": children}
    condition: dict[str, Any] = {"operator": node.operator}
    if node.operator not in EXISTENCE_OPERATORS:
        condition["value"] = value_document(node.value)
    document: dict[str, Any] = {
        "condition_type": "profile",
        "field_type": node.field.field_type,
        "name": node.name,
    }
    if node.value_selector is not None:
        document["value_selector"] = node.value_selector
    return document | {"condition": condition}


def _one_of(raw: object, allowed: tuple[str, ...], path: str) -> str:
    if raw is None:
        refuse(path, f"is required: expected one of {', '.join(allowed)}")
    if not isinstance(raw, str) or raw not in allowed:
        refuse(path, f"is {shown(raw)}: expected one of {', '.join(allowed)}")
    return raw


def _check_members(raw: dict[str, Any], known: tuple[str, ...], path: str) -> None:
    for member in raw:
        if member not in known:
            refuse(path, f"has the member {shown(member)}: expected {', '.join(known)}")
