"""Differences in words: what a person may read of them."""

import pytest

from kubefab.differences import HIDDEN, differences, shown


def test_what_is_other_than_wanted_is_told_from_its_side() -> None:
    found = {"--v": "2", "--old": "x", "--same": "1"}
    wanted = {"--v": "4", "--new": "y", "--same": "1"}
    assert differences(found, wanted) == ["--v is 2, not 4", "without --new=y", "with --old=x"]


def test_of_some_of_them_nothing_is_told_of_the_others() -> None:
    assert differences({"--v": "2", "--old": "x"}, {"--v": "4"}, ["--v"]) == ["--v is 2, not 4"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("--oidc-client-secret", "s3cret", HIDDEN),
        ("--basic-auth-password", "hunter2", HIDDEN),
        ("env[AWS_KEY].value", "AKIA", HIDDEN),
        ("--token-auth-file", "/etc/tokens.csv", "/etc/tokens.csv"),
        ("--enable-bootstrap-token-auth", "true", "true"),
        ("--service-account-max-token-expiration", "24h0m0s", "24h0m0s"),
        ("--private-port", "0", "0"),
        ("--audit-webhook", "https://me:pw@log.example/x", f"https://{HIDDEN}@log.example/x"),
        ("--oidc-issuer-url", "https://id.example", "https://id.example"),
    ],
)
def test_what_may_open_something_is_not_shown(name: str, value: str, told: str) -> None:
    assert shown(name, value) == told


def test_of_two_secrets_it_is_told_that_they_differ_and_nothing_else() -> None:
    assert differences({"--x-token": "aaa"}, {"--x-token": "bbb"}) == ["--x-token is another, which is not shown"]
