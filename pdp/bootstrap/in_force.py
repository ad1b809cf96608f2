"""The policy in force, for commands that stand beside the service."""

from __future__ import annotations

from pathlib import Path

from pdp.bootstrap.engines import factory_of
from pdp.bootstrap.policies import origin_of, trust_of
from pdp.bootstrap.reporting import live_reports
from pdp.config import PolicySection
from pdp.core.errors import PolicyInvalidError
from pdp.core.policy import PolicySnapshot
from pdp.policy import StateFolder, assemble, load
from pdp.policy.bundle import Trust, verify
from pdp.policy.origins import Contents, PolicyUnavailableError
from pdp.policy.problems import Problems


def policy_in_force(section: PolicySection, folder: Path | None = None) -> PolicySnapshot:
    """Give the policy by which the service decides now, or would if it were started now. Nothing is changed.

    It is what the workers report; where none runs, what is held; else what the source has, or, where that is of no
    use, what was in force last.

    Args:
        section: where the service has its policy from.
        folder: a policy folder that a person named; its policy is given then, whatever is in force.

    Raises:
        ConfigError: the settings name no place that a policy can safely come from.
        StateError: it is not among the revisions that are kept.
        PolicyInvalidError: there is none, or it is not signed as it must be.
    """
    if folder:
        return load(folder, factory_of(section.engine))
    state, trust = StateFolder(section.state), trust_of(section)
    if revision := _followed(state):
        return _built(_stored(state, revision, trust), section)
    try:
        return _built(origin_of(section, trust).read(), section)
    except PolicyInvalidError as error:
        problems = error.problems
    except PolicyUnavailableError as error:
        problems = (error.problem,)
    if history := state.history():
        return _built(_stored(state, history[-1].revision, trust), section)
    raise PolicyInvalidError(problems)


def _followed(state: StateFolder) -> str:
    """Give the revision that running workers report, or that is held; empty where the source is to be asked."""
    reports = [it for it in live_reports(state).values() if it["revision"]]
    if reports:
        return str(max(reports, key=lambda it: float(it["since"]))["revision"])
    pin = state.pin()
    return pin.revision if pin else ""


def _stored(state: StateFolder, revision: str, trust: Trust) -> Contents:
    archive = state.read(revision)
    return Contents.of(verify(archive, trust), archive)


def _built(contents: Contents, section: PolicySection) -> PolicySnapshot:
    if contents.problems:
        raise PolicyInvalidError(contents.problems)
    return assemble(contents.policy, factory_of(section.engine), Problems())
