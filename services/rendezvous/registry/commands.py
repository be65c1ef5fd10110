"""`rendezvous models`: list, show, deploy, promote, rollback, retire, pause, resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rendezvous import topics
from rendezvous.log import bounds_of
from rendezvous.registry import changes, shown
from rendezvous.registry.cache import Cache
from rendezvous.registry.checking import checks_of, within_ms
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import author, deploy
from rendezvous.registry.events import ControlEvent, State
from rendezvous.registry.evidence import Check, evidence, shortfalls
from rendezvous.registry.naming import RegistryError, named, written
from rendezvous.registry.recent import recent_comparisons
from rendezvous.registry.state import Control, Pair
from rendezvous.registry.store import stored
from rendezvous.scoring.card import Card
from rendezvous.settings import Endpoint


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an operator works: one endpoint, its control, the cache of it, and a way to say things.

    Each command says what it did; what it refuses is a RegistryError.
    """

    bootstrap: str
    endpoint: Endpoint
    log: ControlLog
    cache: Cache
    say: Callable[[str], None]

    @classmethod
    def at(cls, bootstrap: str, redis_url: str, endpoint: Endpoint, say: Callable[[str], None]) -> Desk:
        """The desk of an endpoint whose topics are as they should be.

        Raises:
            LogError: they are not.
            RegistryError: `redis_url` is no address.
        """
        found = topics.check(bootstrap, endpoint)
        cache = Cache(redis_url, endpoint.name, found[endpoint.topic("control")].id)
        return cls(bootstrap, endpoint, ControlLog(bootstrap, endpoint), cache, say)

    def control(self) -> Control:
        """What control says now: the cache's word when it is current, else the log's, which the cache is then told."""
        ((_, end),) = bounds_of(self.bootstrap, self.log.topic).values()
        cached = self.cache.get()
        if cached is not None and cached.position == end:
            return cached
        control = self.log.read()
        self.cache.put(control)
        return control

    def write(self, control: Control, *events: ControlEvent) -> Control:
        """Append events and say what became of them.

        Raises:
            RegistryError: control refuses one, which then changes nothing.
        """
        after, appended = self.log.append(events, control)
        self.cache.put(after)
        for done in appended:
            if done.refusal is None:
                self.say(f"{self.log.topic} {done.position}: {changes.told(done.event)}")
        for done in appended:
            if done.refusal is not None:
                raise RegistryError(
                    f"{self.log.topic} {done.position}: refused: {changes.told(done.event)}: {done.refusal}"
                )
        return after

    def list_versions(self) -> None:
        """Every version in a line."""
        control = self.control()
        limits, in_time_ms = self.endpoint.promotion, within_ms(self.endpoint, control, changes.CHAMPION)
        comparisons = recent_comparisons(self.bootstrap, self.endpoint, limits.requests)
        found = {pair: evidence(comparisons, pair, in_time_ms, limits.requests) for pair in control.deployed}
        for line in shown.listing(control, found):
            self.say(line)

    def show(self, name: str, alias: str) -> None:
        """Everything about one version, with each limit of a promotion to `alias` met or not."""
        control = self.control()
        pair = named(control, name)
        try:
            card: Card | str = stored(self.endpoint, pair, control.versions[pair].sha256)
        except RegistryError as error:  # it may be kept on another machine; what control says is worth showing
            card = str(error)
        quality = {str(kind): known[pair] for kind, known in control.weights.items() if pair in known}
        for line in shown.page(control, pair, card, self._checks(control, pair, alias), quality):
            self.say(line)

    def deploy_models(self, models: Sequence[str]) -> None:
        """Make control agree with the endpoint's document and the models' cards."""
        self.cache.put(deploy(self.bootstrap, self.endpoint, models, report=self.say))

    def promote(self, name: str, alias: str, *, force: bool) -> None:
        """Move an alias to a version that has shown what it must, or, forced, to any that is active.

        Raises:
            RegistryError: it has not, or control refuses; the message has every figure.
        """
        control = self.log.read()
        pair = named(control, name)
        if control.aliases.get(alias) == pair:
            self.say(f"{alias} is {written(pair)} already: nothing to do")
            return
        changes.promotion(control, self.endpoint, alias, pair, (), author())  # what cannot be needs no evidence
        missing = shortfalls(self._checks(control, pair, alias))
        if missing and not force:
            reasons = "".join(f"\n  {reason}" for reason in missing)
            raise RegistryError(
                f"{written(pair)} has not shown what {alias} must:{reasons}\n"
                "Limits are [promotion] in endpoint.toml; --force skips them and says so on control"
            )
        for reason in missing:
            self.say(f"skipped {reason}")
        self.write(control, changes.promotion(control, self.endpoint, alias, pair, missing, author()))

    def rollback(self, alias: str) -> None:
        """Give an alias back to who held it before the last promotion, at once.

        Raises:
            RegistryError: there is nobody to go back to, or control refuses.
        """
        control = self.log.read()
        self.write(control, changes.rollback(control, alias, author()))

    def change_state(self, name: str, state: State) -> None:
        """Retire, pause or resume a version.

        Raises:
            RegistryError: it cannot be.
        """
        control = self.log.read()
        pair = named(control, name)
        events = changes.change_of_state(control, pair, state, author())
        if not events:
            self.say(f"{written(pair)} is {state} already: nothing to do")
            return
        self.write(control, *events)

    def _checks(self, control: Control, pair: Pair, alias: str) -> list[Check]:
        return checks_of(self.bootstrap, self.endpoint, control, pair, alias, author().at_us)
