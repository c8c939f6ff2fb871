import numpy as np

from udfs.archive.chunk import collect, decode, encode
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total


def test_round_trip():
    parts = [
        Batch(
            "f",
            "g",
            1,
            k,
            60_000 + k * 1000,
            np.arange(3) + k / 100,
            offset_ms=np.array([0, k, 2], np.int32),
            traceparent="x" * k,
        )
        for k in range(4)
    ]
    chunk = collect("f", "g", 60_000, 1, True, 0, parts)
    back = decode(encode(chunk))
    assert back.value.tobytes() == chunk.value.tobytes()
    assert back.sensor.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert back.fingerprint() == total(*map(fingerprint, parts))
    assert back.batches.traceparent == ("", "x", "xx", "xxx")
