"""Many definitions evaluated at once: those that neither time nor other audiences play a part in.

Pure: standard library only. Audiences of an app mostly look at the same few values, and often ask
the same of them. So each distinct condition is a bit of a whole number, the bits of a value are
worked out once per value and remembered, and a group is a few operations on bits. It says the same
as `evaluate.py`, which the property tests compare (measured with 100 definitions of 5 conditions:
48 us one by one, 11 us so).
"""

from collections.abc import Callable, Sequence
from typing import Any

from audience.audiences.condition_values import CompilePattern
from audience.audiences.definition import Definition, Leaf, Node
from audience.audiences.element_tests import ElementTest
from audience.audiences.leaf_tests import Context, compile_value_test, reader
from audience.audiences.operators import POSITIVE_OF, TIME_OPERATORS
from audience.profiles.profile import Profile

#: Values remembered per field, and how long a text may be to be remembered.
_MAX_VALUES, _MAX_CHARACTERS = 2048, 64
_MAX_ELEMENTS = 8
_WORD_BITS = 30
_WORD_MASK = (1 << _WORD_BITS) - 1
_REMEMBERED = frozenset((str, int, float, type(None)))


def is_static(definition: Definition) -> bool:
    """Whether a definition's answer depends on the profile alone."""
    return all(
        leaf.audience_id is None
        and POSITIVE_OF.get(leaf.operator, leaf.operator) not in TIME_OPERATORS
        for leaf in definition.leaves()
    )


class _Source:
    """A field with the conditions on it."""

    def __init__(self, leaf: Leaf) -> None:
        self.attribute = leaf.name if leaf.field.field_type == "attributes" else None
        self.read = reader(leaf.field)
        self.tests: list[tuple[int, ElementTest]] = []
        self._remembered: dict[Any, int] = {}

    def bits_of(self, value: Any) -> int:
        """The bits of the conditions that the value satisfies."""
        kind = value.__class__
        if kind in _REMEMBERED:
            key = value
        elif kind is list and self.attribute is not None and len(value) <= _MAX_ELEMENTS:
            # Lists of attributes hold texts only; a text is never taken for a list of one.
            key = tuple(value)
        else:
            return self._test(value)
        bits = self._remembered.get(key)
        if bits is None:
            bits = self._test(value)
            if _is_short(key):
                if len(self._remembered) >= _MAX_VALUES:
                    self._remembered.clear()
                self._remembered[key] = bits
        return bits

    def _test(self, value: Any) -> int:
        bits = 0
        for bit, test in self.tests:
            if test(value):
                bits |= bit
        return bits


def _is_short(key: Any) -> bool:
    """Whether a value may be remembered: not where it takes much room."""
    if key.__class__ is str:
        return len(key) <= _MAX_CHARACTERS
    return key.__class__ is not tuple or sum(map(len, key)) <= _MAX_CHARACTERS


class StaticRules:
    """Static definitions of an app; the one at position n is bit n of an answer.

    asks_attributes_only: no answer depends on anything else of a profile.
    """

    def __init__(self, definitions: Sequence[Definition], compile_pattern: CompilePattern) -> None:
        """definitions: each of them `is_static`."""
        self._leaf_bits: dict[Leaf, int] = {}
        self._sources: dict[tuple[str, tuple[str, ...]], _Source] = {}
        self._compile_pattern = compile_pattern
        self.attribute_names: set[str] = set()
        expressions = [self._expression(found.root) for found in definitions]
        self._combine = _combination(expressions, len(self._leaf_bits))
        sources = self._sources.values()
        self._attributes = [
            (source.attribute, source.bits_of) for source in sources if source.attribute is not None
        ]
        self._others = [source for source in sources if source.attribute is None]
        self.asks_attributes_only = not self._others

    def matches(self, profile: Profile, context: Context) -> int:
        """The definitions that the profile matches, as bits."""
        bits = 0
        get = profile.attributes.get
        for name, bits_of in self._attributes:
            bits |= bits_of(get(name))
        for source in self._others:
            bits |= source.bits_of(source.read(profile, context))
        return self._combine(bits)

    def _expression(self, node: Node) -> str:
        """The node as an expression over words of bits; nothing of the definition is in it."""
        if isinstance(node, Leaf):
            word, bit = divmod(self._bit(node).bit_length() - 1, _WORD_BITS)
            return f"b{word} & {1 << bit}"
        parts = [f"({self._expression(child)})" for child in node.conditions]
        return f"not {parts[0]}" if node.operator == "not" else f" {node.operator} ".join(parts)

    def _bit(self, leaf: Leaf) -> int:
        bit = self._leaf_bits.get(leaf)
        if bit is None:
            bit = self._leaf_bits[leaf] = 1 << len(self._leaf_bits)
            place = (leaf.field.column, leaf.field.keys)
            source = self._sources.setdefault(place, _Source(leaf))
            source.tests.append((bit, compile_value_test(leaf, self._compile_pattern)))
            if source.attribute is not None:
                self.attribute_names.add(source.attribute)
        return bit


def _combination(expressions: Sequence[str], leaf_count: int) -> Callable[[int], int]:
    """A function from the bits of conditions to the bits of definitions.

    Made of whole numbers and operators only, as Python code: calling a closure per group would
    take three times as long. The bits are cut into words, as long numbers are slow.
    """
    words = range((leaf_count + _WORD_BITS - 1) // _WORD_BITS)
    lines = ["def combine(b):", " m = 0"]
    lines += [f" b{word} = b >> {word * _WORD_BITS} & {_WORD_MASK}" for word in words]
    lines += [
        f" if {expression}: m |= {1 << position}" for position, expression in enumerate(expressions)
    ]
    made: dict[str, Any] = {}
    exec("\n".join([*lines, " return m"]), {}, made)  # noqa: S102 - see above
    combine: Callable[[int], int] = made["combine"]
    return combine
