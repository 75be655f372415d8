"""Fixtures that all rooms share."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# First of all: how the threads of OpenMP wait is decided when torch loads it.
import embrm  # noqa: F401

# A busy machine may take its time over an example; that says nothing of the code.
settings.register_profile("embrm", deadline=None)
settings.load_profile("embrm")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Directory of real data: EMBRM_SHARED_DATA, or ../shared/data beside us."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    directory = Path(os.environ.get("EMBRM_SHARED_DATA", default))
    assert directory.is_dir(), f"the real data should be in {directory}"
    return directory


@pytest.fixture
def running() -> Iterator[Callable[..., str]]:
    """Serve ASGI apps in threads; each call returns a URL."""
    import uvicorn

    with ExitStack() as stack:

        def start(app: Any, **options: Any) -> str:
            sock = socket.create_server(("127.0.0.1", 0))
            config = uvicorn.Config(
                app,
                **{"ws": "none", "log_config": None, "access_log": False, **options},
            )
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, args=([sock],))
            thread.start()

            def stop() -> None:
                server.should_exit = True
                thread.join(20)
                sock.close()
                assert not thread.is_alive()

            stack.callback(stop)
            while not server.started:
                time.sleep(0.01)
            return f"http://127.0.0.1:{sock.getsockname()[1]}"

        yield start


@pytest.fixture(scope="session")
def ray_cluster() -> Callable[..., AbstractContextManager[Any]]:
    """Start Ray with a head and workers, join it, and stop it in the end."""

    @contextmanager
    def start(head: dict[str, int], workers: list[dict[str, int]]) -> Iterator[Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
            # Or Ray replaces the built-in print for the rest of the process.
            patch.setenv("RAY_TQDM_PATCH_PRINT", "0")
            import ray
            from ray.cluster_utils import Cluster

            cluster = Cluster(
                initialize_head=True,
                head_node_args={"include_dashboard": False, **head},
            )
            try:
                cluster.workers = [cluster.add_node(**node) for node in workers]
                cluster.wait_for_nodes()
                # Ray starts itself anew where a pool of an earlier run, collected
                # late, speaks to it.
                ray.shutdown()
                ray.init(
                    cluster.address, log_to_driver=False, logging_level=logging.ERROR
                )
                yield cluster
            finally:
                ray.shutdown()
                cluster.shutdown()

    return start
