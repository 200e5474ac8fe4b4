"""Files that are damaged or mean harm: one sentence, nothing run, nothing claimed."""

import builtins
import os
import pickle
import struct
import tarfile
import time
import zipfile
import zlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxnvc.errors import InputError, JaxnvcError, ModelError
from jaxnvc.models.torch_checkpoint import read_state_dict
from tests.oracles.torch_writer import (
    Stored,
    View,
    legacy_bytes,
    named,
    program,
    tensor,
    text,
    zip_bytes,
)

FOUR = Stored("0", np.arange(4, dtype="float32"))
GOOD = {"a": View(FOUR, (2, 2), (2, 1)), "b": tensor("1", np.ones(3, "float32"))}
OPTIMIZER = {"net": GOOD, "opt": {"lr": 0.1}}


@pytest.fixture
def refused(tmp_path):
    """Reads bytes and returns the sentence that refuses them."""

    def read(data, kind=InputError):
        path = tmp_path / "bad.pth"
        path.write_bytes(data)
        with pytest.raises(kind) as caught:
            read_state_dict(path)
        message = str(caught.value)
        assert "\n" not in message
        assert str(path) in message
        return message

    return read


class _Calls:
    """What pickles as a call."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch harm",)),
        (builtins.eval, ("open('harm', 'w')",)),
        (builtins.exec, ("open('harm', 'w')",)),
        (builtins.getattr, (os, "system")),
        (builtins.__import__, ("this",)),
        (builtins.open, ("harm", "w")),
    ],
)
def test_calls_are_refused_by_name_and_not_made(
    refused, tmp_path, monkeypatch, function, arguments, protocol
):
    monkeypatch.chdir(tmp_path)
    arguments = [a for a in arguments if a is not os]
    data = pickle.dumps({"net": _Calls(function, *arguments)}, protocol)
    message = refused(zip_bytes(pickle=data))
    assert function.__name__ in message
    assert "refused" in message
    assert not (tmp_path / "harm").exists()


CALL_ONE = b"(K\x01tR"
FORMS = {
    "torch function": (named("torch", "load") + CALL_ONE, "torch.load"),
    "torch hub": (named("torch.hub", "load") + CALL_ONE, "torch.hub.load"),
    "torch module": (named("torch.nn", "Linear") + b")R", "torch.nn.Linear"),
    "dotted name": (named("collections", "OrderedDict.fromkeys"), "fromkeys"),
    "dots in the module": (named("torch.FloatStorage", "tofile"), "tofile"),
    "stack global": (text("os") + text("system") + b"\x93", "os.system"),
    "copyreg": (named("copyreg", "_reconstructor") + CALL_ONE, "_reconstructor"),
    "extension": (b"\x82\x01", "EXT1"),
    "instance": (b"(ios\nsystem\n", "INST"),
    "object": (b"(cos\nsystem\no", "os.system"),
    "new object": (named("collections", "OrderedDict") + b")\x81", "NEWOBJ"),
    "text persistent id": (b"Pstorage\n", "PERSID"),
    "bytes": (b"C\x01a", "SHORT_BINBYTES"),
    "dictionary with arguments": (
        named("collections", "OrderedDict") + CALL_ONE,
        "OrderedDict",
    ),
    "storage class called": (named("torch", "FloatStorage") + CALL_ONE, "FloatStorage"),
    "parameter of no tensor": (
        named("torch._utils", "_rebuild_parameter") + CALL_ONE,
        "_rebuild_parameter",
    ),
    "tensor of no storage": (
        named("torch._utils", "_rebuild_tensor_v2") + CALL_ONE,
        "tensor",
    ),
    "attributes of a list": (b"]}b", "attributes"),
    "tuple as key": (b"})K\x01s", "key"),
    "call of a number": (b"K\x01)R", "value"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["alone", "in the optimizer"])
def test_what_is_no_plain_data_is_refused_by_name(refused, form, place):
    body, word = FORMS[form]
    value = body if place == "alone" else OPTIMIZER | {"opt": body}
    assert word in refused(zip_bytes(value))
    assert word in refused(legacy_bytes(value))


STORAGE_CLASS = named("torch", "FloatStorage")


@pytest.mark.parametrize(
    "identity",
    [
        text("storage"),
        b"(" + text("module") + STORAGE_CLASS + text("0") + text("cpu") + b"K\x04t",
        b"(" + text("storage") + text("x") + text("0") + text("cpu") + b"K\x04t",
        b"(" + text("storage") + STORAGE_CLASS + b"K\x00" + text("cpu") + b"K\x04t",
        b"(" + text("storage") + STORAGE_CLASS + text("0") + text("cpu") + b"\x88t",
        b"(" + text("storage") + STORAGE_CLASS + text("0") + text("cpu") + b"t",
        b"("
        + text("storage")
        + named("collections", "OrderedDict")
        + text("0")
        + text("cpu")
        + b"K\x04t",
    ],
)
def test_a_persistent_id_of_another_form_is_refused(refused, identity):
    assert "storage" in refused(zip_bytes({"net": identity + b"Q"}))


def test_every_truncation_is_noticed(refused):
    for write in (zip_bytes, legacy_bytes):
        data = write(GOOD)
        for length in range(0, len(data), 7):
            refused(data[:length])


@hypothesis.settings(deadline=None, max_examples=300, derandomize=True)
@hypothesis.given(data=st.data(), legacy=st.booleans())
def test_changed_bytes_end_in_a_sentence_or_in_arrays(tmp_path_factory, data, legacy):
    whole = bytearray((legacy_bytes if legacy else zip_bytes)(OPTIMIZER))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(
            st.integers(0, 255)
        )
    path = tmp_path_factory.getbasetemp() / "changed.pth"
    path.write_bytes(whole)
    outcome = _read_or_explain(path)
    if isinstance(outcome, str):
        assert "\n" not in outcome
    else:
        # Every element lies in memory that was read.
        assert all(np.array(array).nbytes >= 0 for array in outcome.values())


def _read_or_explain(path):
    try:
        return read_state_dict(path)
    except JaxnvcError as error:
        return str(error)


VIEWS = {
    "beyond its end": View(FOUR, (5,), (1,)),
    "beyond its end by strides": View(FOUR, (2, 2), (3, 1)),
    "beyond its end by an offset": View(FOUR, (2,), (1,), offset=3),
    "before its start": View(FOUR, (2,), (1,), offset=-1),
    "backwards": View(FOUR, (2,), (-1,), offset=1),
    "of negative size": View(FOUR, (-2,), (1,)),
    "of absurd size": View(FOUR, (10**9, 10**9), (0, 0)),
    "of absurd size beside none": View(FOUR, (0, 10**30), (1, 1)),
    "of absurd stride": View(FOUR, (2,), (10**30,)),
    "of absurd rank": View(FOUR, (1,) * 65, (1,) * 65),
    "of two ranks": View(FOUR, (2,), (1, 1)),
    "of a fraction": View(FOUR, (2.0,), (1,)),
}


@pytest.mark.parametrize("kind", VIEWS)
def test_a_tensor_beyond_its_storage_is_refused(refused, kind):
    for write in (zip_bytes, legacy_bytes):
        assert "tensor" in refused(write({"w": VIEWS[kind]}))


@pytest.mark.parametrize("claimed", [0, 3, 5, 2**40, 2**62, 10**30, -4])
def test_a_storage_that_claims_another_size_is_refused(refused, claimed):
    liar = Stored("0", np.arange(4, dtype="float32"), claimed_size=claimed)
    for write in (zip_bytes, legacy_bytes):
        refused(write({"w": View(liar, (2,), (1,))}))


@pytest.mark.parametrize(
    "body",
    [
        b"\x8d" + struct.pack("<Q", 2**62),  # a string of 2**62 bytes
        b"\x8b" + struct.pack("<i", 2**31 - 1),  # an integer of 2**31 bytes
        b"}r" + struct.pack("<I", 2**32 - 1) + b"0",  # the last place of the memo
        b"\x95" + struct.pack("<Q", 2**62),  # a frame of 2**62 bytes
        b"}" + b"\x85" * 500_000,  # half a million tuples in each other
    ],
)
def test_claims_of_a_pickle_cost_nothing(refused, body):
    begin = time.monotonic()
    refused(zip_bytes(pickle=program(body)), kind=JaxnvcError)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("body", [b"", b"0", b"t", b"h\x05", b"(", b"]u", b"NN", b"Q"])
def test_a_pickle_that_makes_no_sense_is_refused(refused, body):
    refused(zip_bytes(pickle=program(body)))


def test_archives_that_are_not_of_torch_save_are_refused(refused):
    assert "compressed" in refused(zip_bytes(GOOD, compression=zipfile.ZIP_DEFLATED))
    assert "byte order" in refused(zip_bytes(GOOD, byteorder="middle"))
    assert "missing" in refused(
        zip_bytes({"w": View(FOUR, (2,), (1,))}).replace(
            b"archive/data/0", b"archive/data/9"
        )
    )
    second = [("more/data.pkl", program(b"}"))]
    assert "instead of one" in refused(zip_bytes(GOOD, extra=second))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zip_bytes(GOOD, extra=[("data/0", bytes(16))])
    assert "twice" in refused(twice)


def test_members_that_overlap_are_refused(refused):
    """Many names for the same bytes, as in a zip bomb without compression."""
    big = zip_bytes(GOOD, extra=[("data/2", bytes(5000)), ("data/3", b"")])
    entry = big.rindex(b"PK\x01\x02")
    donor = big.rindex(b"PK\x01\x02", 0, entry)
    bomb = bytearray(big)
    # Checksum, sizes and place of the one become those of the other.
    for begin, end in ((16, 28), (42, 46)):
        bomb[entry + begin : entry + end] = big[donor + begin : donor + end]
    assert "more bytes than it has" in refused(bytes(bomb))


def test_a_member_that_is_shorter_than_it_claims_is_refused(refused):
    """Otherwise a tensor would show memory that is not the file's."""
    data = bytearray(zip_bytes({"w": View(FOUR, (2, 2), (2, 1))}))
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    while data[entry + 46 : entry + 60] != b"archive/data/0":
        entry = data.index(b"PK\x01\x02", entry + 4)
    place = struct.unpack_from("<I", data, entry + 42)[0]
    for held in (entry + 20, place + 18):
        struct.pack_into("<I", data, held, 8)
    checksum = zlib.crc32(FOUR.numbers.tobytes()[:8])
    for crc in (entry + 16, place + 14):
        struct.pack_into("<I", data, crc, checksum)
    refused(bytes(data))


def test_what_is_no_checkpoint_is_refused(refused, tmp_path):
    for data in (b"", b"PK", b"not a checkpoint\n" * 99, pickle.dumps({"w": 1})):
        assert "not a PyTorch checkpoint" in refused(data)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "data.pkl" in refused((tmp_path / "other.zip").read_bytes())
    with tarfile.open(tmp_path / "real.tar", "w") as archive:
        archive.add(tmp_path / "other.zip")
    refused((tmp_path / "real.tar").read_bytes())


@pytest.mark.parametrize("place", ["missing.pth", ".", "/dev/zero"])
def test_what_is_no_file_is_refused(tmp_path, place):
    with pytest.raises(InputError):
        read_state_dict(tmp_path / place)


@pytest.mark.parametrize(
    "value",
    [
        {"epoch": 3, "model": GOOD},
        {3: GOOD["a"]},
        {"a": GOOD["a"], "module.a": GOOD["a"]},
        GOOD["a"],
        [GOOD["a"]],
        {"state_dict": 1.5},
    ],
    ids=["another layout", "numbered", "named twice", "a tensor", "a list", "a number"],
)
def test_a_checkpoint_without_named_tensors_is_another_model(refused, value):
    assert "state_dict()" in refused(zip_bytes(value), kind=ModelError)
