import os
import subprocess
import sys
import textwrap

import pytest

from jaxnvc.errors import UsageError
from jaxnvc.video import FrameMd5Writer, OutputError, create_video, open_video
from tests.video.clips import info_of, is_one_sentence_of, noise, same_pictures, timed
from tests.video.clips import write_clip as write

OUTPUTS = ["a.y4m", "a.yuv", "a.mkv", "a.mp4"]


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    for name in ("a.webm", "a"):
        with pytest.raises(UsageError, match=r"\.y4m, \.yuv, \.mkv, \.mp4 or -"):
            create_video(tmp_path / name, info_of(4, 4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 16), (16, 17)])
def test_odd_sizes_are_refused_for_mp4_with_the_remedy(tmp_path, width, height):
    with pytest.raises(UsageError, match=r"write \.mkv or \.y4m"):
        create_video(tmp_path / "a.mp4", info_of(width, height))


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path, name):
    path, pictures = tmp_path / name, noise(16, 16, 1)
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="already exists"):
        create_video(path, info_of(16, 16))
    assert path.read_bytes() == b"precious"
    with create_video(path, info_of(16, 16), overwrite=True) as writer:
        writer.write(timed(pictures)[0])
        assert path.read_bytes() == b"precious"
    assert path.stat().st_size > 300
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_exception_leaves_nothing_behind(tmp_path, name):
    def fail_after_one_frame():
        with create_video(tmp_path / name, info_of(16, 16)) as writer:
            writer.write(timed(noise(16, 16, 1))[0])
            assert len(os.listdir(tmp_path)) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_one_frame()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a.y4m", "a_16x16_25fps.yuv", "a.mkv", "a.mp4"])
def test_a_partial_output_can_be_kept(tmp_path, name):
    pictures = noise(16, 16, 3)

    def fail_after_three_frames():
        with create_video(tmp_path / name, info_of(16, 16)) as writer:
            writer.keep_partial()
            for frame in timed(pictures):
                writer.write(frame)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_three_frames()
    assert os.listdir(tmp_path) == [name]
    assert same_pictures(list(open_video(tmp_path / name)), pictures)


@pytest.mark.parametrize("name", OUTPUTS)
def test_closing_decides_and_may_be_repeated(tmp_path, name):
    writer = create_video(tmp_path / name, info_of(16, 16))
    frame = timed(noise(16, 16, 1))[0]
    writer.write(frame)
    writer.close(commit=False)
    writer.close()
    assert os.listdir(tmp_path) == []
    with pytest.raises(UsageError, match="is closed"):
        writer.write(frame)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_video_of_no_frames_is_not_made(tmp_path, name):
    with (
        pytest.raises(OutputError, match="not one frame"),
        create_video(tmp_path / name, info_of(16, 16)),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_frames_of_another_kind_are_refused(tmp_path):
    for wrong in (noise(16, 18, 1), noise(16, 16, 1, 10)):
        pictures = [*noise(16, 16, 1), *wrong]
        with pytest.raises(UsageError, match="does not fit"):
            write(tmp_path / "a.mkv", pictures, info_of(16, 16))


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_missing_folder_is_reported(tmp_path, name):
    with pytest.raises(OutputError, match="cannot be written") as error:
        create_video(tmp_path / "nowhere" / name, info_of(4, 4))
    assert is_one_sentence_of(error, tmp_path / "nowhere" / name)


def test_a_folder_is_no_output(tmp_path):
    (tmp_path / "a.mkv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        create_video(tmp_path / "a.mkv", info_of(4, 4), overwrite=True)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_full_disk_is_reported_and_nothing_is_left(tmp_path, name):
    # A limit on the size of files fails writes just as a full disk does.
    code = f"""
        import resource
        from jaxnvc.video import OutputError, create_video
        from tests.video.clips import info_of, noise, timed
        resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
        try:
            with create_video({str(tmp_path / name)!r}, info_of(160, 96)) as writer:
                for frame in timed(noise(160, 96, 8)):
                    writer.write(frame)
        except OutputError as error:
            print(error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "cannot be written (file too large)" in result.stdout
    assert result.stderr == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device_is_reported(tmp_path):
    (tmp_path / "a.y4m").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="no space left"):
        write(tmp_path / "a.y4m", noise(64, 64, 3), info_of(64, 64))


def test_a_symbolic_link_stays_a_link(tmp_path):
    (tmp_path / "real.y4m").write_bytes(b"old")
    (tmp_path / "link.y4m").symlink_to(tmp_path / "real.y4m")
    with create_video(tmp_path / "link.y4m", info_of(2, 2), overwrite=True) as writer:
        writer.write(timed(noise(2, 2, 1))[0])
    assert (tmp_path / "link.y4m").is_symlink()
    assert (tmp_path / "real.y4m").read_bytes().startswith(b"YUV4MPEG2")


def test_checksums_of_an_existing_file_are_refused(tmp_path):
    (tmp_path / "a.md5").write_text("precious")
    with pytest.raises(UsageError, match="already exists"):
        FrameMd5Writer(tmp_path / "a.md5", info_of(2, 2))
