"""A lean HTTP client for load: keep-alive connections, closed or open loop.

Run as a process of its own; reads a job as JSON on stdin and writes what it measured.
The requests are bytes, so that the client costs little beside the server.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path


class Connection(asyncio.Protocol):
    """Sends one request at a time, and tells its status."""

    def __init__(self):
        self.buffer, self.answer, self.transport = bytearray(), None, None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _):
        if self.answer and not self.answer.done():
            self.answer.set_result(0)

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(self.buffer) >= end + 4 + length:
            del self.buffer[: end + 4 + length]
            if not self.answer.done():
                self.answer.set_result(int(head[9:12]))

    async def ask(self, request):
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


async def connect(port):
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(Connection, "127.0.0.1", port)
    return made


async def closed_loop(port, requests, n_connections, n_requests):
    """Each connection asks again as soon as it is answered."""
    statuses, times, left = Counter(), [], n_requests

    async def work(connection):
        nonlocal left
        while left > 0:
            left -= 1
            request = requests[left % len(requests)]
            started = time.perf_counter()
            status = await connection.ask(request)
            times.append(time.perf_counter() - started)
            statuses[status] += 1
            if status == 0:
                connection = await connect(port)

    connections = [await connect(port) for _ in range(n_connections)]
    started = time.perf_counter()
    await asyncio.gather(*map(work, connections))
    return report(statuses, {200: times}, time.perf_counter() - started)


async def open_loop(port, requests, rate, seconds):
    """Requests start at their times, whether earlier ones are answered or not."""
    statuses, times, idle, tasks = Counter(), {}, [], set()

    async def work(request):
        connection = idle.pop() if idle else await connect(port)
        started = time.perf_counter()
        status = await connection.ask(request)
        times.setdefault(status, []).append(time.perf_counter() - started)
        statuses[status] += 1
        if status:
            idle.append(connection)

    started = time.perf_counter()
    for n in range(int(rate * seconds)):
        wait = started + n / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(work(requests[n % len(requests)]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return report(statuses, times, time.perf_counter() - started)


def report(statuses, times, seconds):
    good = sorted(times.get(200, []))
    return {
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "seconds": seconds,
        "requests_per_second": sum(statuses.values()) / seconds,
        "p50_ms": quantile(good, 0.5),
        "p99_ms": quantile(good, 0.99),
    }


def quantile(ordered, q):
    return (
        1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))]
        if ordered
        else None
    )


def main():
    job = json.load(sys.stdin)
    requests = [one.encode() for one in json.loads(Path(job["requests"]).read_text())]
    if "rate" in job:
        work = open_loop(job["port"], requests, job["rate"], job["seconds"])
    else:
        work = closed_loop(job["port"], requests, job["connections"], job["n"])
    try:
        import uvloop

        done = uvloop.run(work)
    except ImportError:
        done = asyncio.run(work)
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    main()
