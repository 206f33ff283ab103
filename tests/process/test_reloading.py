"""The configuration of a running process, with a process that takes or refuses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from epp.config import ConfigError, Part, Problem, Reload, load
from epp.config.errors import Place
from epp.process import StartError, reloading
from epp.process.reloading import Configuration
from epp.telemetry.collectors import ReloadMetrics
from tests.process.picking import flags_of, until

FILE = "epp: {{endpoints: {{static: ['10.0.0.1:80']}}, logging: {{verbosity: {}}}}}\n"


class World:
    """A configuration file, and a process that takes what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(2)
        flags = flags_of(config_file=str(path))
        self.metrics = ReloadMetrics(0.0)
        self.taken: list[Reload] = []
        self.refusal: Exception | None = None
        self.configuration = Configuration(load(flags, {}), flags, self.metrics, self._take)

    async def _take(self, plan: Reload) -> None:
        if self.refusal:
            raise self.refusal
        self.taken.append(plan)

    def write(self, verbosity: object) -> None:
        self.path.write_text(FILE.format(verbosity))

    @property
    def counts(self) -> tuple[int, int, bool]:
        return self.metrics.succeeded, self.metrics.failed, self.metrics.last_ok

    @property
    def verbosities(self) -> list[int]:
        return [plan.loaded.written.section.logging.verbosity for plan in self.taken]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(reloading, "LOOK_S", 0.02)
    return World(tmp_path / "epp.yaml")


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.configuration.watch())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_has_changed_is_taken(world: World) -> None:
    world.write(4)
    await world.configuration.reload()
    [plan] = world.taken
    assert plan.parts == {Part.LOGGING}
    assert world.configuration.loaded is plan.loaded
    assert world.counts == (1, 0, True)


REFUSALS = {
    "text that is no configuration": ("verbosity: [", None, "epp.yaml:1"),
    "what a plugin says": (
        FILE.format(4),
        ConfigError([Problem(Place("f", 3), "plugins", "no")]),
        "# f:3:0: plugins: no",
    ),
    "a file that cannot be used": (FILE.format(4), StartError("no such file"), "# no such file"),
    "a fault of ours": (FILE.format(4), RuntimeError("oh"), "# RuntimeError: oh"),
}


@pytest.mark.parametrize(("text", "refusal", "why"), REFUSALS.values(), ids=REFUSALS)
async def test_what_is_refused_changes_nothing_and_is_shown(
    world: World, text: str, refusal: Exception | None, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = world.configuration.page()
    world.path.write_text(text)
    world.refusal = refusal
    await world.configuration.reload()
    assert (world.counts, world.taken) == ((0, 1, False), [])
    head, _, rest = world.configuration.page().partition("\n\n")
    assert head.startswith("# The last change of the configuration was refused:\n# ")
    assert why in head
    assert rest == before
    assert "configuration refused, the one in use stays" in caplog.messages
    world.refusal = None
    world.write(4)
    await world.configuration.reload()
    assert (world.counts, world.verbosities) == ((1, 1, True), [4])
    assert "was refused" not in world.configuration.page()


async def test_a_changed_file_is_seen(world: World) -> None:
    async with watching(world):
        for number in (3, 4):
            world.write(number)
            await until(lambda number=number: world.verbosities[-1:] == [number])
    assert world.counts == (2, 0, True)


async def test_a_file_that_is_replaced_is_seen_and_its_absence_meanwhile_is_not(world: World, tmp_path: Path) -> None:
    async with watching(world):
        world.path.rename(tmp_path / "old")
        await asyncio.sleep(0.04)
        world.write(4)
        await until(lambda: world.verbosities == [4])
    assert world.counts == (1, 0, True)


async def test_a_file_that_stays_away_is_refused_once(world: World) -> None:
    async with watching(world):
        world.path.unlink()
        await until(lambda: world.counts == (0, 1, False))
        await asyncio.sleep(0.4)
        assert world.counts == (0, 1, False)
    assert "cannot be read: No such file or directory" in world.configuration.page()


async def test_what_links_to_another_file_is_seen(world: World, tmp_path: Path) -> None:
    """Kubernetes exchanges a link to a directory, and the file itself never changes."""
    for name, number in (("one", 3), ("two", 4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "epp.yaml").write_text(FILE.format(number))
    (tmp_path / "data").symlink_to("one")
    world.path.unlink()
    world.path.symlink_to(Path("data") / "epp.yaml")
    async with watching(world):
        await until(lambda: world.verbosities == [3])
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").rename(tmp_path / "data")
        await until(lambda: world.verbosities == [3, 4])


async def test_without_a_file_there_is_nothing_to_watch() -> None:
    flags = flags_of(endpoint=("10.0.0.1:80",))

    async def take(plan: Reload) -> None:
        assert not plan.parts

    configuration = Configuration(load(flags, {}), flags, ReloadMetrics(0.0), take)
    async with asyncio.timeout(10):
        await configuration.watch()
    await configuration.reload()
