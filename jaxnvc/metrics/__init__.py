"""How good and how small: PSNR, MS-SSIM and BD-rate.

Each name here is a function, and hides the module of the same name; constants and
the parts on arrays are imported as `from jaxnvc.metrics.psnr import ...`.
"""

from jaxnvc.metrics.bd_rate import BdRate, bd_rate
from jaxnvc.metrics.ms_ssim import ms_ssim
from jaxnvc.metrics.psnr import psnr_yuv
from jaxnvc.metrics.rgb import ms_ssim_rgb, psnr_rgb

__all__ = ["BdRate", "bd_rate", "ms_ssim", "ms_ssim_rgb", "psnr_rgb", "psnr_yuv"]
