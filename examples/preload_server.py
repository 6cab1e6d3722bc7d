#!/usr/bin/env python3
"""A web server that loads its data first and forks its workers then, as gunicorn does with `--preload`.

The table lives in the parent as plain Python objects. Frozen before the fork, it stays one copy however many workers
answer from it. This program starts the workers, asks them as often as told, prints how much memory the family has and
what the workers copied, and ends them. With gunicorn the call stands in the module that holds the application, with
`preload_app = True`, or in the hook `when_ready`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import os
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass

import onecopy

MIB = 2**20
PATIENCE_S = 60


@dataclass
class Product:
    """A row of the table that the workers answer from."""

    name: str
    price: int
    stock: int


def load(count: int) -> dict[str, Product]:
    """Stands for reading a database."""
    return {f"sku-{index:07}": Product(f"product {index}", index + 1000, index % 900 + 300) for index in range(count)}


TABLE: dict[str, Product] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers `/sku-0000001` with the row, and `/total` after a look at every row."""

    def do_GET(self) -> None:
        """Looks the row up."""
        key = self.path.removeprefix("/")
        if key == "total":
            answer: object = sum(product.price * product.stock for product in TABLE.values())
        else:
            product = TABLE.get(key)
            answer = asdict(product) if product else None
        body = json.dumps({"pid": os.getpid(), "answer": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Writes no log."""


def serve(listening: socket.socket) -> None:
    """A worker: takes connections from the socket that it inherited."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.serve_forever()


def start(listening: socket.socket, count: int) -> list[int]:
    """Forks the workers."""
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                serve(listening)
            finally:
                os._exit(1)
        pids.append(pid)
    return pids


def ask(port: int, path: str) -> dict[str, object]:
    """One request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer: dict[str, object] = json.loads(connection.getresponse().read())
        return answer


def ask_everyone(port: int, pids: list[int]) -> set[object]:
    """Asks for the total until every worker has answered; returns the answers."""
    waiting, answers = set(pids), set()
    until = time.monotonic() + PATIENCE_S
    while waiting:
        if time.monotonic() > until:
            raise TimeoutError(f"no answer from {waiting}")
        answer = ask(port, "/total")
        answers.add(answer["answer"])
        waiting.discard(int(str(answer["pid"])))
    return answers


def main() -> int:
    """Loads, freezes, forks, asks, reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--plain", action="store_true", help="do not freeze")
    options = parser.parse_args()
    TABLE.update(load(options.rows))
    supported, reason = onecopy.freeze_supported()
    if supported and not options.plain:
        print(onecopy.freeze(TABLE))
    else:
        print(f"not frozen{': ' + reason if reason else ''}")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        pids = start(listening, options.workers)
        try:
            row = ask(port, "/sku-0000001")["answer"]
            totals = ask_everyone(port, pids)
            report = onecopy.memory()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
    parent = next(process for process in report.processes if process.pid == os.getpid())
    print(f"row: {row}; total: {totals}")
    print(
        f"{options.workers} workers and their parent: {(report.sum_pss or 0) / MIB:.0f} MiB (Σ PSS); "
        f"the parent sees {(parent.rss or 0) / MIB:.0f} MiB"
    )
    return 0 if len(totals) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
