"""The description of the API: valid, and every operation described on its own."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings

Schema = dict[str, Any]

KEYWORDS = {
    # JSON Schema, draft 2020-12
    *("$ref", "title", "description", "default", "examples", "type", "enum", "const", "format", "contentMediaType"),
    *("allOf", "anyOf", "oneOf", "not", "properties", "required", "additionalProperties", "items", "prefixItems"),
    *("minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "multipleOf"),
    *("exclusiveMinimum", "exclusiveMaximum", "propertyNames"),
    # OpenAPI 3.1
    *("discriminator", "readOnly"),
}


@pytest.fixture(scope="module")
def described(client: TestClient) -> Schema:
    return dict(client.get("/openapi.json").json())


def test_the_document_is_made_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/openapi.json")
    monkeypatch.setattr(client.app, "openapi", lambda: {"made": "again"}, raising=False)

    assert client.get("/openapi.json").content == first.content
    assert first.headers["content-type"] == "application/json"


def operations(described: Schema) -> Iterator[tuple[str, Schema]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def schemas(described: Schema) -> Iterator[tuple[str, Schema]]:
    """Every schema object with its place."""
    for name, schema in described["components"]["schemas"].items():
        yield from inside(name, schema)
    for name, operation in operations(described):
        for parameter in operation.get("parameters", ()):
            yield from inside(f"{name} {parameter['name']}", parameter["schema"])
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media_type, content in body.get("content", {}).items():
                yield from inside(f"{name} {media_type}", content.get("schema"))


def inside(place: str, schema: Any) -> Iterator[tuple[str, Schema]]:
    """A schema object and all that it has inside."""
    if not isinstance(schema, dict):  # true and false are schemas as well
        return
    yield place, schema
    parts = {keyword: schema.get(keyword) for keyword in ("items", "additionalProperties", "not")}
    for keyword in ("allOf", "anyOf", "oneOf", "prefixItems"):
        parts |= {f"{keyword}[{index}]": part for index, part in enumerate(schema.get(keyword, ()))}
    for name, part in (parts | schema.get("properties", {})).items():
        yield from inside(f"{place}.{name}", part)


def test_the_document_is_valid(described: Schema) -> None:
    assert described["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(described).validate()
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


@pytest.mark.parametrize("change", [{"openapi": 3}, {"info": {"title": "no version"}}])
def test_what_is_no_openapi_is_found(described: Schema, change: Schema) -> None:
    assert list(OpenAPIV31SpecValidator(described | change).iter_errors())


def test_an_invalid_document_is_found(described: Schema) -> None:
    broken = described | {"info": {"title": "no version"}}

    with pytest.raises(Exception, match="version"):
        schemathesis.openapi.from_dict(broken).validate()


def test_schemas_have_only_keywords_of_json_schema(described: Schema) -> None:
    unknown = {place: set(schema) - KEYWORDS for place, schema in schemas(described) if set(schema) - KEYWORDS}

    assert unknown == {}


def test_names_are_plain(described: Schema) -> None:
    names = [name for kind in described["components"].values() for name in kind]

    assert [name for name in names if not re.fullmatch("[A-Za-z_]+", name) or "__" in name] == []


def test_operations_have_an_id_a_summary_and_a_description_of_their_own(described: Schema) -> None:
    for name, operation in operations(described):
        assert re.fullmatch("[a-z_]+", operation["operationId"]), name
        assert operation["summary"], name
        assert operation.get("description"), f"{name} has no description"
    for field in ("operationId", "summary"):
        counts = Counter(operation[field] for _, operation in operations(described))
        assert [value for value, count in counts.items() if count > 1] == []


def test_every_success_has_a_schema(described: Schema) -> None:
    for name, operation in operations(described):
        for status, response in operation["responses"].items():
            contents = response.get("content", {})
            assert contents, f"{name} {status} has no content"
            for media_type, content in contents.items():
                assert content.get("schema"), f"{name} {status} {media_type} has no schema"


def test_tags_are_described(described: Schema) -> None:
    used = {tag for _, operation in operations(described) for tag in operation["tags"]}

    assert used == {tag["name"] for tag in described["tags"]}
    assert all(tag["description"] for tag in described["tags"])


def test_refused_credentials_are_described(described: Schema) -> None:
    for name, operation in operations(described):
        schemes = {scheme for requirement in operation.get("security", ()) for scheme in requirement}
        statuses = {status for status in ("401", "403") if status in operation["responses"]}
        assert statuses == {"api_key": {"401"}, "admin_token": {"401", "403"}}.get("".join(schemes), set()), name


def test_the_server_makes_the_document_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty: Schema = {"paths": {}, "components": {"schemas": {}}}

    def described(*, is_prepared: bool) -> bytes:
        app = create_app(Settings(repository=tmp_path / "repository"))
        if is_prepared:
            app.framework.prepare()
        monkeypatch.setattr(app.framework.build(), "openapi", lambda: {**empty, "info": "made when asked for"})
        return TestClient(app).get("/openapi.json").content

    assert b"when asked for" in described(is_prepared=False)
    assert b"when asked for" not in described(is_prepared=True)
