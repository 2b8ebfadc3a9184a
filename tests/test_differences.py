"""Differences in words: what a person may read of them."""

import pytest

from kubefab.differences import HIDDEN, differences, same, shown


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
        ("livenessProbe.httpGet.httpHeaders[Authorization].value", "Bearer abc", HIDDEN),
        ("staticPodURLHeader.Authorization", "Bearer abc", HIDDEN),
        ("--basic-auth", "me:pw", HIDDEN),
        ("--bearer", "abc", HIDDEN),
        ("env[PIN].value", "1234", HIDDEN),
        ("env[FILE].value", "/run/x", HIDDEN),
        ("apiServer: env[DATABASE].value", "s3cret", HIDDEN),
        ("etcd: env[DATABASE].value", "s3cret", HIDDEN),
        ("words", "-c, curl --token abc", HIDDEN),
        ("--x-token", "/Zm9vYmFyQmF6", HIDDEN),
        ("--x-token", "/zm9v+ym=", HIDDEN),
        ("--x-token", "123456", HIDDEN),
        ("--audit-url", "https://log.example/x?token=abc&k=v", f"https://log.example/x?token={HIDDEN}&k={HIDDEN}"),
        ("--authorization-mode", "Node,RBAC", "Node,RBAC"),
        ("--requestheader-username-headers", "X-Remote-User", "X-Remote-User"),
    ],
)
def test_what_may_open_something_is_not_shown(name: str, value: str, told: str) -> None:
    assert shown(name, value) == told


def test_of_two_secrets_it_is_told_that_they_differ_and_nothing_else() -> None:
    assert differences({"--x-token": "aaa"}, {"--x-token": "bbb"}) == ["--x-token is another, which is not shown"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("60s", "1m0s"),
        ("24h", "24h0m0s"),
        ("90m", "1h30m0s"),
        ("1.5s", "1.5s"),
        ("0.5s", "500ms"),
        ("0s", "0m0s"),
        ("0s", "0"),
        ("100us", "100µs"),
        ("1500ns", "1.5µs"),
        ("x", "x"),
    ],
)
def test_one_length_of_time_is_the_same_however_it_is_written(one: str, other: str) -> None:
    assert same(one, other)
    assert differences({"a": one}, {"a": other}) == []


@pytest.mark.parametrize(("one", "other"), [("60s", "61s"), ("1m", "1"), ("", "0s"), (None, "0s"), ("1h", None)])
def test_what_is_another_time_or_none_is_not_the_same(one: str | None, other: str | None) -> None:
    assert not same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1024Mi", "1Gi"),
        ("1024Ki", "1Mi"),
        ("0.5Gi", "512Mi"),
        ("1000000", "1M"),
        ("1000M", "1G"),
        ("1000k", "1M"),
        ("1e9", "1G"),
        ("1000e6", "1e9"),
        ("1048576", "1Mi"),
    ],
)
def test_one_quantity_is_the_same_however_it_is_written(one: str, other: str) -> None:
    """The API stores each in a form of its own: k8s.io/apimachinery, pkg/api/resource."""
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(("one", "other"), [("1Gi", "1G"), ("1Mi", "2Mi"), ("1", "1Mi"), ("", "0Mi"), ("1M", "1m")])
def test_what_is_another_quantity_is_not_the_same(one: str, other: str) -> None:
    assert not same(one, other)


@pytest.mark.parametrize(("one", "other"), [("1.10", "1.1"), ("1", "1.0"), ("007", "7")])
def test_of_a_number_without_a_unit_each_figure_counts(one: str, other: str) -> None:
    """It may be a version, or a name."""
    assert not same(one, other)


def test_what_is_no_time_is_told_as_it_is_written() -> None:
    assert differences({"systemReserved.cpu": "200m"}, {"systemReserved.cpu": "100m"}) == [
        "systemReserved.cpu is 200m, not 100m"
    ]
