"""Who listens hears of every change, whether or not the record was ever read here."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.attributes.support import SESSION, Server, eventually, patient, started, write


@dataclass
class Heard:
    """A listener that remembers."""

    changes: list[tuple[str, str, str]] = field(default_factory=list)
    everything: int = 0

    def changed(self, entity: str, kind: str, identifier: str) -> None:
        self.changes.append((entity, kind, identifier))

    def everything_changed(self) -> None:
        self.everything += 1


async def test_a_change_of_what_was_never_read_is_told(server: Server) -> None:
    heard = Heard()
    async with started(patient(server.url)) as source:
        source.follow(heard)
        write(server.client(), SESSION, 1, risk="5")
        await eventually(lambda: ("session", "session", "s-1") in heard.changes)
        server.client().delete("attr:session:session:s-1")
        await eventually(lambda: len(heard.changes) >= 2)
        assert heard.everything == 0


async def test_whatever_may_have_gone_unheard_is_told_as_everything(server: Server) -> None:
    heard = Heard()
    async with started(patient(server.url)) as source:
        source.follow(heard)
        assert source.staleness() is not None
        server.client().flushall()
        await eventually(lambda: heard.everything == 1)
        server.kill()
        await eventually(lambda: source.staleness() is None)
        assert heard.everything == 1
        server.start()
        await eventually(lambda: source.staleness() is not None)
        assert heard.everything == 2
        assert 0 <= source.staleness() < 30
