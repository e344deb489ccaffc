import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.errors import AnnotationError


def config(*images):
    tags = "".join(
        f"{image}<RectangleLabels name='r{k}' toName='i{k}'><Label value='A'/></RectangleLabels>"
        for k, image in enumerate(images)
    )
    return parse_label_config(f"<View>{tags}</View>")


ONE = config("<Image name='i0' value='$image'/>")
TWO = config("<Image name='i0' value='$front'/>", "<Image name='i1' value='$back'/>")
LIST = config("<Image name='i0' valueList='$pages'/>")


@pytest.mark.parametrize(
    ("parsed", "data", "pages"),
    [
        pytest.param(ONE, {"image": "a.png"}, [TaskPage("i0", None, "a.png")], id="usual"),
        pytest.param(ONE, {"image": "日本 🐈.png"}, [TaskPage("i0", None, "日本 🐈.png")], id="unicode"),
        pytest.param(ONE, {"$undefined$": "a.png"}, [TaskPage("i0", None, "a.png")], id="undefined key"),
        pytest.param(
            TWO,
            {"back": "b.png", "front": "f.png"},
            [TaskPage("i0", None, "f.png"), TaskPage("i1", None, "b.png")],
            id="two tags",
        ),
        pytest.param(TWO, {"back": "b.png"}, [TaskPage("i1", None, "b.png")], id="one of two"),
        pytest.param(
            LIST, {"pages": ["a", "b"]}, [TaskPage("i0", 0, "a"), TaskPage("i0", 1, "b")], id="list of pages"
        ),
        pytest.param(LIST, {"pages": "a"}, [TaskPage("i0", 0, "a")], id="list of one as text"),
        pytest.param(
            LIST,
            {"pages": ["a", None, "c"]},
            [TaskPage("i0", 0, "a"), TaskPage("i0", 2, "c")],
            id="gap in a list",
        ),
        pytest.param(
            config("<Image name='i0' value='$meta.photo[1].url'/>"),
            {"meta": {"photo": [{}, {"url": "x.png"}]}},
            [TaskPage("i0", None, "x.png")],
            id="path",
        ),
        pytest.param(
            config("<Image name='i0' value='https://host/$folder/$name/full.png'/>"),
            {"folder": 3, "name": "cat"},
            [TaskPage("i0", None, "https://host/3/cat/full.png")],
            id="template",
        ),
    ],
)
def test_the_images_of_a_task(parsed, data, pages):
    assert task_pages({"data": data}, parsed) == pages


@pytest.mark.parametrize(
    ("parsed", "task", "message"),
    [
        pytest.param(ONE, {}, "needs an object as `data`, got NoneType", id="no data"),
        pytest.param(ONE, {"data": ["a.png"]}, "needs an object as `data`, got list", id="data is a list"),
        pytest.param(ONE, {"data": {}}, "no image under 'image'", id="no image"),
        pytest.param(ONE, {"data": {"image": ""}}, "no image under 'image'", id="empty reference"),
        pytest.param(ONE, {"data": {"image": 7}}, "no image under 'image'", id="number"),
        pytest.param(ONE, {"data": {"image": ["a"]}}, "no image under 'image'", id="list for one image"),
        pytest.param(LIST, {"data": {"pages": []}}, "no image under 'pages'", id="empty list"),
        pytest.param(LIST, {"data": {"pages": {"a": 1}}}, "no image under 'pages'", id="object for a list"),
        pytest.param(TWO, {"data": {"image": "a"}}, "no image under 'front', 'back'", id="none of two"),
        pytest.param(
            config("<Image name='i0' value='https://host/$name'/>"),
            {"data": {"image": "a"}},
            "no image under 'https://host/$name'",
            id="template without its variable",
        ),
    ],
)
def test_a_task_without_image_is_refused(parsed, task, message):
    with pytest.raises(AnnotationError) as caught:
        task_pages(task, parsed)
    assert message in str(caught.value) and caught.value.field == "data"


def test_an_image_that_nothing_draws_on_is_no_page():
    parsed = parse_label_config(
        "<View><Image name='example' value='$example'/><Image name='i' value='$image'/>"
        "<BrushLabels name='b' toName='i'><Label value='A'/></BrushLabels></View>"
    )
    assert task_pages({"data": {"example": "e", "image": "a"}}, parsed) == [TaskPage("i", None, "a")]
