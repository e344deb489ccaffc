import base64

import pytest

from backend.errors import ImageNotFound
from backend.infra.images.folder_names import FolderNames

CAT_IN_A_BUCKET = base64.urlsafe_b64encode(b"s3://bucket/pics/cat.jpg").decode()


@pytest.fixture
def names(tmp_path):
    """Return the files of a folder, made empty, and of the references that are known."""

    def make(files, references=(), folder="pictures"):
        root = tmp_path / folder
        for file in files:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        found = FolderNames(root, references)

        def find(reference):
            path = found.find(reference)
            return None if path is None else path.relative_to(root).as_posix()

        return find

    return make


@pytest.mark.parametrize(
    ("reference", "files", "found"),
    [
        pytest.param("cat.jpg", ["cat.jpg"], "cat.jpg", id="bare name"),
        pytest.param("cat.jpg", ["cat.jpg", "old/cat.jpg"], "cat.jpg", id="the path itself comes first"),
        pytest.param("cat.jpg", ["animals/cat.jpg"], "animals/cat.jpg", id="the only one of its name"),
        pytest.param("a/cat.jpg", ["x/a/cat.jpg", "x/b/cat.jpg"], "x/a/cat.jpg", id="below another folder"),
        pytest.param("a b/c%20d.jpg", ["a b/c d.jpg"], "a b/c d.jpg", id="encoded"),
        pytest.param("a/c%20d.jpg", ["a/c%20d.jpg", "a/c d.jpg"], "a/c%20d.jpg", id="as written first"),
        pytest.param("cat #1?.jpg", ["cat #1?.jpg"], "cat #1?.jpg", id="hash and question mark"),
        pytest.param("images\\cat 1.jpg", ["images/cat 1.jpg"], "images/cat 1.jpg", id="Windows, relative"),
        pytest.param("C:\\data\\images\\cat.jpg", ["images/cat.jpg"], "images/cat.jpg", id="Windows"),
        pytest.param("\\\\nas\\scans\\a\\cat.jpg", ["a/cat.jpg"], "a/cat.jpg", id="Windows share"),
        pytest.param("\\scans\\a\\cat.jpg", ["a/cat.jpg"], "a/cat.jpg", id="Windows without drive"),
        pytest.param("D:/images/cat.jpg", ["cat.jpg"], "cat.jpg", id="Windows with slashes"),
        pytest.param(
            "file:///C:/images/cat.jpg", ["images/cat.jpg"], "images/cat.jpg", id="Windows as file:"
        ),
        pytest.param("/home/me/images/cat.jpg", ["images/cat.jpg"], "images/cat.jpg", id="another machine's"),
        pytest.param("żółw/日本.png", ["żółw/日本.png"], "żółw/日本.png", id="unicode"),
        pytest.param(
            "/data/local-files/?d=yolo/images/cell%201.png",
            ["yolo/images/cell 1.png"],
            "yolo/images/cell 1.png",
            id="local file, whole",
        ),
        pytest.param(
            "/data/local-files/?d=yolo/images/cell%201.png", ["cell 1.png"], "cell 1.png", id="local, cut"
        ),
        pytest.param(
            "/data/local-files/?d=yolo/images/cell 1.png",
            ["images/cell 1.png", "labels/cell 1.png"],
            "images/cell 1.png",
            id="longest matching tail",
        ),
        pytest.param("/data/local-files/?d=a%23b.png", ["a#b.png"], "a#b.png", id="local, hash"),
        pytest.param("/data/local-files/?d=a#b.png", ["a#b.png"], "a#b.png", id="local, bare hash"),
        pytest.param("/data/local-files/?d=a%5Cb.png", ["a/b.png"], "a/b.png", id="local, Windows"),
        pytest.param("/data/local-files/?d=a+b.png", ["a b.png"], "a b.png", id="local, plus"),
        pytest.param(
            "https://host/ls/data/local-files/?d=a/b.png", ["a/b.png"], "a/b.png", id="local, whole address"
        ),
        pytest.param(
            "/data/upload/7/3f2a91c0-cat.jpg", ["3f2a91c0-cat.jpg"], "3f2a91c0-cat.jpg", id="upload"
        ),
        pytest.param("/data/upload/7/3f2a91c0-cat.jpg", ["cat.jpg"], "cat.jpg", id="before the upload"),
        pytest.param(
            "/ls/data/upload/7/3f2a91c0-cat.jpg",
            ["media/upload/7/3f2a91c0-cat.jpg"],
            "media/upload/7/3f2a91c0-cat.jpg",
            id="Label Studio's media folder",
        ),
        pytest.param(
            "http://host:8080/data/upload/7/3f2a91c0-a b.jpg", ["a b.jpg"], "a b.jpg", id="its address"
        ),
        pytest.param("/data/upload/7/3f2a91c0-50%25.jpg", ["50%.jpg"], "50%.jpg", id="upload, encoded"),
        pytest.param("/data/upload/7/old.jpg", ["old.jpg"], "old.jpg", id="upload without digits"),
        pytest.param("s3://bucket/pics/cat.jpg", ["pics/cat.jpg"], "pics/cat.jpg", id="synchronised bucket"),
        pytest.param(
            f"/tasks/5/presign/?fileuri={CAT_IN_A_BUCKET}", ["pics/cat.jpg"], "pics/cat.jpg", id="resolved"
        ),
        pytest.param(
            f"http://host/ls/projects/5/resolve/?fileuri={CAT_IN_A_BUCKET}",
            ["cat.jpg"],
            "cat.jpg",
            id="resolved for a project",
        ),
        pytest.param("/tasks/5/presign/?fileuri=AAAAA", ["pics/cat.jpg"], None, id="resolved, broken"),
        pytest.param("gr\u00fcn.png", ["gru\u0308n.png"], "gru\u0308n.png", id="files from macOS"),
        pytest.param("gru\u0308n.png", ["gr\u00fcn.png"], "gr\u00fcn.png", id="tasks from macOS"),
        pytest.param("b/0001.png", ["a/0001.png"], None, id="another folder's"),
        pytest.param("b/0001.png", ["0001.png"], None, id="the upper folder's"),
        pytest.param("/data/local-files/?d=b/0001.png", ["a/0001.png"], None, id="another's, local"),
        pytest.param("train-1.png", ["1.png"], None, id="part of a name"),
        pytest.param("/data/upload/7/train-1.png", ["1.png"], None, id="no upload's digits"),
        pytest.param("1.png", ["train-1.png", "11.png", "1.png.bak"], None, id="longer names"),
        pytest.param("https://example.com/cat.jpg", ["cat.jpg"], None, id="web address"),
        pytest.param("//example.com/cat.jpg", ["cat.jpg"], None, id="address without scheme"),
        pytest.param(
            "https://example.com/a/cat.jpg?x=cat.jpg", ["a/cat.jpg"], None, id="web address and path"
        ),
        pytest.param("../cat.jpg", ["cat.jpg"], None, id="above the folder"),
        pytest.param("../files/cat.jpg", ["files/cat.jpg"], "files/cat.jpg", id="beside the tasks"),
        pytest.param("..\\..\\files\\cat.jpg", ["files/cat.jpg"], "files/cat.jpg", id="the same on Windows"),
        pytest.param("../files/cat.jpg", ["cat.jpg"], None, id="beside the tasks, elsewhere"),
        pytest.param("files/../cat.jpg", ["cat.jpg"], None, id="up on the way"),
        pytest.param("data:image/png;base64,AAAA", ["AAAA"], None, id="data URI"),
        pytest.param("", ["a.png"], None, id="empty"),
        pytest.param("/", ["a.png"], None, id="no name"),
    ],
)
def test_the_file_that_is_meant(names, reference, files, found):
    assert names(files)(reference) == found
    assert names(files, [reference])(reference) == found


def test_two_files_of_one_name_in_two_forms_of_unicode_are_ambiguous(names):
    with pytest.raises(ImageNotFound, match="may be any of"):
        names(["\u00e9.png", "e\u0301.png"])("\u00e9.png")


def test_the_folder_may_be_named_by_the_reference(names):
    find = names(["cat 1.jpg"], folder="yolo/images")
    assert find("images/cat 1.jpg") == find("yolo/images/cat%201.jpg") == "cat 1.jpg"
    assert find("labels/cat 1.jpg") is None


@pytest.mark.parametrize(
    ("reference", "files", "words"),
    [
        pytest.param("cat.jpg", ["a/cat.jpg", "b/cat.jpg"], ["a/cat.jpg", "b/cat.jpg"], id="two of a name"),
        pytest.param("a/cat.jpg", ["x/a/cat.jpg", "y/a/cat.jpg"], ["x/a/cat.jpg"], id="two of a path"),
        pytest.param(
            "/data/local-files/?d=b/1.png",
            ["1.png", "a/1.png"],
            ["1.png", "a/1.png"],
            id="cut to a name of two",
        ),
        pytest.param(
            "/data/upload/7/3f2a91c0-cat.jpg", ["a/cat.jpg", "b/cat.jpg"], ["a/cat.jpg"], id="original name"
        ),
        pytest.param("cat.jpg", [f"{k}/cat.jpg" for k in range(9)], ["and 4 more"], id="many"),
    ],
)
def test_where_several_fit_none_is_taken(names, reference, files, words):
    with pytest.raises(ImageNotFound) as caught:
        names(files)(reference)
    assert all(word in str(caught.value) for word in words)


def test_two_uploads_of_one_name_are_told_apart(names):
    references = ["/data/upload/7/3f2a91c0-cat.jpg", "/data/upload/7/aaaaaaaa-cat.jpg"]
    find = names(["cat.jpg", "aaaaaaaa-cat.jpg"], references)
    assert find(references[1]) == "aaaaaaaa-cat.jpg"
    with pytest.raises(ImageNotFound, match=r"uploaded 2 times; name the file 3f2a91c0-cat\.jpg"):
        find(references[0])


def test_the_folder_stands_for_one_place_on_the_way(names):
    """The folder is a copy of `train`; `val/2.png` is another picture than `train/2.png`."""
    references = [f"/data/local-files/?d=set/{name}" for name in ("train/1.png", "train/3.png", "val/2.png")]
    find = names(["1.png", "2.png", "3.png"], references)
    assert [find(reference) for reference in references] == ["1.png", "3.png", None]


def test_the_name_of_the_folder_says_what_it_stands_for(names):
    references = ["/data/local-files/?d=train/1.png", "/data/local-files/?d=val/1.png"]
    find = names(["1.png"], references, folder="val")
    assert [find(reference) for reference in references] == [None, "1.png"]


def test_where_nothing_says_what_the_folder_stands_for_it_is_asked(names):
    references = ["/data/local-files/?d=train/1.png", "/data/local-files/?d=val/1.png"]
    find = names(["1.png"], references)
    for reference in references:
        with pytest.raises(ImageNotFound, match="may stand for train, val"):
            find(reference)
