"""A small Iceberg REST catalog on loopback, over a SQLite catalog of PyIceberg.

    with RestCatalogServer(folder) as server, HttpFaults(server.url) as faults:
        settings = LakeSettings(catalog="rest", catalog_uri=faults.url)
        faults.answer(503, executed=True, times=1, method="POST", path="/tables/")

    python -m tests.support.rest_catalog --warehouse build/lake --port 8181

What PyIceberg and Iceberg's Java library ask of a catalog in which the tables are ours: namespaces,
create, load, commit, drop. Requirements are checked against the table as it is, and the change is
one UPDATE that names the old metadata file: so of two commits made for one snapshot one gets a 409.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import CommitTableRequest, Table
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

from jobs.local.ports import LOOPBACK

_STATUS: dict[type[Exception], int] = {
    NoSuchNamespaceError: 404,
    NoSuchTableError: 404,
    NamespaceAlreadyExistsError: 409,
    TableAlreadyExistsError: 409,
    CommitFailedException: 409,
    ValidationError: 400,
    NotImplementedError: 406,
}
_UNSAID = {"location": None, "partition-spec": None, "write-order": None}
_SEPARATOR = "\x1f"

Answer = dict[str, Any] | None


class RestCatalogServer:
    """Serves from `__enter__` on. warehouse: folder of its tables and of its own catalog.db."""

    def __init__(self, warehouse: Path, port: int = 0) -> None:
        warehouse.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{warehouse.resolve() / 'catalog.db'}?timeout=30"
        self.catalog = SqlCatalog("rest", uri=uri, warehouse=warehouse.resolve().as_uri())
        self._server = _Server((LOOPBACK, port), self.catalog)
        self._thread = threading.Thread(target=self._serve, name="REST catalog", daemon=True)
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.catalog.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], catalog: SqlCatalog) -> None:
        self.catalog = catalog
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        status, answer = 200, None
        try:
            answer = self._route(body)
        except Exception as error:  # noqa: BLE001 - every failure is an answer
            kind = type(error)
            status = _STATUS.get(kind, 500)
            answer = {"error": {"message": str(error), "type": kind.__name__, "code": status}}
        self._reply(status, answer)

    do_GET = do_HEAD = do_POST = do_DELETE = _handle

    def _route(self, body: dict[str, Any]) -> Answer:
        path = urlsplit(self.path).path
        method = self.command.replace("HEAD", "GET")
        for verb, pattern, action in _ROUTES:
            found = re.fullmatch(pattern, path)
            if verb == method and found:
                names = [tuple(unquote(part).split(_SEPARATOR)) for part in found.groups()]
                return action(self.server.catalog, *names, body=body)
        raise NotImplementedError(f"{self.command} {path}")

    def _reply(self, status: int, answer: Answer) -> None:
        data = b"" if answer is None else json.dumps(answer).encode()
        self.send_response_only(204 if status == 200 and answer is None else status)
        self.send_header("Content-Type", "application/json")
        if data:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


Name = tuple[str, ...]


def _config(catalog: SqlCatalog, *, body: Any) -> Answer:
    return {"defaults": {}, "overrides": {}}


def _list_namespaces(catalog: SqlCatalog, *, body: Any) -> Answer:
    return {"namespaces": [list(name) for name in catalog.list_namespaces()]}


def _create_namespace(catalog: SqlCatalog, *, body: Any) -> Answer:
    catalog.create_namespace(tuple(body["namespace"]), body.get("properties", {}))
    return {"namespace": body["namespace"], "properties": body.get("properties", {})}


def _load_namespace(catalog: SqlCatalog, name: Name, *, body: Any) -> Answer:
    return {"namespace": list(name), "properties": catalog.load_namespace_properties(name)}


def _list_tables(catalog: SqlCatalog, name: Name, *, body: Any) -> Answer:
    found = catalog.list_tables(name)
    return {"identifiers": [{"namespace": list(one[:-1]), "name": one[-1]} for one in found]}


def _create_table(catalog: SqlCatalog, name: Name, *, body: Any) -> Answer:
    request = CreateTableRequest.model_validate(_UNSAID | body)
    if request.stage_create:
        raise NotImplementedError("staged creation")
    made = catalog.create_table(
        (*name, request.name),
        request.table_schema,
        request.location,
        request.partition_spec or UNPARTITIONED_PARTITION_SPEC,
        request.write_order or UNSORTED_SORT_ORDER,
        request.properties,
    )
    return _shown(made)


def _load_table(catalog: SqlCatalog, name: Name, table: Name, *, body: Any) -> Answer:
    return _shown(catalog.load_table((*name, *table)))


def _commit_table(catalog: SqlCatalog, name: Name, table: Name, *, body: Any) -> Answer:
    body["identifier"] = {"namespace": list(name), "name": table[0]}
    request = CommitTableRequest.model_validate(body)
    loaded = catalog.load_table((*name, *table))
    done = catalog.commit_table(loaded, request.requirements, request.updates)
    return {
        "metadata-location": done.metadata_location,
        "metadata": json.loads(done.metadata.model_dump_json()),
    }


def _drop_table(catalog: SqlCatalog, name: Name, table: Name, *, body: Any) -> Answer:
    catalog.drop_table((*name, *table))
    return None


def _take_metrics(catalog: SqlCatalog, name: Name, table: Name, *, body: Any) -> Answer:
    return None


def _shown(table: Table) -> Answer:
    return {
        "metadata-location": table.metadata_location,
        "metadata": json.loads(table.metadata.model_dump_json()),
        "config": {},
    }


_ONE = r"/v1/namespaces/([^/]+)"
_TABLE = rf"{_ONE}/tables/([^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", "/v1/config", _config),
    ("GET", "/v1/namespaces", _list_namespaces),
    ("POST", "/v1/namespaces", _create_namespace),
    ("GET", _ONE, _load_namespace),
    ("GET", f"{_ONE}/tables", _list_tables),
    ("POST", f"{_ONE}/tables", _create_table),
    ("GET", _TABLE, _load_table),
    ("POST", _TABLE, _commit_table),
    ("DELETE", _TABLE, _drop_table),
    ("POST", f"{_TABLE}/metrics", _take_metrics),
]


def main() -> None:
    """Serve until it is interrupted."""
    parser = argparse.ArgumentParser(description="A REST catalog for tests.")
    parser.add_argument("--warehouse", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8181)
    options = parser.parse_args()
    with RestCatalogServer(options.warehouse, options.port) as server:
        print(server.url, flush=True)  # noqa: T201 - whoever started it waits for this line
        threading.Event().wait()


if __name__ == "__main__":
    main()
