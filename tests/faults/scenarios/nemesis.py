"""A nemesis: one fault after the other upon a whole pipeline under live traffic, chosen by a seed, healed at the end.

nemesis = Nemesis(nps, proxy, random.Random(seed))
nemesis.strike()        one fault, or the end of one that lasts
nemesis.heal()          all members run, unharmed; nothing is in the way any more
nemesis.done            what was done, and how often
"""

import random
from collections import Counter
from collections.abc import Callable

from tests.faults.harness import fault_injection
from tests.faults.harness.deployment import Deployment, Member
from tests.faults.harness.proxy import FULL, READ_ONLY, CutReply, CutRequest, Down, Fault, Pass, Proxy, Slow
from tests.faults.scenarios.scenario import wait

WORKERS = ("worker-1", "worker-2")
EXTRA = "worker-3"
PACE_S = (2.0, 8.0)
"""Between two strikes, seconds."""

TROUBLES: tuple[Fault, ...] = (Down(), Slow(2), CutRequest(), CutReply(), READ_ONLY, FULL)


class Nemesis:
    """What goes wrong, in an order that only the seed decides."""

    def __init__(self, nps: Deployment, proxy: Proxy, r: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._nps, self._proxy, self._r = nps, proxy, r
        self._frozen: Member | None = None
        self._left: list[Callable[[], None]] = []
        """What is still to come before anything comes again, so that no kind is left out by chance."""
        self._strikes: tuple[Callable[[], None], ...] = (
            self._kill, self._kill, self._freeze, self._fail_somewhere, self._fail_somewhere, self._bounce_broker,
            self._trouble_warehouse, self._scale, self._stop,
        )  # fmt: skip

    def strike(self) -> None:
        """Let some time pass, thaw who is frozen, then do one thing."""
        wait(self._nps, self._r.uniform(*PACE_S))
        self._thaw()
        if not self._left:
            self._left = self._r.sample(self._strikes, len(self._strikes))
        self._left.pop()()

    def heal(self) -> None:
        """End everything that lasts, and let all but the extra worker run."""
        self._thaw()
        self._proxy.switch(Pass())
        for member in self._nps.members.values():
            member.wanted = member.name != EXTRA or member.is_running()
        self._nps.tend()

    def _kill(self) -> None:
        victim = self._victim(*WORKERS, "sink", "notify")
        self._count(f"kill -9 {victim.name}")
        victim.kill()

    def _stop(self) -> None:
        victim = self._victim(*WORKERS)
        self._count("SIGTERM")
        victim.stop()
        victim.start()

    def _freeze(self) -> None:
        victim = self._victim(*WORKERS, "sink")
        self._count(f"SIGSTOP {victim.name}")
        victim.freeze()
        self._frozen = victim

    def _fail_somewhere(self) -> None:
        victim = self._victim(*WORKERS, "sink")
        points = fault_injection.SINK if victim.name == "sink" else fault_injection.WORKER
        order = f"{self._r.choice(points)}:{self._r.randrange(1, 6)}:{self._r.choice(('kill', 'raise'))}"
        self._count(f"failpoints of {victim.name}")
        victim.kill()
        victim.start(FAILPOINTS=order)

    def _bounce_broker(self) -> None:
        self._count("broker bounced")
        self._r.choice((self._nps.kafka.stop, self._nps.kafka.kill))(1)
        wait(self._nps, self._r.uniform(0, 4))
        self._nps.kafka.start(1)

    def _trouble_warehouse(self) -> None:
        fault = self._r.choice((*TROUBLES, Pass(), Pass()))
        self._count(f"ClickHouse {type(fault).__name__}")
        self._proxy.switch(fault)

    def _scale(self) -> None:
        extra = self._nps.members.get(EXTRA)
        self._count("scaled in" if extra is not None and extra.is_running() else "scaled out")
        if extra is None:
            self._nps.run(EXTRA)
        elif extra.is_running():
            extra.stop()
        else:
            extra.start()

    def _victim(self, *names: str) -> Member:
        """One of these that runs."""
        victim = self._nps.members[self._r.choice(names)]
        self._nps.until(victim.is_running, f"{victim.name} is back")
        return victim

    def _thaw(self) -> None:
        """Let who was frozen go on; who was it for too long ends by itself, and is started again."""
        if self._frozen is not None:
            self._frozen.thaw()
            self._frozen = None

    def _count(self, what: str) -> None:
        self.done[what] += 1
