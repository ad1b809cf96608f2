"""Whose signatures a policy needs, of what the settings say."""

from __future__ import annotations

import pytest

from pdp.bootstrap.policies import keeper_of, trust_of
from pdp.config import ConfigError, PolicySection
from pdp.engine.reference import ReferenceMatcher
from pdp.signing.note import Signer, Verifier


def key(name: str, seed: int = 0) -> str:
    return Signer.generate(name).verifier.vkey if not seed else Verifier(name, bytes([seed]) * 32).vkey


def test_without_keys_and_demands_nothing_need_be_signed() -> None:
    trust = trust_of(PolicySection())
    assert (trust.keys, trust.needed) == ((), 0)


def test_any_key_makes_a_signature_compulsory() -> None:
    trust = trust_of(PolicySection(bundle_keys=(key("alice"), key("bob"))))
    assert ([it.name for it in trust.keys], trust.needed) == (["alice", "bob"], 1)


def test_two_persons_may_be_demanded() -> None:
    assert trust_of(PolicySection(bundle_keys=(key("alice"), key("bob")), signatures=2)).needed == 2


@pytest.mark.parametrize("signatures", [1, 2])
def test_signatures_demanded_of_nobody_are_refused(signatures: int) -> None:
    with pytest.raises(ConfigError, match=f"policy.signatures demands {signatures} signers.* keys of 0"):
        trust_of(PolicySection(signatures=signatures))


@pytest.mark.parametrize(
    "keys",
    [
        (key("alice"),),
        (key("alice"), key("alice")),
        (key("alice", 5), key("bob", 5)),
    ],
    ids=["one key", "two keys of one name", "one key under two names"],
)
def test_more_signatures_than_signers_are_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"demands 2 signers.* keys of 1"):
        trust_of(PolicySection(bundle_keys=keys, signatures=2))


def test_nothing_is_read_where_the_demand_cannot_be_met() -> None:
    with pytest.raises(ConfigError, match=r"policy\.signatures"):
        keeper_of(PolicySection(signatures=1), ReferenceMatcher)


def test_a_negative_number_of_signatures_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        PolicySection(signatures=-1)
