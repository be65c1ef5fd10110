"""`rendezvous retrain`: ask for a retraining, and list what came of the others."""

from __future__ import annotations

from collections.abc import Callable

from rendezvous import topics
from rendezvous.log import KafkaSink, LogError, bounds_of, read_to_end
from rendezvous.registry.control import DELIVERED_S
from rendezvous.registry.deploy import author
from rendezvous.registry.naming import RegistryError
from rendezvous.retraining import shown
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.making import limits_of
from rendezvous.retraining.post import PARTITION
from rendezvous.retraining.service import FINDINGS, TOPICS
from rendezvous.retraining.triggers import Surroundings, request
from rendezvous.settings import Endpoint
from rendezvous.wire import WireError, decode_any, encode, name_of


def list_events(bootstrap: str, endpoint: Endpoint, say: Callable[[str], None]) -> None:
    """Events, outcomes, verdicts, episodes, and what is left of the budget.

    Raises:
        SettingsError: the endpoint says nothing of retraining.
        LogError: a topic is not there.
    """
    limits = limits_of(endpoint)
    for line in shown.listing(_ledger(bootstrap, endpoint), limits):
        say(line)


def ask(bootstrap: str, endpoint: Endpoint, model: str, reason: str, say: Callable[[str], None]) -> None:
    """Write an event for a person; a retrainer does its job as soon as no other one is under way.

    Raises:
        RegistryError: it is not for this model, not allowed, without a reason, asked already, or nobody is champion.
        LogError: it could not be delivered.
    """
    limits = limits_of(endpoint)
    if model != limits.model:
        raise RegistryError(f"{model} is not retrained here: [retraining] of endpoint.toml names {limits.model}")
    if not limits.triggers.hand:
        raise RegistryError("[retraining.triggers] of endpoint.toml has hand = false: nobody may ask for a retraining")
    if not reason.strip():
        raise RegistryError('a reason is needed, for whoever reads the card later: --reason "..."')
    ledger = _ledger(bootstrap, endpoint)
    requests = endpoint.topic("requests")
    ends = tuple(high for _, (_, high) in sorted(bounds_of(bootstrap, requests).items()))
    who = author()
    now_us = ledger.watermark_us if endpoint.monitoring.time == "ce_time" else who.at_us
    if now_us <= endpoint.monitoring.label_delay:
        raise RegistryError("the monitor has not spoken yet: there is nothing to train on")
    event = request(ledger, limits, reason.strip(), now_us, Surroundings(who.by, None, {}, ends))
    if event is None:
        raise RegistryError(f"nobody is {endpoint.monitoring.champion}: `rendezvous models deploy` comes first")
    if event.key in ledger.events:
        raise RegistryError(f"{event.key} stands already: nothing has been heard of since then")
    _append(bootstrap, endpoint.topic("retrain"), encode(event), name_of(type(event)))
    say(f"{endpoint.topic('retrain')}: {event.key}: {model} is to be trained again: {event.reason}")
    for what in event.unknown:
        say(f"not known: {what}")


def _append(bootstrap: str, topic: str, value: bytes, key: str) -> None:
    faults: list[str | None] = []
    sink = KafkaSink(bootstrap)
    sink.send(topic, value, partition=PARTITION, key=key.encode(), delivered=lambda error, _: faults.append(error))
    sink.flush(DELIVERED_S)
    if faults != [None]:
        raise LogError(f"{topic}: not delivered ({faults[0] if faults else 'no word from the broker'}): ask again")


def _ledger(bootstrap: str, endpoint: Endpoint) -> Ledger:
    """What all topics say now."""
    topics.check(bootstrap, endpoint)
    ledger = Ledger(endpoint.monitoring)
    for name in TOPICS:
        topic = endpoint.topic(name)
        for record in read_to_end(bootstrap, topic, PARTITION, bounds_of(bootstrap, topic)[0][0], uncommitted=True):
            if name == "control":
                ledger.follow(record)
                continue
            try:
                ledger.hear(decode_any(record.value, FINDINGS))
            except WireError:
                continue  # the retrainer counts and says these
    return ledger
