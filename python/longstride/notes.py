"""What the library has to say beside its results goes to the logger "longstride", never to the screen."""

from __future__ import annotations

import logging

note = logging.getLogger("longstride").info
