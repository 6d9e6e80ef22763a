"""Every surface reads the Authorization header alike: the scheme in any case, and nothing but it."""

import pytest

from app.plumbing.web import bearer_of
from tests.payments.callers import calling
from tests.payments.stage import Stage


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("", ""),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("abc", ""),
        ("Bearerabc", ""),
        ("Basic abc", ""),
        (" Bearer abc", ""),
    ],
)
def test_the_token_of_a_header(header: str, token: str) -> None:
    assert bearer_of(header) == token


async def test_both_surfaces_take_the_scheme_in_any_case(stage: Stage) -> None:
    async with calling(stage.pipes, stage.site_id) as api:
        for path, refused in (("/v1/payments", 401), ("/v1/player/info?playerExternalId=aigerim", 401)):
            for scheme in ("Bearer", "bearer", "BEARER"):
                answer = await api.http.get(path, headers={"authorization": f"{scheme} {api.reads}"})
                assert answer.status_code != refused, (path, scheme, answer.text)
            for header in (api.reads, f"Basic {api.reads}", f"Bearer {api.reads}x", "Bearer", ""):
                answer = await api.http.get(path, headers={"authorization": header})
                assert answer.status_code == refused, (path, header)
