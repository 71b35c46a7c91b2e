"""Print the types of requests, responses and events as TypeScript, from the service's own schema.

`tsc` checks the page against them, so that a field that is renamed here and not there is an error.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic.json_schema import models_json_schema
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.watching.alarms.alarm import Alarm
from service.watching.alarms.traffic import Traffic

EVENTS = {"statistics": Traffic, "drift": Alarm}
"""Models of the server-sent events, which OpenAPI does not describe."""

Schema = dict[str, Any]


def main() -> None:
    """Print the schemas, then the responses and request bodies of each operation, and the events."""
    with TemporaryDirectory() as folder:
        settings = Settings(repository=Path(folder), log_level="warning")
        document = TestClient(create_app(settings), "http://localhost").get("/openapi.json").json()
    events, definitions = models_json_schema(
        [(model, "serialization") for model in EVENTS.values()], ref_template="#/components/schemas/{model}"
    )
    schemas = document["components"]["schemas"] | definitions.get("$defs", {})
    responses: dict[str, Schema] = {}
    bodies: dict[str, Schema] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            for status, response in operation["responses"].items():
                if status == "202":  # of a change that is still pending: `Schemas.Pending`, whatever the change
                    continue
                if status.startswith("2") and (body := _json_schema(response)):
                    responses[name] = body
            if body := _json_schema(operation.get("requestBody", {})):
                bodies[name] = body
    writer = Writer(None)
    print(writer.interface("Schemas", schemas))
    print(writer.interface("Responses", responses))
    print(writer.interface("Events", {name: events[model, "serialization"] for name, model in EVENTS.items()}))
    print(Writer(schemas).interface("RequestBodies", bodies))


def _json_schema(content: Schema) -> Schema | None:
    schema: Schema | None = content.get("content", {}).get("application/json", {}).get("schema")
    return schema


class Writer:
    """Writes JSON schemas as TypeScript.

    Args:
        schemas: written in place of references, for requests: fields with a default may be left out. None for
            responses, which have all fields and refer to `Schemas`.
    """

    def __init__(self, schemas: dict[str, Schema] | None) -> None:
        self._schemas = schemas

    def interface(self, name: str, members: dict[str, Schema]) -> str:
        """An interface with a member for each schema."""
        lines = [f"  {json.dumps(key)}: {self.type(schema)};" for key, schema in members.items()]
        return "\n".join([f"export interface {name} {{", *lines, "}"])

    def type(self, schema: Schema) -> str:  # noqa: PLR0911 - one for each kind of schema
        """The type of a schema."""
        match schema:
            case {"$ref": str(reference)}:
                name = reference.rpartition("/")[2]
                return f"Schemas[{json.dumps(name)}]" if self._schemas is None else self.type(self._schemas[name])
            case {"const": value}:
                return json.dumps(value)
            case {"enum": values}:
                return " | ".join(map(json.dumps, values))
            case {"anyOf": options} | {"oneOf": options}:
                return " | ".join(dict.fromkeys(self.type(option) for option in options))
            case {"type": "array"}:
                return f"Array<{self.type(schema.get('items', {}))}>"
            case {"properties": properties}:
                required = properties if self._schemas is None else schema.get("required", ())
                fields = (
                    f"{json.dumps(name)}{'' if name in required else '?'}: {self.type(field)}"
                    for name, field in properties.items()
                )
                return f"{{ {'; '.join(fields)} }}"
            case {"type": "object"}:
                return f"Record<string, {self.type(schema.get('additionalProperties') or {})}>"
            case {"type": "integer" | "number"}:
                return "number"
            case {"type": "string" | "boolean" | "null" as name}:
                return str(name)
        return "unknown"


if __name__ == "__main__":
    main()
