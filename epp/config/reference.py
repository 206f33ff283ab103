"""The configuration reference in Markdown, made from the schema, the flags and the list of plugins.

`python -m epp.config.reference > docs/configuration.md` writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from epp.config.fields import Section
from epp.config.flag_table import FLAGS
from epp.config.schema import Schema, config_schema, parameters_schema
from epp.config.sections import EppSection
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES

__all__ = ["reference_text"]

_INTRODUCTION = """\
# Configuration

One YAML or JSON file, given with `--config-file` (or `--config-text`), in the format of the Go endpoint picker:
`kind: EndpointPickerConfig`. A file of the Go picker works here; what is not here is warned about at the start, with
what happens instead, and makes `epp check` exit with 2. Everything that this picker adds lies under the key `epp`.
Without any file requests are placed by `least-work-cost`, and all that must be given are endpoints, by flags.

- Precedence: flag, then `epp`, then parameters of the Go picker's plugins, then the environment (NAMESPACE, POD_NAME),
  then the default. A value that loses is warned about.
- Strict: unknown keys, wrong types, unknown plugins and references to nothing are errors, all reported at once with
  file, line and column. A key with nothing after it counts as not written. No YAML tags, no merge keys.
- Durations are written as in Go (`500ms`, `2s`, `1m30s`), or as a number of seconds; those of flags have a unit, as
  in Go. Sizes are written `256MiB`, `1Gi`, `10MB`, or as a number of bytes.
- The file is read again when it changes, and at SIGHUP. What a section says takes effect at once or at the next start,
  as noted below. A file with errors changes nothing.

This page is made from the code: `python -m epp.config.reference`. The JSON schema for editors is
`epp/config/schema.json`.

```yaml
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
epp:
  endpoints: {static: ["10.0.0.1:8000", "10.0.0.2:8000"]}
```
"""

_PROFILES = """\
Filters run in the order in which a profile names them, then either weighted scorers or one cost, then a picker. Without
a picker it is `max-score-picker` with scorers and `rendezvous-picker` with a cost. One profile is used: `default`, else
`decode`, else the first. Without profiles all plugins that are listed make one.
"""

_OWN = """\
A class of your own is named by its import path, `type: mypkg.policies:Cheapest`, or by an entry point of the group
`epp.plugins`. Its parameters are the arguments of its constructor, in camelCase or as in Python, and have their types.
"""


def reference_text() -> str:
    """The whole page."""
    schema = config_schema()
    definitions: Schema = schema["$defs"]
    parts: list[Iterable[str]] = [
        [_INTRODUCTION, "## Keys of the file\n", _PROFILES],
        _table(_TITLES, _rows(schema, definitions, skip=("epp",))),
        _epp(definitions),
        ["## Plugins\n", _OWN],
        _plugins(),
        ["## What is always on\n", "Entries of these types are accepted; what they configure is here, too.\n"],
        _table(("type", "parameters", "here"), _roles()),
        ["## What is not here\n"],
        _table(("types", "what happens instead"), _absent()),
        ["## Flags\n"],
        _table(("flag", "value", "key", "description"), _flags()),
    ]
    return "\n".join(line for part in parts for line in part)


_TITLES = ("key", "type", "default", "description")


def _epp(definitions: Schema) -> Iterator[str]:
    yield "## Keys under `epp`\n"
    for name, field in EppSection.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Section)
        part = section.takes_effect
        yield f"### `{name}`\n\n{_sentence(section.__doc__ or '')}"
        yield f"A change of the file takes effect {'at once' if part else 'at the next start'}.\n"
        yield f"```yaml\nepp:\n{_indented(section.example)}\n```\n"
        yield from _table(_TITLES, _rows(definitions[section.__name__], definitions))


def _rows(schema: Schema, definitions: Schema, above: str = "", skip: Sequence[str] = ()) -> Iterator[tuple[str, ...]]:
    """A row for each key, and for the keys of mappings below it."""
    for key, described in schema.get("properties", {}).items():
        if key in skip:
            continue
        inner, suffix = _mapping_below(described, definitions)
        text = described.get("description", "") or (inner or {}).get("description", "")
        default = "required" if key in schema.get("required", ()) else _default(described)
        yield f"`{above}{key}`", _type(described, definitions), default, _cell(text)
        if inner:
            yield from _rows(inner, definitions, f"{above}{key}{suffix}.")


def _mapping_below(described: Schema, definitions: Schema) -> tuple[Schema | None, str]:
    """The mapping that a key holds, and how its place is written: itself, one item of a list, one value of a map."""
    for option in (described, *described.get("anyOf", ())):
        if "$ref" in option or "properties" in option:
            return definitions[option["$ref"].rpartition("/")[2]] if "$ref" in option else option, ""
        for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
            below = option.get(keyword)
            if isinstance(below, dict) and ("$ref" in below or "properties" in below):
                return definitions[below["$ref"].rpartition("/")[2]] if "$ref" in below else below, suffix
    return None, ""


def _type(described: Schema, definitions: Schema) -> str:
    """The type of a value in words, with what is allowed."""
    if "anyOf" in described:
        options = dict.fromkeys(_type(option, definitions) for option in described["anyOf"])
        return " or ".join(option for option in options if option != "nothing")
    if "$ref" in described:
        return _type(definitions[described["$ref"].rpartition("/")[2]], definitions)
    if "x-unit" in described:
        bounds = described.get("x-range", "")
        return f"{described['x-unit']}, {bounds}" if bounds else str(described["x-unit"])
    if "enum" in described or "const" in described:
        return " or ".join(f"`{value}`" for value in described.get("enum", [described.get("const")]))
    words = {"string": "text", "boolean": "true or false", "array": "list", "object": "mapping", "null": "nothing"}
    kind = str(described.get("type", "any"))
    if kind in ("integer", "number"):
        return ("whole number" if kind == "integer" else "number") + _bounds(described)
    if kind == "array" and "items" in described:
        return f"list of {_type(described['items'], definitions)}"
    return words.get(kind, kind)


def _bounds(described: Schema) -> str:
    low, high = (described.get(end) for end in ("minimum", "maximum"))
    if low is None:
        return ""
    return f", from {_number(low)}" if high is None else f", {_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else str(value)


def _default(described: Schema) -> str:
    default = described.get("default")
    return "" if default is None else f"`{json.dumps(default)}`"


def _plugins() -> Iterator[str]:
    for name, plugin in sorted(BUILT_IN.items()):
        kinds = " and ".join(sorted(kind.name.lower() for kind in plugin.kinds))
        old = f"; an old name of `{plugin.replaced_by}`" if plugin.replaced_by else ""
        yield f"### `{name}`\n\nA {kinds}{old}.\n"
        rows = list(_rows(parameters_schema(name), {}))
        yield from _table(("parameter", *_TITLES[1:]), rows) if rows else ["No parameters.\n"]


def _roles() -> Iterator[tuple[str, ...]]:
    for name, role in sorted(BUILT_IN_ROLES.items()):
        keys = ", ".join(f"`{key}`" for key in parameters_schema(name).get("properties", {}))
        yield f"`{name}`", keys, role.note + (f"; write `{role.replaced_by}`" if role.replaced_by else "")


def _absent() -> Iterator[tuple[str, ...]]:
    """A row for each sentence, with all types that it is about."""
    for sentence in dict.fromkeys(ABSENT.values()):
        yield ", ".join(f"`{name}`" for name, instead in ABSENT.items() if instead == sentence), sentence


def _flags() -> Iterator[tuple[str, ...]]:
    for name, flag in FLAGS.items():
        keys = ", ".join(f"`{'.'.join(path)}`" for path in flag.paths)
        yield f"`-v`, `--{name}`" if name == "v" else f"`--{name}`", _cell(flag.kind.value), keys, _cell(flag.help)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.stdout.write(reference_text())
