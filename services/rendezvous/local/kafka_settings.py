"""What a single Kafka node is told, with the reason beside each setting that is not Kafka's own."""

from __future__ import annotations

from collections.abc import Mapping

from rendezvous.local.ports import LOOPBACK

NODE_ID = 1

JVM_OPTIONS = (
    # the second compiler pays after minutes of load; until then it takes half a core from the models (measured at
    # 500 requests/s with five models on two cores: broker 0.9 core with it, 0.5 without)
    "-XX:TieredStopAtLevel=1",
    # 100 MB live after 1.4 million records of 1 kB through 48 partitions to six groups (56,000 a second in, six times
    # that out); the same load passed in 160 MB. All of it from the start: at 1,500 records a second 9 collections of
    # 100 ms altogether in 15 s, where a heap that grows, with Kafka's goal of 20 ms a pause, had 55 of 280 ms
    "-Xms384m",
    "-Xmx384m",
    "-XX:+UseG1GC",
    "-XX:+ExitOnOutOfMemoryError",  # a dead broker is seen, a crippled one is not
    "-XX:-UsePerfData",  # would leave files in /tmp
    "-Djava.awt.headless=true",
    "-Dlog4j2.configurationFile=log4j2.properties",
    "-Dlog4j.shutdownHookEnabled=false",  # it races with Kafka's, and says so
)

TOOL_OPTIONS = (
    # formatting is over before a compiler or a parallel collector pays
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dlog4j2.configurationFile=log4j2.properties",
)

SINGLE = {
    # Kafka's own topics: three replicas of 50 partitions each would never be placed, and cost start-up
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
}

BEHAVIOUR = {
    "auto.create.topics.enable": "false",  # a mistyped topic is an error
    "group.initial.rebalance.delay.ms": 0,  # waits 3 s for more members otherwise
    "group.min.session.timeout.ms": 500,  # 6 s otherwise; tests of take-over want 1 s
    # a killed node may register again only after its old session: 12 s to a restart with Kafka's 9 s, 4 s with this
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
}

SMALL = {
    # sized for one machine that also runs the models
    "num.network.threads": 1,
    "num.io.threads": 2,
    "background.threads": 2,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # 128 MiB of heap otherwise
}


def server_properties(port: int, controller_port: int) -> str:
    """server.properties of one KRaft node, broker and controller, on loopback; paths are relative to its folder."""
    own = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": "data",  # a list separated by commas, which a folder's name may hold
    }
    return _properties(own | SINGLE | BEHAVIOUR | SMALL)


def log4j_properties() -> str:
    """log4j2.properties: to standard output, which is the broker's log file; Kafka's server at INFO, all else at WARN.

    The file is begun anew at each start and gets a few lines a topic: nothing to rotate.
    """
    return _properties(
        {
            "status": "warn",
            "appender.out.type": "Console",
            "appender.out.name": "out",
            "appender.out.layout.type": "PatternLayout",
            "appender.out.layout.pattern": "%d %p %m (%c)%n",
            "rootLogger.level": "warn",
            "rootLogger.appenderRef.out.ref": "out",
            "logger.server.name": "kafka.server",
            "logger.server.level": "info",
        }
    )


def _properties(values: Mapping[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
