"""The API server says who a token is: one for our audience is its service account, one for another audience or a forged one is nobody."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from weirkeeper.distribute.accounts import ServiceAccount, reviewed_by
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import Forbidden
from weirkeeper.model.text import Refused
from weirkeeper.testing.apiserver_real import ApiServer

pytestmark = pytest.mark.cluster


def token(real: ApiServer, namespace: str, audience: str) -> str:
    return str(real.kubectl("create", "token", "envoy", "--namespace", namespace, "--audience", audience)).strip()


def test_a_token_is_its_service_account_for_our_audience_only(
    real: ApiServer, namespace: str, run: Callable[..., Any]
) -> None:
    real.kubectl("create", "serviceaccount", "envoy", "--namespace", namespace)
    good, other = token(real, namespace, "weirkeeper"), token(real, namespace, "elsewhere")

    async def story(client: Client) -> list[Any]:
        review = reviewed_by(client, "weirkeeper")
        return [await review(one) for one in (good, other, good[:-4] + "AAAA", "nonsense")]

    found = run(story)
    assert found[0] == ServiceAccount(namespace, "envoy")
    assert all(isinstance(one, Refused) for one in found[1:]), found
    assert json.dumps([str(one) for one in found]).count(good) == 0


def test_without_the_right_to_review_it_is_a_failure_and_no_refusal(run: Callable[..., Any]) -> None:
    async def story(client: Client) -> None:
        with pytest.raises(Forbidden):
            await reviewed_by(client, "weirkeeper")("anything")

    run(story, "user")
