"""Holds requests against the types that the makers of the APIs publish for Python.

usage: published_types.py FOLDER API < requests

FOLDER is where the packages are installed, API one of `responses`, `compact`, `chat`, `messages` and `gemini`, and the requests are
the bodies, one a line. Prints what does not fit and ends with 1 if anything does not.
"""

import collections.abc
import importlib
import json
import sys
import types
import typing

sys.path.insert(0, sys.argv[1])

import typing_extensions  # noqa: E402
from pydantic import BaseModel, TypeAdapter, ValidationError  # noqa: E402


SEEN = set()


def is_answer(hint):
    """Whether a type is one of answers, which some requests take too. Those allow any key."""
    if typing_extensions.get_origin(hint) in (types.UnionType, typing.Union, typing.Annotated):
        return is_answer(typing_extensions.get_args(hint)[0])
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def strict(hint):
    """The same type, but its dictionaries refuse keys that they do not know, and it has lists for iterables, of which
    pydantic would not look at the elements."""
    if typing_extensions.is_typeddict(hint):
        if hint not in SEEN:
            SEEN.add(hint)
            hint.__pydantic_config__ = {"extra": "forbid", "arbitrary_types_allowed": True}
            hints = typing_extensions.get_type_hints(hint, include_extras=True)
            hint.__annotations__ = {key: strict(of_key) for key, of_key in hints.items()}
        return hint
    origin, arguments = typing_extensions.get_origin(hint), typing_extensions.get_args(hint)
    if origin is None or origin is typing.Literal:
        return hint
    if origin is typing.Annotated:
        return typing.Annotated[(strict(arguments[0]), *arguments[1:])]
    arguments = tuple(strict(argument) for argument in arguments if not is_answer(argument))
    if origin is collections.abc.Iterable:
        return list[arguments]
    if origin in (types.UnionType, typing.Union):
        return typing.Union[arguments]
    return origin[arguments if len(arguments) > 1 else arguments[0]]


def as_answered(body):
    """Fills in what the type of an answer of the model wants where it stands in a request, and the API does not."""
    for item in body.get("input", []):
        if isinstance(item, dict) and item.get("role") == "assistant":
            item.setdefault("id", "msg_1")
            item.setdefault("status", "completed")
            for part in item["content"]:
                part.setdefault("annotations", [])
    return body


def of_dictionary(module, name):
    kind = getattr(importlib.import_module(module), name)
    return TypeAdapter(strict(kind)).validate_python


def gemini():
    kinds = importlib.import_module("google.genai.types")
    fields = {
        "contents": list[kinds.Content],
        "systemInstruction": kinds.Content,
        "tools": list[kinds.Tool],
        "toolConfig": kinds.ToolConfig,
        "generationConfig": kinds.GenerationConfig,
    }
    adapters = {name: TypeAdapter(kind) for name, kind in fields.items()}

    def check(body):
        for name, value in body.items():
            if name not in adapters:
                raise ValueError(f"`{name}` is no field of a request")
            adapters[name].validate_python(value)

    return check


CHECKS = {
    "responses": lambda: of_dictionary(
        "openai.types.responses.response_create_params", "ResponseCreateParamsStreaming"
    ),
    "compact": lambda: of_dictionary("openai.types.responses.response_compact_params", "ResponseCompactParams"),
    "chat": lambda: of_dictionary(
        "openai.types.chat.completion_create_params", "CompletionCreateParamsStreaming"
    ),
    "messages": lambda: of_dictionary("anthropic.types.message_create_params", "MessageCreateParamsStreaming"),
    "gemini": gemini,
}


def told(error):
    """What is wrong, at each place what the type says that is nearest: of a union each member complains."""
    if not isinstance(error, ValidationError):
        return [str(error)]
    places = {}
    for one in error.errors():
        where = one["loc"]
        end = next((at + 1 for at, part in enumerate(where) if isinstance(part, int)), len(where))
        member = where[end] if end < len(where) else ""
        said = f"{'.'.join(str(part)[:40] for part in where)}: {one['msg']}: {str(one['input'])[:200]}"
        is_other = where[-1] in ("type", "role") and one["type"] == "literal_error"
        places.setdefault(where[:end], {}).setdefault(member, []).append((is_other, said))

    def distance(complaints):
        return any(is_other for is_other, _ in complaints), len(complaints)

    return [said for members in places.values() for _, said in min(members.values(), key=distance)]


def main():
    check = CHECKS[sys.argv[2]]()
    count, wrong = 0, 0
    for line in sys.stdin:
        count += 1
        try:
            check(as_answered(json.loads(line)))
        except (ValidationError, ValueError) as error:
            wrong += 1
            for line in told(error):
                print(f"request {count}: {line}")
    print(f"{count} requests, {wrong} wrong")
    sys.exit(1 if wrong or not count else 0)


main()
