"""An address is told without what could open it."""

import time

import pytest

from pipeline.provenance import git
from pipeline.provenance.addresses import without_login

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("https://me:s3cr3t@example.org/repo.git", "https://example.org/repo.git"),
        ("https://s3cr3t@example.org/repo.git", "https://example.org/repo.git"),
        ("https://x/repo?private_token=s3cr3t", "https://x/repo"),
        ("https://x/repo.git#access_token=s3cr3t", "https://x/repo.git"),
        ("https://x/repo?a=1&token=s3cr3t#b", "https://x/repo"),
        ("https://x/repo;token=s3cr3t", "https://x/repo"),
        ("s3://b/p?AWSAccessKeyId=s3cr3t&Signature=s3cr3t&X-Amz-Signature=s3cr3t", "s3://b/p"),
        ("azure://c/x?sv=1&sig=s3cr3t%3D", "azure://c/x"),
        ("https://me:s3@s3cr3t@example.org/x", "https://example.org/x"),
        ("https://me:s3/s3cr3t@example.org/x", "https://example.org/x"),
        ("https://me:s3#s3cr3t@example.org/x", "https://example.org/x"),
        ("HTTPS://ME:s3cr3t@example.org/x", "HTTPS://example.org/x"),
        ("//me:s3cr3t@example.org/x", "//example.org/x"),
        ("me:s3cr3t@example.org:path", "example.org:path"),
        ("url: /api/2.0/runs?access_token=s3cr3t (Caused by", "url: /api/2.0/runs (Caused by"),
        ("found 'https://x/p?token=s3cr3t', expected", "found 'https://x/p', expected"),
        ("see (https://u:s3cr3t@x/p?t=1), then", "see (https://x/p), then"),
    ],
)
def test_whatever_an_address_carries_is_left_out(address: str, plain: str) -> None:
    assert without_login(address) == plain
    assert SECRET not in without_login(f"fatal: unable to access {address}: 403")


@pytest.mark.parametrize(
    "address",
    [
        "git@github.com:me/repo.git",
        "sqlite:////tmp/a b/mlflow.db",
        "file:///tmp/a@b/c",
        "https://[::1]:5000/x@y",
        "https://example.org:5000/@scope/x",
        "models:/digits@verified",
        "C:\\data",
        "is this a?b",
    ],
)
def test_what_is_no_secret_stays(address: str) -> None:
    assert without_login(address) == address


@pytest.mark.parametrize("part", ["a:", "?a", "//a", "a+", "x", "?a=b", "//u:p@", "a.b:c@", "'a:"])
def test_a_text_of_four_times_the_length_takes_no_more_than_it(part: str) -> None:
    def seconds(count: int) -> float:
        start = time.process_time()
        without_login(part * count)
        return time.process_time() - start

    assert seconds(80_000) < 8 * seconds(20_000) + 0.05


def test_what_git_says_of_a_remote_has_no_login(tmp_path) -> None:
    git.run(tmp_path, "init", "--quiet")
    address = f"https://me:{SECRET}@localhost:1/x.git?private_token={SECRET}"
    answer = git.run(tmp_path, "fetch", address, offline=False)
    assert answer.status and "localhost:1" in answer.error and SECRET not in answer.error
