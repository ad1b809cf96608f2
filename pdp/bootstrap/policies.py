"""Where the policy comes from, what it must pass, and who may have signed it: as the settings say."""

from __future__ import annotations

from pdp.bootstrap.gate import gate_of
from pdp.config import ConfigError, PolicySection
from pdp.core.errors import PdpError
from pdp.policy import Approach, EngineFactory, Origin, PolicyKeeper, StateFolder, open_origin
from pdp.policy.bundle import Trust
from pdp.policy.origins.once import OnceOrigin
from pdp.signing.keyfiles import load_verifier


def keeper_of(section: PolicySection, engine: EngineFactory) -> PolicyKeeper:
    """Make the keeper of the policy in force; nothing is read yet.

    Raises:
        ConfigError: the settings name no place that a policy can safely come from.
    """
    trust = trust_of(section)
    origin = origin_of(section, trust)
    if not section.watch:
        origin = OnceOrigin(origin)
    gate = gate_of(section.state) if section.checks else None
    return PolicyKeeper(origin, engine, state=StateFolder(section.state), trust=trust, gate=gate)


def origin_of(section: PolicySection, trust: Trust) -> Origin:
    """Make the place that the policy comes from; nothing is read yet.

    Raises:
        ConfigError: the settings name no place that a policy can safely come from.
    """
    approach = Approach(
        trust=trust,
        watch=section.watch,
        poll=section.poll,
        companions=section.checks,
        headers=section.source_headers,
        ca=section.source_ca,
    )
    try:
        return open_origin(section.source or str(section.folder), approach)
    except (PdpError, OSError) as error:
        raise ConfigError(str(error)) from None


def trust_of(section: PolicySection) -> Trust:
    """Give whose signatures a policy needs.

    Raises:
        ConfigError: a key cannot be read, or there are fewer signers than signatures are demanded.
    """
    try:
        keys = tuple(map(load_verifier, section.bundle_keys))
    except PdpError as error:
        raise ConfigError(f"policy.bundle_keys: {error}") from None
    # A key under two names is one signer, and so are two keys under one name.
    signers = min(len({key.name for key in keys}), len({key.public for key in keys}))
    needed = section.signatures or min(signers, 1)
    if needed > signers:
        raise ConfigError(
            f"policy.signatures demands {needed} signers, and policy.bundle_keys has the keys of {signers}: "
            "no policy could ever be accepted"
        )
    return Trust(keys, needed)
