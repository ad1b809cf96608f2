"""Where a policy comes from: files, a real web server, a real git repository, and what goes wrong with each."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pdp.core.errors import PolicyInvalidError
from pdp.policy.archive import ARCHIVE_LIMIT
from pdp.policy.bundle import Trust, build, open_bundle, sign
from pdp.policy.origins import Approach, FolderOrigin, PolicyUnavailableError, SourceError, open_origin
from pdp.policy.origins.file import FileOrigin
from pdp.policy.origins.git import GitOrigin
from pdp.policy.origins.http import HttpOrigin
from pdp.signing.note import Signer
from tests.policy.example import contents, write

ALICE = Signer.generate("alice")
TRUST = Trust((ALICE.verifier,), 1)
SIGNED = sign(build(contents()), ALICE)
OTHER = sign(build(contents({"policy/more.csv": "p,one-more,agent,read,log,True,allow,,b\n# end\n"})), ALICE)


class Site(ThreadingHTTPServer):
    """A web server with one bundle, which may be slow, cut it short, or say no."""

    daemon_threads = True
    body = SIGNED
    tag = '"one"'
    status = 200
    cut = 0
    delay = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, str]] = []
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/p.bundle"

    def handle_error(self, *_: object) -> None:
        """A client that gave up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site = self.server
        site.asked.append({name.lower(): value for name, value in self.headers.items()})
        if site.status == 200 and site.tag and self.headers.get("if-none-match") == site.tag:
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(site.status)
        if site.status == 302:
            self.send_header("location", "/elsewhere.bundle")
        if site.tag:
            self.send_header("etag", site.tag)
        self.send_header("content-length", str(len(site.body)))
        self.end_headers()
        for at in range(0, len(site.body) - site.cut, 65536):
            if site.stopping.wait(site.delay):
                return
            self.wfile.write(site.body[at : min(at + 65536, len(site.body) - site.cut)])
        if site.cut:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()


def unavailable(origin: HttpOrigin | GitOrigin | FileOrigin) -> str:
    with pytest.raises(PolicyUnavailableError) as caught:
        origin.read() if isinstance(origin, FileOrigin) else origin.probe()
    return caught.value.problem.problem


class TestHttp:
    def test_a_bundle_is_fetched_once_and_then_asked_for_by_its_tag(self, site: Site) -> None:
        origin = HttpOrigin(site.url, TRUST)
        before = origin.probe()
        assert origin.probe() == before
        assert origin.read().revision == open_bundle(SIGNED).revision
        assert [it.get("if-none-match") for it in site.asked] == [None, '"one"']

    def test_another_bundle_is_noticed(self, site: Site) -> None:
        origin = HttpOrigin(site.url, TRUST)
        before = origin.probe()
        site.body, site.tag = OTHER, '"two"'
        assert origin.probe() != before
        assert origin.read().as_bundle() == OTHER

    def test_a_server_without_tags_is_compared_by_content(self, site: Site) -> None:
        site.tag = ""
        origin = HttpOrigin(site.url, TRUST)
        assert origin.probe() == origin.probe()

    def test_what_to_send_along_is_sent_and_never_shown(self, site: Site) -> None:
        origin = HttpOrigin(f"{site.url}?token=secret", TRUST, headers={"authorization": "Bearer secret"})
        origin.probe()
        assert site.asked[0]["authorization"] == "Bearer secret"
        site.status = 500
        assert "secret" not in unavailable(origin) + origin.name

    @pytest.mark.parametrize("status", [302, 401, 404, 500, 304])
    def test_any_other_status_is_an_outage(self, site: Site, status: int) -> None:
        site.status, site.body = status, b""
        assert unavailable(HttpOrigin(site.url, TRUST)) == f"answered with status {status}"

    def test_a_server_that_is_down_is_an_outage_and_its_return_is_noticed(self, site: Site) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/p.bundle"
            assert "cannot be asked (ConnectError)" in unavailable(HttpOrigin(nobody, TRUST))
        origin = HttpOrigin(site.url, TRUST)
        before = origin.probe()
        site.status = 503
        unavailable(origin)
        site.status = 200
        assert origin.probe() == before

    def test_an_answer_that_is_cut_short_is_an_outage_and_changes_nothing(self, site: Site) -> None:
        origin = HttpOrigin(site.url, TRUST)
        origin.probe()
        site.body, site.tag, site.cut = OTHER, '"two"', 100
        assert unavailable(origin) == "the answer was cut short, or is not HTTP"
        assert origin.read().as_bundle() == SIGNED

    def test_an_answer_that_trickles_is_given_up(self, site: Site) -> None:
        site.body, site.delay = bytes(64 * 65536), 0.2
        started = time.monotonic()
        assert unavailable(HttpOrigin(site.url, TRUST, timeout=0.6)) == "no whole answer within 0.6 s"
        assert time.monotonic() - started < 10

    def test_100_megabytes_are_given_up(self, site: Site) -> None:
        site.body = bytes(100 * 1024 * 1024)
        assert unavailable(HttpOrigin(site.url, TRUST)) == f"the answer is larger than {ARCHIVE_LIMIT} bytes"

    def test_a_bundle_that_nobody_known_signed_is_refused(self, site: Site) -> None:
        site.body = sign(build(contents()), Signer.generate("mallory"))
        with pytest.raises(PolicyInvalidError, match=r"0 found; signed under names .* not known here: mallory"):
            HttpOrigin(site.url, TRUST).read()


class TestFile:
    def test_a_bundle_file_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "p.bundle"
        path.write_bytes(SIGNED)
        assert FileOrigin(path, TRUST).read().revision == open_bundle(SIGNED).revision

    def test_every_replacement_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "p.bundle"
        origin = FileOrigin(path, TRUST)
        marks = [origin.probe()]
        for content in (SIGNED, OTHER):
            path.write_bytes(content)
            marks.append(origin.probe())
        (tmp_path / "next").write_bytes(OTHER)
        (tmp_path / "next").rename(path)
        marks.append(origin.probe())
        assert len(set(marks)) == 4

    def test_none_is_an_outage(self, tmp_path: Path) -> None:
        assert "No such file" in unavailable(FileOrigin(tmp_path / "p.bundle", TRUST))

    def test_a_pipe_or_a_device_is_refused_without_waiting(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "p.bundle")
        for path in (tmp_path / "p.bundle", Path("/dev/zero")):
            with pytest.raises(PolicyInvalidError, match="is not a plain file"):
                FileOrigin(path, TRUST).read()

    def test_a_huge_file_is_refused_without_being_read(self, tmp_path: Path) -> None:
        path = tmp_path / "p.bundle"
        with path.open("wb") as file:
            file.truncate(100 * 1024 * 1024)
        with pytest.raises(PolicyInvalidError, match=f"is larger than {ARCHIVE_LIMIT} bytes"):
            FileOrigin(path, TRUST).read()


class Repository:
    """A git repository that a test commits to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **dict.fromkeys(names, "a@example.com")}
        return subprocess.run(
            ["git", "-C", str(self.folder), *arguments], env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A change")
        return self.git("rev-parse", "HEAD")

    def origin(self, ref: str = "main", path: str = "", trust: Trust | None = None) -> GitOrigin:
        return GitOrigin(f"file://{self.folder}", ref, path, trust or Trust())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    write(made.folder / "policies")
    (made.folder / "signed.bundle").write_bytes(SIGNED)
    made.commit()
    return made


class TestGit:
    def test_a_folder_is_read_at_a_branch(self, repository: Repository) -> None:
        assert dict(repository.origin(path="policies").read().files) == contents()

    def test_a_commit_is_noticed_and_what_is_not_committed_is_not(self, repository: Repository) -> None:
        origin = repository.origin(path="policies")
        before = origin.probe()
        more = repository.folder / "policies" / "policy" / "more.csv"
        more.write_text("p,one-more,agent,read,log,True,allow,,b\n# end\n")
        assert origin.probe() == before
        commit = repository.commit()
        assert origin.probe() == commit != before
        assert "policy/more.csv" in origin.read().files

    def test_tags_and_commits_stay_where_they_are(self, repository: Repository) -> None:
        first = repository.git("rev-parse", "HEAD")
        repository.git("tag", "light")
        repository.git("tag", "--annotate", "--message", "A release", "v1")
        (repository.folder / "policies" / "policy" / "links.csv").unlink()
        repository.commit()
        for ref in ("light", "v1", first):
            origin = repository.origin(ref, "policies")
            assert origin.probe() == first
            assert dict(origin.read().files) == contents()

    def test_a_branch_goes_before_a_tag_of_its_name(self, repository: Repository) -> None:
        repository.git("tag", "main", "HEAD")
        (repository.folder / "README.md").write_text("More")
        commit = repository.commit()
        assert repository.origin().probe() == commit

    def test_a_signed_bundle_in_a_repository_is_verified(self, repository: Repository) -> None:
        assert repository.origin(path="signed.bundle", trust=TRUST).read().as_bundle() == SIGNED
        (repository.folder / "signed.bundle").write_bytes(build(contents()))
        repository.commit()
        with pytest.raises(PolicyInvalidError, match="1 signature of known keys needed, 0 found"):
            repository.origin(path="signed.bundle", trust=TRUST).read()

    def test_a_folder_is_refused_where_signatures_are_demanded(self, repository: Repository) -> None:
        with pytest.raises(PolicyInvalidError, match="carries no signatures"):
            repository.origin(path="policies", trust=TRUST).read()

    def test_a_link_out_of_the_repository_is_refused(self, repository: Repository) -> None:
        (repository.folder / "policies" / "policy" / "out.csv").symlink_to("/etc/passwd")
        repository.commit()
        found = repository.origin(path="policies").read()
        assert [(it.file, it.problem) for it in found.problems] == [
            ("policy/out.csv", "is not a plain file, or too large")
        ]

    def test_a_path_that_is_not_there_is_refused(self, repository: Repository) -> None:
        with pytest.raises(PolicyInvalidError, match="there is no elsewhere in commit"):
            repository.origin(path="elsewhere").read()

    @pytest.mark.parametrize("ref", ["gone", "v9"])
    def test_a_ref_that_is_not_there_is_an_outage(self, repository: Repository, ref: str) -> None:
        assert unavailable(repository.origin(ref)) == "the repository has no such branch or tag"

    def test_a_repository_that_is_not_there_is_an_outage(self, tmp_path: Path) -> None:
        assert "git ls-remote failed" in unavailable(GitOrigin(f"file://{tmp_path}/none", "main", "", Trust()))

    def test_credentials_in_an_address_are_never_shown(self) -> None:
        origin = GitOrigin("https://me:secret@127.0.0.1:9/p.git", "main", "", Trust())
        assert "secret" not in origin.name + unavailable(origin)

    @pytest.mark.parametrize(
        ("url", "ref", "path"),
        [
            ("--upload-pack=/bin/sh", "main", ""),
            ("u", "--all", ""),
            ("u", "a..b", ""),
            ("u", "", ""),
            ("u", "m", "../x"),
        ],
    )
    def test_what_git_would_take_for_something_else_is_refused(self, url: str, ref: str, path: str) -> None:
        with pytest.raises(ValueError, match=r"git\+URL#REF"):
            GitOrigin(url, ref, path, Trust())

    @pytest.mark.parametrize("url", ["ext::sh -c 'touch ran'", "http://127.0.0.1:9/p.git"])
    def test_transports_that_are_not_safe_are_not_used(self, tmp_path: Path, url: str) -> None:
        with contextlib.chdir(tmp_path):
            assert "git ls-remote failed" in unavailable(GitOrigin(url, "main", "", Trust()))
        assert not (tmp_path / "ran").exists()


class TestChoice:
    @pytest.mark.parametrize(
        ("source", "kind"),
        [
            ("policies", FolderOrigin),
            ("p.bundle", FileOrigin),
            ("https://policies.example/p.bundle", HttpOrigin),
            ("http://127.0.0.1:80/p.bundle", HttpOrigin),
            ("git+https://git.example/p.git#main:policies/", GitOrigin),
        ],
    )
    def test_a_setting_names_an_origin(self, source: str, kind: type) -> None:
        assert isinstance(open_origin(source, Approach()), kind)

    @pytest.mark.parametrize(
        ("source", "trust", "reason"),
        [
            ("http://policies.example/p.bundle", Trust(), "over http anybody on the way can change it"),
            ("policies", TRUST, "carries no signatures"),
            ("p.bundle", Trust((ALICE.verifier,), 2), "2 signers are needed and fewer have keys"),
            ("p.bundle", Trust((ALICE.verifier, Signer.generate("alice").verifier), 2), "fewer have keys"),
            ("git+https://git.example/p.git", Trust(), "give git"),
        ],
    )
    def test_what_is_not_safe_is_refused(self, source: str, trust: Trust, reason: str) -> None:
        with pytest.raises(SourceError, match=reason):
            open_origin(source, Approach(trust=trust))

    def test_over_http_signatures_are_enough(self) -> None:
        assert open_origin("http://policies.example/p.bundle", Approach(trust=TRUST))
