"""The compiled messages are those of the .proto file, and share a process with the clients' own."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import InvalidInput, TooLarge
from service.grpc.messages import MAX_BYTES, message_class, parse
from tests.architecture.source import ROOT

COMPILED = ROOT / "service" / "grpc" / "open_inference.binpb"


def test_the_compiled_form_is_that_of_the_source(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools.protoc")
    written = tmp_path / "compiled"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={COMPILED.parent}"]
    subprocess.run([*command, f"--descriptor_set_out={written}", "open_inference.proto"], check=True)

    assert written.read_bytes() == COMPILED.read_bytes(), "run scripts/compile-protobuf"


@pytest.mark.parametrize("client", ["tritonclient.grpc.service_pb2", "kserve.protocol.grpc.grpc_predict_v2_pb2"])
@pytest.mark.parametrize("order", ["service first", "client first"])
def test_the_messages_share_a_process_with_those_of_clients(client: str, order: str) -> None:
    pytest.importorskip(client.partition(".")[0])
    imports = ["import service.grpc.messages as own", f"import {client} as others"]
    if order == "client first":
        imports.reverse()
    # The same bytes are the same message to both.
    check = "assert own.parse('ModelReadyRequest', others.ModelReadyRequest(name='x').SerializeToString()).name == 'x'"
    script = "\n".join([*imports, check])

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stderr


def test_field_numbers_are_those_of_the_protocol() -> None:
    script = """
import sys
from tritonclient.grpc import model_config_pb2, service_pb2
import service.grpc.messages as own

theirs = {}
def add(message):
    theirs[message.full_name] = {(f.name, f.number, f.type) for f in message.fields}
    for nested in message.nested_types:
        add(nested)
for file in (service_pb2, model_config_pb2):
    for message in file.DESCRIPTOR.message_types_by_name.values():
        add(message)

def compare(message):
    ours = {(f.name, f.number, f.type) for f in message.fields}
    assert ours <= theirs[message.full_name], (message.full_name, ours - theirs[message.full_name])
    for nested in message.nested_types:
        compare(nested)
file = own.pool.FindFileByName("open_inference.proto")
for message in file.message_types_by_name.values():
    compare(message)
for name, method in file.services_by_name["GRPCInferenceService"].methods_by_name.items():
    other = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
    assert method.input_type.full_name == other.input_type.full_name
    assert method.output_type.full_name == other.output_type.full_name
print(len(file.message_types_by_name))
"""
    pytest.importorskip("tritonclient")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def test_what_is_no_message_is_refused() -> None:
    for body in (b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff"):
        with pytest.raises(InvalidInput, match="ModelReadyRequest"):
            parse("ModelReadyRequest", body)
    with pytest.raises(TooLarge):
        parse("ModelReadyRequest", message_class("ModelReadyRequest")(name="x" * MAX_BYTES).SerializeToString())
