"""Every caller's request gets the answer that it reads, byte for byte of its JSON."""

import json
from pathlib import Path

import pytest

from tests.serve.stubs import Tenth, lengths_model

CASES = json.loads((Path(__file__).parent / "golden" / "wire.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["says"] for case in CASES])
def test_a_request_gets_the_answer_that_its_caller_reads(serve, case):
    """Status and JSON as kept; identifiers and times are any."""
    models = {"reward": lengths_model(), "short": lengths_model(head=Tenth(-1.0))}
    client = serve(models if case["models"] == "two" else models["reward"])
    response = client.post(case["route"], json=case["request"])
    answer = response.json()
    if isinstance(answer, dict):
        for name, expected in case["answer"].items():
            if expected == "*":
                assert answer[name]
                answer[name] = "*"
    assert (response.status_code, answer) == (case["status"], case["answer"])


def test_every_documented_example_works(client):
    """Each route's example in the OpenAPI description is answered with 200."""
    paths = client.get("/openapi.json").json()["paths"]
    statuses = {}
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method == "post":
                body = operation["requestBody"]["content"]["application/json"]
                response = client.post(path, json=body["example"])
            else:
                response = client.get(path)
            statuses[path] = response.status_code
    assert len(statuses) >= 18
    assert set(statuses.values()) == {200}
