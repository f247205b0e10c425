"""Where a field's value stands in the row `p` of `profiles`, and how its parts are quantified.

No statements, only expressions; names of attributes, forms, goals are parameters.
"""

from dataclasses import dataclass

from audience.audiences.fields import Field
from audience.audiences.operators import Quantifier
from audience.audiences.population_sql_elements import ElementSql, Expression, Parameters

_NOTHING = "false"


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value as jsonb (SQL NULL, JSON null and [] are missing), and as text where it is one."""

    json: str
    text: str
    may_be_list: bool

    def is_present(self) -> str:
        """True or false: the profile has the value."""
        return f"({self.json} NOT IN ('null'::jsonb, '[]'::jsonb) IS TRUE)"

    def quantified(self, element: ElementSql, quantifier: Quantifier) -> str:
        """The element's operator on the value's parts; not true (false or NULL) when missing."""
        if element.is_existence:
            return self.is_present()
        if quantifier == "count":
            return self._counted(element)
        if element.text is None:
            return self._number(element)
        if quantifier == "any" and element.equal_json is not None:
            return f"{self.json} @> {element.equal_json()}"
        single = element.text(self.text)
        if not self.may_be_list:
            return f"jsonb_typeof({self.json}) = 'string' AND {single}"
        return (
            f"CASE jsonb_typeof({self.json}) WHEN 'string' THEN {single}"
            f" WHEN 'array' THEN {self._of_list(element.text, quantifier)} ELSE false END"
        )

    def _number(self, element: ElementSql) -> str:
        """A list holds texts only, so every quantifier but count finds a number by itself."""
        if element.equal_json is not None:
            return f"{self.json} = {element.equal_json()}"
        if element.number is None:
            return _NOTHING
        return f"jsonb_typeof({self.json}) = 'number' AND {element.number(self.json)}"

    def _counted(self, element: ElementSql) -> str:
        if element.amount is None:
            return _NOTHING
        return element.amount(
            f"CASE coalesce(jsonb_typeof({self.json}), 'null') WHEN 'null' THEN 0"
            f" WHEN 'array' THEN jsonb_array_length({self.json}) ELSE 1 END"
        )

    def _of_list(self, text: Expression, quantifier: Quantifier) -> str:
        if quantifier in ("first", "last"):
            return text(f"({self.json} ->> {0 if quantifier == 'first' else -1})")
        parts = f"SELECT FROM jsonb_array_elements_text({self.json}) AS part(text) WHERE"
        if quantifier == "any":
            return f"EXISTS ({parts} {text('part.text')})"
        some_fail = f"EXISTS ({parts} ({text('part.text')}) IS NOT TRUE)"
        return f"({self.json} <> '[]'::jsonb AND NOT {some_fail})"


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column that is a time by itself, never NULL."""

    column: str

    def is_present(self) -> str:
        """Always."""
        return f"({self.column} IS NOT NULL)"

    def quantified(self, element: ElementSql, quantifier: Quantifier) -> str:
        """The element's operator on the time, a single value."""
        if element.is_existence:
            return self.is_present()
        if quantifier == "count":
            return _NOTHING if element.amount is None else element.amount("1")
        return _NOTHING if element.moment is None else element.moment(self.column)


def stored_value(field: Field, parameters: Parameters) -> StoredValue | TimeColumn:
    """Where the field's value stands."""
    # Columns come from a fixed list, never from a definition.
    column = f"p.{field.column}"
    if not field.keys:
        if field.kind == "time":
            return TimeColumn(column)
        # A column of lists is never a single text.
        text = "NULL::text" if field.kind == "texts" else column
        return StoredValue(f"to_jsonb({column})", text, field.may_be_list)
    *outer, last = (parameters.add(key, "text") for key in field.keys)
    inside = " -> ".join([column, *outer])
    return StoredValue(f"({inside} -> {last})", f"({inside} ->> {last})", field.may_be_list)
