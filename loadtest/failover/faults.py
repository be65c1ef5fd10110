"""The faults, in their order. Each returns when it has been done; the scenario then waits for calm."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from loadtest.driving.stage import SERVERS, Stage
from loadtest.driving.supervisor import BACK_OFF_S
from loadtest.driving.traffic import now_ms
from loadtest.failover.report import Fault, Moment
from rendezvous.log.roles import MEMBER

SESSION_MS = float(MEMBER["session.timeout.ms"])
AFTER_KILL_MS = SESSION_MS + 1_000
"""Nobody knows that a killed server is dead before its session ends; then a second for whoever takes over."""
AFTER_STOP_MS = 1_000
"""A server that stops leaves its group at once."""
AFTER_THAW_MS = 1_000
"""To work off what has waited while a server stood still."""
AFTER_JOIN_MS = 1_000
"""A server that joins is given partitions; each is handed over by its owner."""
AFTER_BROKER_MS = SESSION_MS + 1_000
"""From a broker that is ready again. A killed node is back after six seconds or more (back-off, its own old session of
three, a JVM's start). A member that has heard nothing for a session joins anew, and the broker waits a session for the
member that it was; then a second, as after a killed server."""
SHORT_S = 3.0
"""A freeze shorter than the session: nobody else may answer meanwhile."""
LONG_S = 9.0
"""A freeze longer than the session: others have taken over when it ends."""


class Scene(Protocol):
    """What a fault needs of the run."""

    stage: Stage
    fault: Fault

    def calm(self, *, first_choice: bool = False) -> None:
        """Wait until all is answered in time again, and by the first choice if that counts."""


def moment(scene: Scene, name: str, bound_ms: float, *, since_first_miss: bool = False) -> None:
    """Something is being done now."""
    scene.fault.moments.append(Moment(name, now_ms(), bound_ms, since_first_miss))


def kill_server(scene: Scene) -> None:
    """SIGKILL to the server that owns most; its supervisor starts it again."""
    victim = scene.stage.busiest()
    scene.fault.notes |= {"victim": victim, "owned": scene.stage.owned(victim)}
    moment(scene, "kill -9 server", AFTER_KILL_MS)
    scene.stage.services.kill(victim)


def stop_server(scene: Scene) -> None:
    """A clean stop with others alive; some time later the server comes back."""
    victim = scene.stage.busiest()
    scene.fault.notes |= {"victim": victim, "owned": scene.stage.owned(victim)}
    _stop_and_start(scene, victim, "")


def rolling_restart(scene: Scene) -> None:
    """Each server in turn is stopped and started, the next when answers are normal again."""
    for number, server in enumerate(SERVERS):
        if number:
            scene.calm()
        _stop_and_start(scene, server, f" {server}")


def _stop_and_start(scene: Scene, server: str, which: str) -> None:
    moment(scene, f"SIGTERM{which or ' server'}", AFTER_STOP_MS)
    scene.stage.services.stop(server)
    scene.calm()
    moment(scene, f"start{which or ' server'}", AFTER_JOIN_MS, since_first_miss=True)
    scene.stage.services.start(server)


def freeze_short(scene: Scene) -> None:
    """SIGSTOP, and SIGCONT before the session has ended: its partitions stand still for as long."""
    scene.stage.services.thaw(_freeze(scene, SHORT_S, SHORT_S * 1e3 + AFTER_THAW_MS))


def freeze_long(scene: Scene) -> None:
    """SIGSTOP, and SIGCONT when others have taken over: what it lost it must not answer for."""
    victim = _freeze(scene, LONG_S, AFTER_KILL_MS)
    moment(scene, "SIGCONT server", AFTER_JOIN_MS)
    scene.stage.services.thaw(victim)


def _freeze(scene: Scene, seconds: float, bound_ms: float) -> str:
    victim = scene.stage.busiest()
    scene.fault.notes |= {"victim": victim, "owned": scene.stage.owned(victim)}
    moment(scene, f"SIGSTOP server, {seconds:g} s", bound_ms)
    scene.stage.services.freeze(victim)
    time.sleep(seconds)
    return victim


def kill_champion(scene: Scene) -> None:
    """SIGKILL to the scorer that the schedule waits for first: others answer at its step's end."""
    scene.fault.notes["victim"] = scene.stage.champion
    moment(scene, "kill -9 champion", 0)
    scene.stage.services.kill(scene.stage.champion)
    scene.calm(first_choice=True)


def kill_redis(scene: Scene) -> None:
    """SIGKILL to Redis, which comes back empty."""
    moment(scene, "kill -9 Redis", 0)
    scene.stage.redis.kill()
    time.sleep(BACK_OFF_S)
    scene.stage.redis.start()


def kill_broker(scene: Scene) -> None:
    """SIGKILL to the only broker, which comes back on its data."""
    killed_ms = now_ms()
    scene.stage.broker.kill()
    time.sleep(BACK_OFF_S)
    scene.stage.broker.start()
    down_ms = now_ms() - killed_ms
    scene.fault.notes["down_ms"] = round(down_ms, 1)
    scene.fault.moments.append(Moment("kill -9 broker", killed_ms, down_ms + AFTER_BROKER_MS))


FAULTS: Mapping[str, Callable[[Scene], None]] = {
    "kill -9 server": kill_server,
    "clean stop": stop_server,
    "rolling restart": rolling_restart,
    f"freeze {SHORT_S:g} s": freeze_short,
    f"freeze {LONG_S:g} s": freeze_long,
    "kill -9 champion": kill_champion,
    "kill -9 Redis": kill_redis,
    "kill -9 broker": kill_broker,
}
