"""The feed of a cluster, on the fake API server and on the real one: what comes, what goes, and what must never be taken away."""

import asyncio

import pytest
from feed_stage import KINDS, certificate, deployment, ingress, pod, service, stage  # type: ignore[import-not-found]

from weirkeeper.feeds.kube.feed import REFUSED_HOLD, Part
from weirkeeper.kube.resources import KNOWN
from weirkeeper.testing.apiserver import Fault, Trouble
from weirkeeper.testing.fault_proxy import CLEAR, Weather


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def play(request):
    """Runs `scenario(stage)`."""
    server = None if request.param == "fake" else request.getfixturevalue("real")

    def run(scenario, deadline=180, **wished):
        async def whole():
            async with asyncio.timeout(deadline), stage(server, **wished) as made:
                await scenario(made)

        asyncio.run(whole())

    return run


@pytest.fixture
def play_fake():
    """Runs `scenario(stage)` on the fake server: a server that lies."""

    def run(scenario):
        async def whole():
            async with asyncio.timeout(180), stage(None) as made:
                await scenario(made)

        asyncio.run(whole())

    return run


def test_what_is_there_comes_in_one_outcome_and_changes_follow(play):
    async def scenario(on):
        for body in (service("shop"), certificate("pair", "a.example"), ingress("a", "a.example", "pair")):
            await on.apply(body)
        on.start()
        await on.until(lambda: on.outcomes)
        assert len(on.outcomes) == 1, "the Secret that is read comes with the first outcome"
        assert on.certificates() == {"pair"}
        assert on.there("Ingress", "a")
        assert on.there("Service", "shop")
        await on.apply(ingress("b", "b.example"))
        await on.until(lambda: on.there("Ingress", "b"))
        await on.remove("Ingress", "a")
        await on.until(lambda: on.there("Ingress", "a") is None)
        assert on.feed.unready() == ()

    play(scenario)


def test_a_secret_that_is_not_there_is_known_to_be_missing_and_comes_when_it_is_made(play):
    async def scenario(on):
        await on.apply(service("shop"))
        await on.apply(ingress("a", "a.example", "pair"))
        on.start()
        await on.until(lambda: on.outcomes)
        assert "WK301" in on.codes()["a"], "not found, and known to be so when the first outcome went out"
        await on.apply(certificate("pair", "a.example"))
        await on.until(lambda: on.certificates() == {"pair"})
        assert "WK301" not in on.codes().get("a", set())
        await on.remove("Secret", "pair")
        await on.until(lambda: not on.certificates())
        assert "WK301" in on.codes()["a"]

    play(scenario)


def test_nothing_goes_out_while_a_secret_that_is_read_is_forbidden(play):
    async def scenario(on):
        await on.cluster.forbid("secrets")
        for body in (service("shop"), certificate("pair", "a.example"), ingress("a", "a.example", "pair")):
            await on.apply(body)
        on.start()
        await on.until(lambda: "WK007" in on.codes().get("pair", ()) or on.feed._wishes.refused)
        assert not on.outcomes
        assert any("pair" in reason and "forbidden" in reason for reason in on.feed.unready())
        await on.cluster.allow("secrets")
        await on.until(lambda: on.outcomes)
        assert on.certificates() == {"pair"}

    play(scenario)


def test_a_served_secret_stays_while_it_is_forbidden_and_the_refusal_is_said(play):
    async def scenario(on):
        for body in (service("shop"), certificate("pair", "a.example"), ingress("a", "a.example", "pair")):
            await on.apply(body)
        on.start()
        await on.until(lambda: on.certificates() == {"pair"})
        await on.cluster.forbid("secrets")
        await on.until(lambda: "WK007" in on.codes().get("pair", ()), 30, "the refusal is a finding")
        await on.until(lambda: "WK007" in on.codes().get("a", ()), 30, "and one of the Ingress that names the Secret")
        assert on.certificates() == {"pair"}
        await on.apply(ingress("b", "b.example", "other"))
        await on.until(lambda: "WK007" in on.codes().get("b", ()), 30)
        assert "WK301" not in on.codes().get("b", set()), "forbidden is not missing"
        await on.cluster.allow("secrets")
        await on.until(lambda: all("WK007" not in on.codes().get(name, ()) for name in ("pair", "a", "b")), 30)
        assert on.certificates() == {"pair"}
        await on.until(lambda: "WK301" in on.codes().get("b", ()), 30)

    play(scenario, 120)


def test_a_kind_that_may_not_be_listed_holds_the_start_and_takes_nothing_away_later(play):
    async def scenario(on):
        await on.cluster.forbid("services")
        for body in (service("shop"), ingress("a", "a.example")):
            await on.apply(body)
        on.start()
        await on.until(lambda: any("Service" in reason and "forbidden" in reason for reason in on.feed.unready()))
        assert not on.outcomes
        await on.cluster.allow("services")
        await on.until(lambda: on.outcomes)
        await on.cluster.forbid("services")
        await on.until(lambda: on.feed.lost, 30)
        assert on.there("Service", "shop")
        await on.cluster.allow("services")
        await on.until(lambda: not on.feed.lost, 30)
        await on.apply(service("late"))
        await on.until(lambda: on.there("Service", "late"))

    play(scenario, 120)


def test_cut_watches_go_on_where_they_were_and_what_happened_meanwhile_is_known(play):
    async def scenario(on):
        for body in (service("shop"), certificate("pair", "a.example"), ingress("a", "a.example", "pair")):
            await on.apply(body)
        on.start()
        await on.until(lambda: on.certificates() == {"pair"})
        lists = on.feed.lists
        on.proxy.reset()
        assert on.certificates() == {"pair"}
        await on.remove("Ingress", "a")
        await on.apply(ingress("b", "b.example"))
        await on.until(lambda: on.there("Ingress", "b") and not on.there("Ingress", "a"), 30)
        assert on.feed.lists == lists, "resumed, not listed again"

    play(scenario)


def test_a_server_that_is_away_stalls_or_begins_anew_changes_nothing_but_what_has_changed(play):
    async def scenario(on):
        for body in (service("shop"), certificate("pair", "a.example"), ingress("a", "a.example", "pair")):
            await on.apply(body)
        on.start()
        await on.until(lambda: on.certificates() == {"pair"})
        on.proxy.weather = Weather(stalled=True)
        await on.apply(ingress("b", "b.example"))
        await on.until(
            lambda: "Ingress.networking.k8s.io in " + on.namespace in on.feed.lost, 30, "the stall is noticed"
        )
        assert on.certificates() == {"pair"}
        on.proxy.weather = CLEAR
        await on.until(lambda: on.there("Ingress", "b") and not on.feed.lost, 30)
        delivered = len(on.outcomes)
        await on.proxy.close_door()
        on.proxy.reset()
        await on.until(lambda: len(on.feed.lost) > 3, 30)
        await on.cluster.restart()
        assert on.certificates() == {"pair"}
        await on.proxy.open_door()
        await on.until(lambda: not on.feed.lost, 30)
        assert all(not outcome.items["memory"] for outcome in on.outcomes[delivered:]), (
            "nothing is told that did not change"
        )
        await on.remove("Ingress", "a")
        await on.until(lambda: not on.there("Ingress", "a"), 30)

    play(scenario, 120)


def test_a_kind_that_the_cluster_does_not_serve_is_said_and_holds_nothing(play):
    async def scenario(on):
        kind = "LoadBalancerClassParameters.weirkeeper.io"
        await on.cluster.withdraw()
        on.start()
        await on.until(lambda: on.outcomes)
        await on.until(lambda: on.codes().get(kind) == {"WK008"})
        await on.cluster.serve()
        await on.until(
            lambda: kind not in on.codes() and any(".".join(reversed(at.kind)) == kind for at in on.feed._parts)
        )
        await on.until(lambda: on.feed.unready() == ())
        await on.cluster.withdraw(wait=False)

    play(scenario)


def test_a_crowd_of_names_is_watched_together(play):
    async def scenario(on):
        await on.apply(service("shop"))
        for number in range(60):
            if number % 10:
                await on.apply(certificate(f"s{number}", f"{number}.example"))
            await on.apply(ingress(f"i{number}", f"{number}.example", f"s{number}"))
        on.start()
        await on.until(lambda: on.outcomes, 40)
        assert on.certificates() == {f"s{number}" for number in range(60) if number % 10}
        assert sum(bool(on.codes().get(f"i{number}", set()) & {"WK301"}) for number in range(60)) == 6
        assert len([at for at in on.feed._reflectors if at.kind == ("", "Secret")]) == 2
        await on.apply(certificate("s0", "0.example"))
        await on.until(lambda: "s0" in on.certificates())
        await on.remove("Secret", "s1")
        await on.until(lambda: "s1" not in on.certificates())

    play(scenario, 120)


def test_a_secret_that_stays_forbidden_does_not_hold_the_start_for_ever(play):
    async def scenario(on):
        await on.cluster.forbid("secrets")
        for body in (service("shop"), ingress("a", "a.example", "pair")):
            await on.apply(body)
        on.start()
        await on.until(lambda: on.feed._refused_since)
        assert not on.outcomes
        on.ahead = REFUSED_HOLD
        await on.until(lambda: on.outcomes)
        assert "WK301" not in on.codes().get("a", set()), "forbidden is not missing, even now"
        assert "WK007" in on.codes()["a"]

    play(scenario)


def test_only_ingresses_of_our_shard_and_of_our_namespaces_come(play):
    async def scenario(on):
        await on.apply(service("shop"))
        await on.apply(ingress("ours", "a.example", labels={"shard": "one"}))
        await on.apply(ingress("theirs", "b.example", labels={"shard": "two"}))
        on.start()
        await on.until(lambda: on.outcomes)
        assert on.there("Ingress", "ours")
        assert not on.there("Ingress", "theirs")
        await on.admin.patch(
            KNOWN[KINDS["Ingress"]], "theirs", {"metadata": {"labels": {"shard": "one"}}}, on.namespace
        )
        await on.until(lambda: on.there("Ingress", "theirs"))
        await on.admin.patch(KNOWN[KINDS["Ingress"]], "ours", {"metadata": {"labels": {"shard": "two"}}}, on.namespace)
        await on.until(lambda: not on.there("Ingress", "ours"))

    play(scenario, beside=("kube-public",), labels="shard=one")


def test_a_worker_that_begins_anew_knows_what_went_meanwhile(play):
    async def scenario(on):
        for body in (service("shop"), certificate("pair", "a.example"), ingress("a", "a.example", "pair")):
            await on.apply(body)
        on.start()
        await on.until(lambda: on.certificates() == {"pair"})
        lists = on.feed.lists
        on.tasks[1].cancel()
        await asyncio.wait((on.tasks[1],))
        await on.remove("Ingress", "a")
        await on.remove("Service", "shop")
        on.tasks[1] = asyncio.create_task(on.feed.run())
        await on.until(lambda: not on.there("Ingress", "a") and not on.there("Service", "shop"))
        assert on.feed.lists == lists

    play(scenario)


def many(on, count):
    return [on.apply(ingress(f"i{number}", f"{number}.example")) for number in range(count)]


def vanished():
    """The server tells an empty list of Ingresses, once, after a forgotten revision."""
    return Fault(what=Trouble.EMPTY_LIST, plural="ingresses", times=1)


def test_a_list_that_lacks_nearly_everything_is_held_and_said_and_what_was_a_lie_leaves_no_trace(play_fake):
    async def scenario(on):
        await asyncio.gather(on.apply(service("shop")), *many(on, 30))
        on.start()
        await on.until(lambda: on.outcomes)
        delivered = len(on.outcomes)
        on.cluster.api.faults.add(vanished())
        on.feed._reflectors[Part(KINDS["Ingress"], on.namespace)].relist()
        await on.until(lambda: on.feed.held == {"Ingress": 30})
        await on.until(lambda: "WK507" in on.codes().get("held Ingress", ()))
        assert on.there("Ingress", "i7")
        on.ahead = 10.0
        await on.until(lambda: not on.feed.held)
        await on.until(lambda: "held Ingress" not in on.codes())
        assert on.there("Ingress", "i7")
        assert all(not outcome.items["memory"] for outcome in on.outcomes[delivered:])

    play_fake(scenario)


def test_what_is_held_goes_when_a_second_list_says_the_same_or_somebody_confirms(play_fake):
    async def scenario(on):
        await asyncio.gather(on.apply(service("shop")), *many(on, 30))
        on.start()
        await on.until(lambda: on.outcomes)
        part = Part(KINDS["Ingress"], on.namespace)
        on.cluster.api.faults.add(Fault(what=Trouble.EMPTY_LIST, plural="ingresses"))
        on.feed._reflectors[part].relist()
        await on.until(lambda: on.feed.held)
        on.ahead = 10.0
        await on.until(lambda: not on.there("Ingress", "i7"))
        assert not on.feed.held
        on.cluster.api.faults.clear()
        on.feed._reflectors[part].relist()
        await on.until(lambda: on.there("Ingress", "i7"))
        on.cluster.api.faults.add(vanished())
        on.feed._reflectors[part].relist()
        await on.until(lambda: on.feed.held)
        on.feed.confirm(KINDS["Ingress"])
        await on.until(lambda: not on.there("Ingress", "i7"))

    play_fake(scenario)


PARTIAL = {
    "401": Fault(what=Trouble.UNAUTHORIZED, plural="services"),
    "403": Fault(what=Trouble.FORBIDDEN, plural="ingresses"),
    "404": Fault(what=Trouble.KIND_MISSING, plural="endpointslices"),
    "429": Fault(what=Trouble.TOO_MANY, plural="services", seconds=0.2),
    "500": Fault(what=Trouble.SERVER_ERROR, plural="ingressclasses"),
    "no answer": Fault(what=Trouble.NO_ANSWER, plural="services"),
    "second page fails": Fault(what=Trouble.PAGE_FAILS, plural="ingresses", after=1),
    "watch dies before sync": Fault(what=Trouble.DIES_BEFORE_SYNC, plural="services"),
    "a Secret is refused": Fault(what=Trouble.FORBIDDEN, plural="secrets"),
    "a Secret is not answered": Fault(what=Trouble.NO_ANSWER, plural="secrets"),
}


@pytest.mark.parametrize("fault", PARTIAL.values(), ids=PARTIAL.keys())
def test_half_a_picture_is_never_pushed(play_fake, fault):
    async def scenario(on):
        api = on.cluster.api
        paged = fault.what is Trouble.PAGE_FAILS
        api.watch_list = not paged
        api.largest_page = 3 if paged else 0
        await asyncio.gather(on.apply(service("shop")), on.apply(certificate("pair", "a.example")), *many(on, 10))
        await on.apply(ingress("a", "a.example", "pair"))
        api.faults.add(fault)
        on.start()
        await on.until(lambda: api.faults.struck[fault.what] >= 3)
        assert not on.outcomes
        assert on.feed.unready()
        api.faults.clear()
        await on.until(lambda: on.outcomes)
        assert on.certificates() == {"pair"}
        assert all(on.there("Ingress", f"i{number}") for number in range(10))

    play_fake(scenario)


def test_a_workload_and_its_pods_are_read_while_an_ingress_names_it_and_no_others(play):
    async def scenario(on):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        for body in (account, deployment("web"), deployment("other"), pod("web-1", "web"), pod("other-1", "other")):
            await on.apply(body)
        await on.apply(of_workload("a", "web"))
        on.start()
        await on.until(lambda: on.outcomes)
        assert len(on.outcomes) == 1, "the pods come with the first outcome"
        assert on.there("Deployment", "web")
        assert on.there("Pod", "web-1")
        assert on.there("Deployment", "other") is None
        assert on.there("Pod", "other-1") is None
        await on.apply(pod("web-2", "web"))
        await on.until(lambda: on.there("Pod", "web-2"))
        await on.remove("Pod", "web-1")
        await on.until(lambda: on.there("Pod", "web-1") is None)
        await on.apply(of_workload("b", "other"))
        await on.until(lambda: on.there("Pod", "other-1"))
        await on.remove("Ingress", "a")
        await on.until(lambda: on.there("Pod", "web-2") is None)
        assert on.there("Pod", "other-1")

    play(scenario)


def test_a_workload_without_pods_holds_no_start_and_one_that_is_missing_is_told_of(play):
    async def scenario(on):
        await on.apply(deployment("web"))
        await on.apply(of_workload("a", "web"))
        await on.apply(of_workload("b", "gone"))
        on.start()
        await on.until(lambda: on.outcomes)
        assert len(on.outcomes) == 1
        assert "WK208" in on.codes()["b"]
        assert "WK208" not in on.codes().get("a", set())
        await on.apply(deployment("gone"))
        await on.until(lambda: "WK208" not in on.codes().get("b", set()))

    play(scenario)


def test_pods_stay_while_they_are_forbidden_and_the_refusal_is_said(play):
    async def scenario(on):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        for body in (account, deployment("web"), pod("web-1", "web"), of_workload("a", "web")):
            await on.apply(body)
        on.start()
        await on.until(lambda: on.there("Pod", "web-1"))
        await on.cluster.forbid("pods")
        await on.until(lambda: any("Pod" in name for name in on.feed.lost), 30, "the refusal is known")
        assert on.there("Pod", "web-1")
        await on.cluster.allow("pods")
        await on.until(lambda: not on.feed.lost, 30)
        assert on.there("Pod", "web-1")

    play(scenario)


def test_pods_that_may_not_be_read_hold_the_start_for_a_while_only(play_fake):
    async def scenario(on):
        await on.cluster.forbid("pods")
        await on.apply(deployment("web"))
        await on.apply(of_workload("a", "web"))
        on.start()
        await on.until(lambda: any("Pod" in reason and "forbidden" in reason for reason in on.feed.unready()))
        await on.until(lambda: any("WK007" in codes for codes in on.codes().values()))
        assert not on.outcomes
        on.ahead = REFUSED_HOLD + 1
        await on.until(lambda: on.outcomes)

    play_fake(scenario)


def of_workload(name, deployment):
    """An Ingress that leads straight to a Deployment."""
    body = ingress(name, f"{name}.example")
    resource = {"apiGroup": "apps", "kind": "Deployment", "name": deployment}
    body["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {"resource": resource}
    return body
