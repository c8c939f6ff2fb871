"""What keeps data beside a local stack: the archive of events, and InfluxDB with its publisher."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from jobs.local import influxdb
from jobs.local.influxdb import InfluxDb
from jobs.local.paths import ROOT
from jobs.local.stack import Stack

BUCKET = "rollups"


class Storage:
    """Everything stops with the stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.influxdb: InfluxDb | None = None

    def start(self, commit_every_s: int) -> None:
        """Start archive_events and, where there is a server, InfluxDB and publish_rollups."""
        self._run("archive_events", "--commit-every-s", str(commit_every_s))
        if influxdb.program() is None:
            return
        folder = self._stack.folder / "influxdb"
        self.influxdb = InfluxDb(folder, run=self._stack.folder)
        self.influxdb.start()
        policy = self._policy(folder, self.influxdb)
        self._run("publish_rollups", "--policy", str(policy))

    def archived(self) -> tuple[int, int]:
        """Minutes of gateways, and readings in them, that table chunks holds."""
        import pyarrow.compute as pc  # these take seconds, which nobody else is to wait for

        from jobs.lake.catalog import open_catalog
        from jobs.lake.tables import CHUNKS, load_table

        with open_catalog(self._stack.lake) as catalog:
            chunks = load_table(catalog, self._stack.lake, CHUNKS)
            rows = chunks.scan(selected_fields=("readings",)).to_arrow()
        return len(rows), pc.sum(rows["readings"]).as_py() or 0

    def points(self) -> int:
        """Points of sensors that InfluxDB holds: the shipped policy gives each a mean or a last."""
        if self.influxdb is None:
            return 0
        query = (
            f'from(bucket: "{BUCKET}") |> range(start: 0) |> filter(fn: (r) => '
            'r._measurement == "rollup" and (r._field == "mean" or r._field == "last")) '
            "|> group() |> count()"
        )
        with self.influxdb.client() as client:
            tables = client.query_api().query(query)
        return sum(record.get_value() for table in tables for record in table.records)

    def _policy(self, folder: Path, server: InfluxDb) -> Path:
        """The shipped policy with this server's address and token."""
        token = folder / f"{BUCKET}.token"
        token.touch(mode=0o600)
        token.write_text(server.make_bucket(BUCKET).get_secret_value())
        found = yaml.safe_load((ROOT / "flink-conf" / "influx.yaml").read_text())
        group = {"name": "all", "facilities": ["*"], "bucket": BUCKET, "token_file": str(token)}
        found |= {"url": server.url, "org": server.org, "groups": [group]}
        path = folder / "influx.yaml"
        path.write_text(yaml.safe_dump(found))
        return path

    def _run(self, job: str, *args: str) -> None:
        command = [sys.executable, "-m", f"jobs.{job}", *args]
        self._stack.spawn(job.replace("_", "-"), command, self._stack.job_environment)
