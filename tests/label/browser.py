"""Drives headless Chromium by its debugging pipe: keys, scripts, screenshots."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
# Of the labelling page: a pair, or the end.
SHOWN = "['work', 'done'].some(n => document.getElementById(n)?.hidden === false)"


class Browser:
    """One tab of a browser of its own; what it asks and complains of is kept."""

    def __init__(self, directory: Path) -> None:
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        assert found, "install Chromium, or leave these out with -m 'not browser'"
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        flags = [*FLAGS, f"--user-data-dir={directory}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, found, *flags],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in), os.close(theirs_out)
        self._buffer, self._number = b"", 0
        self.requests, self.complaints = [], []
        targets = self._ask("Target.getTargets", session=None)["targetInfos"]
        (tab,) = [t for t in targets if t["type"] == "page"][:1]
        self._session = None
        attached = self._ask(
            "Target.attachToTarget", targetId=tab["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")

    def open(
        self, url: str, width: int = 1100, height: int = 900, ready: str = SHOWN
    ) -> None:
        """Go to a URL in a window of a size, and wait until an expression is true."""
        mobile = width < 500
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self._ask("Emulation.setDeviceMetricsOverride", **size, mobile=mobile)
        self._ask("Page.navigate", url="about:blank")
        self._ask("Page.navigate", url=url)
        self.until(ready)

    def run(self, script: str):
        """Evaluate an expression in the page."""
        answer = self._ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < end, f"not within {seconds} s: {script}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press and release a key."""
        named = {"Tab": 9, "Enter": 13}
        code = named.get(key, ord(key.upper()[0]))
        text = {} if key == "Tab" else {"text": "\r" if key == "Enter" else key}
        event = {"key": key, "windowsVirtualKeyCode": code}
        self._ask("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def hold(self, key: str, times: int) -> None:
        """Hold a key, so that it comes again and again."""
        event = {"key": key, "text": key, "windowsVirtualKeyCode": ord(key.upper())}
        for n in range(times):
            self._ask(
                "Input.dispatchKeyEvent", type="keyDown", autoRepeat=n > 0, **event
            )
            time.sleep(0.1)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def prefer(self, scheme: str) -> None:
        """Ask pages for light or dark colours."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._ask("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG file."""
        data = self._ask("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def offline(self, value: bool) -> None:
        """Cut the network off, or join it again."""
        none = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._ask("Network.emulateNetworkConditions", offline=value, **none)

    def names(self) -> list:
        """List role and name of what can be focused, as screen readers say them."""
        self._ask("Accessibility.enable")
        nodes = self._ask("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if any(p["name"] == "focusable" for p in node.get("properties", []))
        ]

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait(10)
        os.close(self._to), os.close(self._from)

    def _ask(self, method: str, session="own", **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session is not None and getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _receive(self) -> dict:
        while b"\0" not in self._buffer:
            part = os.read(self._from, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict) -> None:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))
        elif event.get("method") == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
