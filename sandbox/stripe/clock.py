"""The time objects live in. It can be moved forward, so that expiry need not be waited for."""

import time
from dataclasses import dataclass


@dataclass
class Clock:
    """Real time plus what was added. Deliveries and signatures use real time instead."""

    ahead_s: int = 0

    def now(self) -> int:
        return int(time.time()) + self.ahead_s
