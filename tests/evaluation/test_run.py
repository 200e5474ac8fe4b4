"""A run measures real files, and says how."""

import contextlib
import csv
import gc
import json
import pathlib
import re
import shlex
import shutil
import subprocess
from fractions import Fraction

import av
import av.filter
import pytest

import jaxnvc
from jaxnvc.cli.main import main
from jaxnvc.evaluation.coders import ffmpeg_program
from jaxnvc.metrics import psnr_yuv
from jaxnvc.video import open_video
from tests.evaluation.conftest import FRAMES, QPS, RATES
from tests.oracles import psnr_numpy, rgb_ffmpeg

TICK = Fraction(1, 25)


def pictures(path, count=FRAMES):
    with open_video(str(path), frames=count) as reader:
        return [frame.planes for frame in reader]


def units(stream):
    """The units of an Annex B stream, without their start codes."""
    return [unit for unit in re.split(rb"\x00*\x00\x00\x01", stream) if unit]


def test_every_clip_codec_and_setting_has_a_result(measured):
    assert measured.code == 0
    kinds = [(line["codec"], line["rate"]) for line in measured.lines]
    wanted = [("chunked", qp) for qp in QPS]
    wanted += [(f"{t}-ld-medium", r) for t in ("x264", "x265") for r in RATES]
    assert kinds == wanted
    assert {line["status"] for line in measured.lines} == {"ok"}


def test_the_bytes_are_those_of_the_file_and_bpp_counts_them_all(measured):
    for line in measured.lines:
        size = (measured.folder / line["stream"]).stat().st_size
        assert line["num_bytes"] == size
        assert line["bpp"] == pytest.approx(8 * size / (64 * 48 * FRAMES))


def test_a_model_s_stream_is_the_one_that_encode_writes(measured, tmp_path):
    line = measured.of("chunked")[1]
    out = tmp_path / "same.nvc"
    options = ["--frames", str(FRAMES), "--model", measured.model, "--quiet"]
    assert main(["encode", measured.clip, str(out), "--qp", "20", *options]) == 0
    assert out.read_bytes() == (measured.folder / line["stream"]).read_bytes()


def test_quality_is_that_of_the_stream_decoded_by_anybody(measured):
    for line in measured.of("x264-ld-medium") + measured.of("x265-ld-medium"):
        quality = psnr_yuv(
            pictures(measured.clip), pictures(measured.folder / line["stream"])
        )
        for plane, decibels in quality.items():
            assert line[f"psnr_{plane}"] == pytest.approx(decibels, abs=1e-6)


def test_x264_s_bytes_are_those_of_the_same_options_by_hand(measured, tmp_path):
    line = measured.of("x264-ld-medium")[1]
    out = tmp_path / "hand.264"
    options = {"preset": "medium", "tune": "zerolatency", "crf": "28", "bf": "0"}
    options["x264-params"] = "keyint=infinite:scenecut=0"
    with av.open(measured.clip) as source, av.open(str(out), "w", "h264") as target:
        stream = target.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(source.decode(video=0)):
            if number < FRAMES:
                frame.pict_type = 0  # raw frames say "intra", which would be obeyed
                target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    stored = (measured.folder / line["stream"]).read_bytes()
    notes = [unit for unit in units(out.read_bytes()) if unit[0] & 31 == 6]
    assert len(notes) == 1
    assert units(stored) == [u for u in units(out.read_bytes()) if u not in notes]


def test_the_recorded_command_writes_the_same_bytes_where_ffmpeg_has_our_x264(
    measured, tmp_path
):
    line = measured.of("x264-ld-medium")[2]
    if ffmpeg_program() is None:
        pytest.skip("there is no ffmpeg program")
    words = shlex.split(line["parameters"])
    out = tmp_path / "OUT.264"
    words = [{"waves.y4m": measured.clip, "OUT.264": str(out)}.get(w, w) for w in words]
    done = subprocess.run(
        [ffmpeg_program(), *words[1:]], capture_output=True, text=True, check=True
    )
    core = re.search(r"core \d+", line["version"])[0]
    assert out.read_bytes()
    noted = tmp_path / "noted.264"
    plain = words[: words.index("-bsf:v")] + ["-f", "h264", str(noted)]
    subprocess.run([ffmpeg_program(), *plain[1:]], capture_output=True, check=True)
    if core.encode() not in noted.read_bytes():
        pytest.skip(f"the program has another x264 than {core}: {done.stderr[:80]}")
    assert out.read_bytes() == (measured.folder / line["stream"]).read_bytes()


def test_psnr_agrees_with_ffmpeg_s_own_within_a_hundredth(measured, tmp_path):
    line = measured.of("x265-ld-medium")[2]
    log = tmp_path / "psnr.log"
    graph = av.filter.Graph()
    sides = [
        graph.add_buffer(width=64, height=48, format="yuv420p", time_base=TICK)
        for _ in range(2)
    ]
    node = graph.add("psnr", f"stats_file={log}")
    sink = graph.add("buffersink")
    for number, side in enumerate(sides):
        side.link_to(node, 0, number)
    node.link_to(sink)
    graph.configure()
    paths = [measured.folder / line["stream"], measured.clip]
    for side, path in zip(sides, paths, strict=True):
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number < FRAMES:
                    frame.pts, frame.time_base = number, TICK
                    side.push(frame)
        side.push(None)
    with contextlib.suppress(av.error.EOFError):
        while sink.pull():
            pass
    # The filter writes its file's end when it goes away.
    del graph, sides, side, node, sink
    gc.collect()
    for plane in "yuv":
        values = re.findall(rf"psnr_{plane}:([\d.]+)", log.read_text())
        assert len(values) == FRAMES
        mean = sum(map(float, values)) / FRAMES
        assert line[f"psnr_{plane}"] == pytest.approx(mean, abs=0.01)


def test_each_frame_has_a_row_with_its_kind_bytes_and_quality(measured):
    for line in measured.lines:
        table = measured.folder / "frames" / line["stream"].split("/", 1)[1]
        with table.with_suffix(".csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["kind"] for row in rows] == ["intra"] + ["inter"] * (FRAMES - 1)
        assert 0 < sum(int(row["bytes"] or 0) for row in rows) <= line["num_bytes"]
        mean = sum(float(row["psnr_yuv"]) for row in rows) / FRAMES
        assert mean == pytest.approx(line["psnr_yuv"], abs=1e-4)
        assert all(float(row["decode_ms"]) >= 0 for row in rows)


def test_what_a_chunk_of_frames_takes_stands_at_its_first(measured):
    for line in measured.of("chunked"):
        table = measured.folder / "frames" / line["stream"].split("/", 1)[1]
        with table.with_suffix(".csv").open() as file:
            rows = list(csv.DictReader(file))
        # An intra frame, three frames of a chunk, and the first of the next.
        for name in ("bytes", "encode_ms"):
            assert [bool(row[name]) for row in rows] == [True, True, False, False, True]


def test_quality_in_rgb_is_measured_on_request(measured):
    line = measured.of("x264-ld-medium")[1]
    pair = pictures(measured.clip), pictures(measured.folder / line["stream"])
    frames = [map(rgb_ffmpeg.rgb, side) for side in pair]
    psnr = [psnr_numpy.plane_psnr(*both, 255) for both in zip(*frames, strict=True)]
    assert line["psnr_rgb"] == pytest.approx(sum(psnr) / FRAMES, abs=0.01)
    assert line["ms_ssim_rgb"] is None  # too small for five scales
    assert "| psnr_rgb |" in (measured.folder / "tables.md").read_text()


def test_results_say_how_they_were_made(measured):
    for line in measured.lines:
        assert line["environment"]["jaxnvc"] == jaxnvc.__version__
        assert str(line["rate"]) in line["parameters"]
        assert line["version"]
        assert line["encode_peak_mib"] > 10
    assert re.search(r"x264 - core \d+", measured.of("x264-ld-medium")[0]["version"])
    assert "x265 (build" in measured.of("x265-ld-medium")[0]["version"]


def test_tables_compare_the_model_with_both_encoders(measured):
    text = (measured.folder / "tables.md").read_text()
    assert "## BD-rate of chunked" in text
    assert "| clip | x264-ld-medium | x265-ld-medium |" in text
    assert "| waves | chunked | " in text


def test_tables_are_json_too(measured):
    values = json.loads((measured.folder / "tables.json").read_text())
    assert len(values["points"]) == len(measured.lines)
    pairs = {(one["test"], one["anchor"]) for one in values["bd_rates"]}
    assert pairs == {("chunked", "x264-ld-medium"), ("chunked", "x265-ld-medium")}
    assert values["environment"]["jaxnvc"] == jaxnvc.__version__


def test_the_summary_has_the_figures_of_the_run(measured):
    short = json.loads((measured.folder / "short.json").read_text())
    assert short["command"].startswith("jaxnvc")
    assert short["environments"] == [measured.lines[0]["environment"]]
    lines = {(line["codec"], line["setting"]): line for line in measured.lines}
    assert len(short["points"]) == len(lines)
    for point in short["points"]:
        line = lines[point["codec"], point["setting"]]
        assert point["num_bytes"] == line["num_bytes"]
        for name in ("bpp", "psnr_yuv", "psnr_rgb"):
            assert point[name] == pytest.approx(line[name], rel=1e-5)
    model = short["codecs"][0]
    assert model["codec"] == "chunked"
    assert f"id={model['model_id']} " in model["parameters"]
    means = [mean for mean in short["bd_means"] if mean["quality"] == "psnr_yuv"]
    assert [mean["anchor"] for mean in means] == ["x264-ld-medium", "x265-ld-medium"]
    for mean in means:
        same = {"test": "chunked", "anchor": mean["anchor"], "quality": "psnr_yuv"}
        (one,) = (x for x in short["bd_rates"] if same.items() <= x.items())
        assert mean["of"] == 1
        assert mean["percent"] == one.get("percent")
        assert mean["clips"] == ("percent" in one)


def test_curves_are_drawn_where_matplotlib_is(measured):
    pytest.importorskip("matplotlib")
    names = {path.name for path in (measured.folder / "plots").iterdir()}
    assert names == {
        f"rd_{quality}.{kind}"
        for quality in ("psnr_yuv", "psnr_rgb")
        for kind in ("png", "svg")
    }


def test_the_report_needs_nothing_but_itself(measured):
    page = (measured.folder / "report.html").read_text()
    outside = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(https?:)?//""", page)
    assert not outside
    assert "data:image/png;base64," in page
    assert "prefers-color-scheme: dark" in page


def test_the_report_draws_itself_where_there_is_chromium(measured, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    options += ["--virtual-time-budget=3000", f"--user-data-dir={tmp_path}"]
    page = pathlib.Path(measured.folder / "report.html").as_uri()
    done = subprocess.run(
        [chromium, *options, page],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert 'data-drawn="yes"' in done.stdout
    assert done.stdout.count('class="curve"') >= 6
