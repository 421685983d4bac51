"""Functions of constants: SciPy's, which design, describe and find, and refuse Tensors by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import scipy.signal
from scipy.signal import windows

from autodiff.core.dispatch import Box
from autodiff.ops.operands import holds_box, plain
from autodiff.scipy.special.declare import refuse_derivative

__all__ = [
    "argrelextrema",
    "argrelmax",
    "argrelmin",
    "band_stop_obj",
    "bessel",
    "besselap",
    "bilinear",
    "bilinear_zpk",
    "buttap",
    "butter",
    "buttord",
    "cheb1ap",
    "cheb1ord",
    "cheb2ap",
    "cheb2ord",
    "cheby1",
    "cheby2",
    "check_COLA",
    "check_NOLA",
    "chirp",
    "choose_conv_method",
    "correlation_lags",
    "czt_points",
    "ellip",
    "ellipap",
    "ellipord",
    "find_peaks",
    "find_peaks_cwt",
    "findfreqs",
    "firls",
    "firwin",
    "firwin2",
    "gammatone",
    "gausspulse",
    "get_window",
    "iircomb",
    "iirdesign",
    "iirfilter",
    "iirnotch",
    "iirpeak",
    "kaiser_atten",
    "kaiser_beta",
    "kaiserord",
    "lp2bp",
    "lp2bp_zpk",
    "lp2bs",
    "lp2bs_zpk",
    "lp2hp",
    "lp2hp_zpk",
    "lp2lp",
    "lp2lp_zpk",
    "max_len_seq",
    "minimum_phase",
    "normalize",
    "peak_prominences",
    "peak_widths",
    "remez",
    "sawtooth",
    "sos2zpk",
    "square",
    "sweep_poly",
    "tf2sos",
    "tf2zpk",
    "unit_impulse",
    "windows",
    "zpk2sos",
    "zpk2tf",
]


def _plainly(function: str, name: str, value: Any) -> Any:
    """A value without Tensors; those that carry a derivative are refused."""
    if isinstance(value, (list, tuple)):
        return type(value)([_plainly(function, name, item) for item in value])
    if isinstance(value, Box):
        refuse_derivative(function, **{name: value})
        return plain(value, function)
    return value


def _of_constants(name: str) -> Callable[..., Any]:
    known = getattr(scipy.signal, name)
    parameters = list(inspect.signature(known).parameters)

    @functools.wraps(known)
    def function(*args: Any, **options: Any) -> Any:
        if any(holds_box(value) for value in (*args, *options.values())):
            names = [*parameters, *(str(i) for i in range(len(parameters), len(args)))]
            args = tuple(
                _plainly(name, own, value) for own, value in zip(names, args, strict=False)
            )
            options = {own: _plainly(name, own, value) for own, value in options.items()}
        return known(*args, **options)

    return function


band_stop_obj = _of_constants("band_stop_obj")
bessel = _of_constants("bessel")
besselap = _of_constants("besselap")
buttap = _of_constants("buttap")
butter = _of_constants("butter")
buttord = _of_constants("buttord")
cheb1ap = _of_constants("cheb1ap")
cheb1ord = _of_constants("cheb1ord")
cheb2ap = _of_constants("cheb2ap")
cheb2ord = _of_constants("cheb2ord")
cheby1 = _of_constants("cheby1")
cheby2 = _of_constants("cheby2")
ellip = _of_constants("ellip")
ellipap = _of_constants("ellipap")
ellipord = _of_constants("ellipord")
findfreqs = _of_constants("findfreqs")
firls = _of_constants("firls")
firwin = _of_constants("firwin")
firwin2 = _of_constants("firwin2")
gammatone = _of_constants("gammatone")
iircomb = _of_constants("iircomb")
iirdesign = _of_constants("iirdesign")
iirfilter = _of_constants("iirfilter")
iirnotch = _of_constants("iirnotch")
iirpeak = _of_constants("iirpeak")
kaiser_atten = _of_constants("kaiser_atten")
kaiser_beta = _of_constants("kaiser_beta")
kaiserord = _of_constants("kaiserord")
minimum_phase = _of_constants("minimum_phase")
remez = _of_constants("remez")

bilinear = _of_constants("bilinear")
bilinear_zpk = _of_constants("bilinear_zpk")
lp2bp = _of_constants("lp2bp")
lp2bp_zpk = _of_constants("lp2bp_zpk")
lp2bs = _of_constants("lp2bs")
lp2bs_zpk = _of_constants("lp2bs_zpk")
lp2hp = _of_constants("lp2hp")
lp2hp_zpk = _of_constants("lp2hp_zpk")
lp2lp = _of_constants("lp2lp")
lp2lp_zpk = _of_constants("lp2lp_zpk")
normalize = _of_constants("normalize")
sos2zpk = _of_constants("sos2zpk")
tf2sos = _of_constants("tf2sos")
tf2zpk = _of_constants("tf2zpk")
zpk2sos = _of_constants("zpk2sos")
zpk2tf = _of_constants("zpk2tf")

chirp = _of_constants("chirp")
gausspulse = _of_constants("gausspulse")
get_window = _of_constants("get_window")
max_len_seq = _of_constants("max_len_seq")
sawtooth = _of_constants("sawtooth")
square = _of_constants("square")
sweep_poly = _of_constants("sweep_poly")
unit_impulse = _of_constants("unit_impulse")

argrelextrema = _of_constants("argrelextrema")
argrelmax = _of_constants("argrelmax")
argrelmin = _of_constants("argrelmin")
find_peaks = _of_constants("find_peaks")
find_peaks_cwt = _of_constants("find_peaks_cwt")
peak_prominences = _of_constants("peak_prominences")
peak_widths = _of_constants("peak_widths")

check_COLA = _of_constants("check_COLA")
check_NOLA = _of_constants("check_NOLA")
choose_conv_method = _of_constants("choose_conv_method")
correlation_lags = _of_constants("correlation_lags")
czt_points = _of_constants("czt_points")
