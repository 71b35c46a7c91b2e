"""What the routes of all dialects share."""

import pytest
from starlette.testclient import TestClient

from service.http.addresses import PREDICTIONS

TEMPLATES = [template for templates in PREDICTIONS.values() for template in templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_dialect_is_read_at_its_paths(client: TestClient, template: str) -> None:
    response = client.post(template.format(model="tiny", version=1), content=b"no prediction in any dialect")

    assert response.status_code == 400, response.text
