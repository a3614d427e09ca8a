"""Whisper's log-mel spectrogram, over exactly the samples given (no padding to 30 s)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

SAMPLE_RATE = 16_000
N_FFT = 400  # 25 ms
HOP_LENGTH = 160  # 10 ms
N_MELS = 128


def _hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Slaney's scale: linear to 1 kHz, logarithmic above."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1e-9) / 1000) * 27 / np.log(6.4))


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@cache
def mel_filters(sample_rate: int = SAMPLE_RATE, n_fft: int = N_FFT, n_mels: int = N_MELS) -> Tensor:
    """Triangular, area-normalised filters from 0 Hz to half the sample rate: [n_mels, n_fft/2 + 1].

    Source: M. Slaney, Auditory Toolbox (1998), as librosa and Whisper use it.
    """
    bins_hz = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    edges_hz = _mel_to_hz(np.linspace(0, _hz_to_mel(np.array(sample_rate / 2)), n_mels + 2))
    widths = np.diff(edges_hz)
    slopes = edges_hz[:, None] - bins_hz[None, :]
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    return torch.from_numpy(filters.astype(np.float32))


def log_mel(
    samples: Tensor,
    *,
    sample_rate: int = SAMPLE_RATE,
    n_fft: int = N_FFT,
    hop_length: int = HOP_LENGTH,
    n_mels: int = N_MELS,
) -> Tensor:
    """[n_samples] float32 to [n_mels, n_samples // hop_length] float32.

    The floor is 8 below the clip's own maximum, so the mel of a clip is not its pieces' mels
    joined. A clip of n_fft / 2 samples or fewer, over which the reflection cannot be made, and
    one shorter than a hop are padded with silence to n_fft samples.
    """
    if samples.shape[0] <= max(n_fft // 2, hop_length):
        samples = torch.nn.functional.pad(samples, (0, n_fft - samples.shape[0]))
    window = torch.hann_window(n_fft, device=samples.device)
    spectrum = torch.stft(samples, n_fft, hop_length, window=window, center=True, return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    mel = mel_filters(sample_rate, n_fft, n_mels).to(samples.device) @ power
    log = mel.clamp(min=1e-10).log10()
    return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0
