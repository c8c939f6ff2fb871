"""Features of vibration: what a window of samples says about a machine, in a few numbers.

x are the n samples less their mean (so gravity or a sensor's offset is not vibration), fs the
sampling rate:

    rms       sqrt(mean(x^2))                      ISO 20816-1 (severity is judged by it)
    peak      max |x|
    crest     peak / rms                           sine: sqrt(2); rises with first bearing damage
    kurtosis  mean(x^4) / mean(x^2)^2              sine: 1.5, noise: 3; Dyer and Stewart 1978,
                                                   "Detection of rolling element bearing damage"
    band      sum of 2 |X_k|^2 / (n sum(w^2))      over lo <= k fs/n < hi, X = FFT of w x, w a Hann
                                                   window; Heinzel, Ruediger and Schilling 2002,
                                                   "Spectrum and spectral density estimation by the
                                                   DFT", section 9

The energy of a band is a mean square, in the unit squared: by Parseval's theorem, bands that cover
everything sum up to rms^2 (to a few percent for a signal whose strength changes in the window).
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from edge.block import Floats
from edge.filters.settings import FeatureSettings
from edge.registry import Sensor

_DERIVED = re.compile(r"(.+)\.(rms|peak|crest|kurtosis|band-[0-9.]+-[0-9.]+)")


def features(samples: Floats, period_s: float, bands_hz: tuple[tuple[float, float], ...]) -> Floats:
    """rms, peak, crest, kurtosis and the energy of each band, of m windows at once.

    Args: samples: shape (m, n), in the sensor's unit. period_s: time between two samples.
    Returns: shape (m, 4 + bands). Crest and kurtosis of a constant signal are NaN.
    """
    x = samples - samples.mean(axis=1, keepdims=True)
    square = x * x
    mean_square = square.mean(axis=1)
    rms, peak = np.sqrt(mean_square), np.abs(x).max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        crest = peak / rms
        kurtosis = (square * square).mean(axis=1) / mean_square**2
    energy = _energies(x, period_s, bands_hz)
    return np.column_stack([rms, peak, crest, kurtosis, *energy])


def _energies(
    x: Floats, period_s: float, bands_hz: tuple[tuple[float, float], ...]
) -> list[Floats]:
    if not bands_hz:
        return []
    n = x.shape[1]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    power = np.abs(np.fft.rfft(x * window, axis=1)) ** 2 / (n * max(float(window @ window), 1e-300))
    # each frequency but 0 and half the sampling rate stands for its negative twin, too
    power[:, 1 : (n + 1) // 2] *= 2
    frequency = np.fft.rfftfreq(n, period_s)
    return [power[:, (frequency >= low) & (frequency < high)].sum(axis=1) for low, high in bands_hz]


def derived(sensor: Sensor, settings: FeatureSettings, period_ms: int) -> list[Sensor]:
    """The sensors of a sensor's features, in the order of `features`.

    Crest and kurtosis have no unit and no kind, so that no rule on vibration takes them for one.
    """
    most = float(np.nanmax(np.abs([sensor.low, sensor.high])))
    same = replace(sensor, low=0.0, high=most, period_ms=period_ms)
    bare = replace(same, unit="1", kind="", high=np.inf)
    square = f"({sensor.unit})2" if sensor.unit else ""
    bands = [
        replace(bare, name=f"{sensor.name}.band-{low:g}-{high:g}", unit=square)
        for low, high in settings.bands_hz
    ]
    return [
        replace(same, name=f"{sensor.name}.rms"),
        replace(same, name=f"{sensor.name}.peak", high=2 * most),
        replace(bare, name=f"{sensor.name}.crest"),
        replace(bare, name=f"{sensor.name}.kurtosis"),
        *bands,
    ]


def source_name(name: str) -> str | None:
    """Name of the sensor whose feature this would be the name of; None for another name."""
    found = _DERIVED.fullmatch(name)
    return found.group(1) if found else None
