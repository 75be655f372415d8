"""Random requests on all routes: no 5xx, no silence, health answers throughout."""

from embrm.serve.app import create_app
from embrm.serve.settings import Settings
from embrm.web import Bounds
from embrm.web.serving import BoundedConnection
from tests.serve.fuzzing import fuzz
from tests.serve.stubs import lengths_model


def test_random_requests_get_an_answer_that_says_why(running):
    """Three hundred of them; the benchmark sends ten thousand."""
    bounds = Bounds(body_bytes=2**20, header_seconds=0.5, body_seconds=0.5)
    app = create_app(lengths_model(), Settings({}, bounds=bounds))
    url = running(app, http=BoundedConnection, proxy_headers=False)
    done = fuzz(int(url.rpartition(":")[2]), 300)
    bad = {"five_hundreds", "hangs", "untyped_errors", "unhealthy"}
    assert {name: done[name] for name in bad} == dict.fromkeys(bad, 0), done
    assert {"200", "400", "404", "405", "422"} <= set(done["statuses"]), done
