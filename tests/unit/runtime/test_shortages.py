"""Load balancers that lack instances: told once it lasts, taken back at once, by the leader alone."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from virtual_time import run_virtually

from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id
from weirkeeper.runtime.shortages import PATIENCE, Shortages
from weirkeeper.status.shortages import Shortage

A, B = Id("ingress/c/n/a"), Id("ingress/c/n/b")


def short(serving=1, wished=2):
    return Shortage(wished=wished, serving=serving, origin=Origin(ref=Ref(kind="Ingress", namespace="n", name="a")))


@asynccontextmanager
async def leading(shortages):
    running = asyncio.create_task(shortages.run())
    await asyncio.sleep(0)
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def watched():
    said = []
    return Shortages(said.append), said


def news(said):
    return [(one.load_balancer, one.lasting) for one in said]


def test_what_lasts_is_said_once_and_taken_back_at_once(watched):
    shortages, said = watched

    async def story():
        async with leading(shortages):
            shortages.changed({A: short()})
            await asyncio.sleep(PATIENCE - 1)
            assert (said, shortages.lacking, shortages.lasting) == ([], 1, 0)
            shortages.changed({A: short(serving=0), B: short()})
            await asyncio.sleep(2)
            assert (news(said), shortages.lacking, shortages.lasting) == ([(A, True)], 3, 1)
            shortages.changed({A: None})
            assert (news(said), shortages.lasting) == ([(A, True), (A, False)], 0)
            await asyncio.sleep(3 * PATIENCE)
            assert news(said)[2:] == [(B, True)]

    run_virtually(story())


def test_a_start_or_a_new_image_is_no_news(watched):
    shortages, said = watched

    async def story():
        async with leading(shortages):
            for _ in range(10):
                shortages.changed({A: short()})
                await asyncio.sleep(PATIENCE / 2)
                shortages.changed({A: None})
                await asyncio.sleep(PATIENCE)

    run_virtually(story())
    assert said == []


def test_who_does_not_lead_says_nothing_and_takes_back_what_it_said(watched):
    shortages, said = watched

    async def story():
        shortages.changed({A: short()})
        await asyncio.sleep(2 * PATIENCE)
        assert (said, shortages.lacking) == ([], 0)
        async with leading(shortages):
            await asyncio.sleep(PATIENCE - 1)
            assert said == []
            await asyncio.sleep(2)
        assert (news(said), shortages.lacking, shortages.lasting) == ([(A, True), (A, False)], 0, 0)
        async with leading(shortages):
            await asyncio.sleep(PATIENCE + 1)
        assert news(said)[2:] == [(A, True), (A, False)]

    run_virtually(story())
