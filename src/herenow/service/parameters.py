"""Parameters: what a caller may pass in a path, a query or a body, as one typed struct each.

msgspec checks the types and describes them (`Field.schema`), `names` has the rules that no type can say.
Whatever is not named, comes twice, or can't be read is a 400 that names the field and the rule; nothing
is guessed or left out. Knows no route and no store.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from reprlib import repr as shortened
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET, Struct, UnsetType

from herenow.service.problems import ProblemError

Json = dict[str, Any]
MAX_QUERY_PARTS: Final = 600


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field of a struct: its JSON schema, and its rule beyond that."""

    name: str
    schema: Json
    required: bool
    kind: Any
    check: Callable[[Any], Any] | None
    rule: str

    @property
    def about(self) -> str:
        """What it is."""
        return str(self.schema.get("description", self.name))

    @property
    def most(self) -> int:
        """How often it comes in a query."""
        return int(self.schema["maxItems"]) if self.schema.get("type") == "array" else 1

    def read(self, value: Any) -> Any:
        """Check a value of its type; a 400 that names the field and the rule."""
        try:
            return value if self.check is None else self.check(value)
        except (ValueError, ArithmeticError) as error:
            raise ProblemError(400, f"{self.name}: {error}") from None

    def allows(self, value: Any) -> bool:
        """Whether a value is of its type."""
        try:
            msgspec.convert(value, self.kind)
        except (msgspec.ValidationError, ValueError):
            return False
        return True


def struct_of(
    name: str, parameters: Sequence[inspect.Parameter], *, null: bool
) -> type[Struct] | None:
    """Make the struct of a function's parameters, or None of none. ``null``: whether None is a value."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for one in parameters:
        if one.default is one.empty:
            fields.append((one.name, one.annotation))
        elif one.default is None and not null:
            fields.append((one.name, get_args(one.annotation)[0] | UnsetType, UNSET))
        else:
            fields.append((one.name, one.annotation, one.default))
    return msgspec.defstruct(name, fields, kw_only=True) if fields else None


@cache
def fields_of(struct: type[Struct] | None) -> tuple[Field, ...]:
    """Take a struct apart; none for None."""
    if struct is None:
        return ()
    schemas = schemas_of([struct])[struct.__name__]["properties"]
    hints = get_type_hints(struct, include_extras=True)
    found = []
    for one in msgspec.structs.fields(struct):
        schema, extra = schemas[one.name], _extra(hints[one.name])
        rule = extra.get("rule") or _rule(schema)
        found.append(
            Field(one.name, schema, one.required, hints[one.name], extra.get("check"), rule)
        )
    return tuple(found)


def schemas_of(structs: Iterable[type]) -> dict[str, Json]:
    """Describe types, and those that they are made of, by name."""
    return msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")[1]


def _extra(hint: Any) -> Json:
    """Gather what the annotations of a type, or of a union's parts, say beside its schema."""
    if get_origin(hint) in (list, tuple, dict):
        return {}
    if get_origin(hint) is not Annotated:
        return {key: each for one in get_args(hint) for key, each in _extra(one).items()}
    inner, *metas = get_args(hint)
    found = _extra(inner)
    for one in metas:
        found |= {key: each for key, each in (one.extra or {}).items() if each is not None}
    return found


def _rule(schema: Mapping[str, Any]) -> str:
    """Put a schema into words: "a whole number from 1 to 1000"."""
    if "anyOf" in schema:
        return " or ".join(map(_rule, schema["anyOf"]))
    if "enum" in schema:
        return f"one of {', '.join('null' if one is None else one for one in schema['enum'])}"
    match schema.get("type"):
        case "integer" if "maximum" in schema:
            return f"a whole number from {schema['minimum']} to {schema['maximum']}"
        case "array":
            return f"a list of {schema.get('minItems', 0)} to {schema['maxItems']}"
        case other:
            return _WORDS[other]


_WORDS: Final[Mapping[Any, str]] = {
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a JSON object",
    "string": "a string",
}


# ------------------------------------------------------------ how they come


def decode(raw: str) -> str:
    """Undo the percent-encoding of one part of a path or query; a 400 where that is no UTF-8."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise ProblemError(
            400, f"names must be percent-encoded UTF-8; got {shortened(raw)}"
        ) from None


def read_query(raw: bytes, struct: type[Struct] | None) -> dict[str, Any]:
    """Read a query."""
    fields = fields_of(struct)
    parts = [one for one in raw.decode("latin-1").split("&") if one]
    if len(parts) > MAX_QUERY_PARTS:
        raise ProblemError(400, f"a query has at most {MAX_QUERY_PARTS} parts")
    found: dict[str, list[str]] = {}
    for part in parts:
        name, _, value = part.partition("=")
        found.setdefault(decode(name.replace("+", " ")), []).append(decode(value.replace("+", " ")))
    _refuse_unknown(found, fields, "query parameter")
    if struct is None:
        return {}
    values: dict[str, Any] = {}
    for one in fields:
        given = found.get(one.name)
        if given is None:
            continue
        if len(given) > one.most:
            times = "once" if one.most == 1 else f"{one.most} times"
            raise ProblemError(400, f"{one.name} comes at most {times}")
        values[one.name] = given if one.most > 1 else _scalar(one, given[0])
    return _read(values, struct)


_NUMBER: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?", re.IGNORECASE)


def _scalar(field: Field, text: str) -> Any:
    """Take text for what its field is: a number, a flag, else text."""
    kind = field.schema.get("type")
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "integer" and text.isascii() and text.isdecimal() and len(text) <= 12:  # noqa: PLR2004 - and no more digits than are surely too many
        return int(text)
    if kind == "number" and _NUMBER.fullmatch(text):
        return float(text)
    return text


def read_body(raw: bytes, struct: type[Struct]) -> dict[str, Any]:
    """Read a body: a JSON object; none at all is an empty one."""
    try:
        found = json.loads(raw, parse_constant=_no_constant) if raw.strip() else {}
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise ProblemError(400, f"the body must be JSON in UTF-8; got {shortened(raw)}") from None
    if not isinstance(found, dict):
        raise ProblemError(400, f"the body must be a JSON object; got {shortened(found)}")
    return read_object(found, struct, "member of the body")


def read_object(found: Mapping[str, Any], struct: type[Struct], what: str) -> dict[str, Any]:
    """Read an object of JSON."""
    _refuse_unknown(found, fields_of(struct), what)
    return _read(found, struct)


def _read(found: Mapping[str, Any], struct: type[Struct]) -> dict[str, Any]:
    """Read the fields of a struct, by their types and then by their own rules; None for what is unset."""
    fields = fields_of(struct)
    try:
        whole = msgspec.convert(found, struct)
    except (msgspec.ValidationError, ValueError):
        raise _refusal(found, fields) from None
    values = {}
    for one in fields:
        value = getattr(whole, one.name)
        if one.name in found:
            value = one.read(value)
        values[one.name] = None if value is UNSET else value
    return values


def _refusal(found: Mapping[str, Any], fields: Sequence[Field]) -> ProblemError:
    """Say which field is missing, or of another type."""
    for one in fields:
        if one.name not in found:
            if one.required:
                return ProblemError(400, f"{one.name} is missing: {one.about}")
        elif not one.allows(found[one.name]):
            got = shortened(found[one.name])
            return ProblemError(400, f"{one.name} must be {one.rule}; got {got}")
    return ProblemError(400, "the values are not of their types")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_unknown(found: Iterable[str], known: Sequence[Field], what: str) -> None:
    allowed = [one.name for one in known]
    unknown = [one for one in found if one not in allowed]
    if unknown:
        there = f": there are {', '.join(allowed)}" if allowed else ", for there is none"
        raise ProblemError(400, f"no {what} {unknown[0][:80]!a}{there}")
