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
        pytest.param(ONE, {"image": " a.png\n"}, [TaskPage("i0", None, "a.png")], id="blanks around it"),
        pytest.param(
            ONE,
            {"image": {"url": " Data:image/png;base64,AA=="}},
            [TaskPage("i0", None, "data:image/png;base64,AA==")],
            id="embedded, written another way",
        ),
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
        pytest.param(
            config("<Image name='i0' value='https://host/$folder-$file-name.png'/>"),
            {"folder": 3, "file-name": "cat"},
            [TaskPage("i0", None, "https://host/3-cat.png")],
            id="template with hyphens",
        ),
        pytest.param(ONE, {"image": {"url": "a.png"}}, [TaskPage("i0", None, "a.png")], id="object with url"),
        pytest.param(ONE, {"image": {"image": "a"}}, [TaskPage("i0", None, "a")], id="object with image"),
        pytest.param(
            ONE,
            {"image": {"URL": "a.png", "name": "Cat", "size": 7}},
            [TaskPage("i0", None, "a.png")],
            id="object with more",
        ),
        pytest.param(ONE, {"image": {"file": "a.png"}}, [TaskPage("i0", None, "a.png")], id="one text in it"),
        pytest.param(ONE, {"image": ["a.png"]}, [TaskPage("i0", None, "a.png")], id="list of one"),
        pytest.param(ONE, {"image": [{"url": "a"}]}, [TaskPage("i0", None, "a")], id="list of one object"),
        pytest.param(ONE, {"Image": "a.png", "id": 3}, [TaskPage("i0", None, "a.png")], id="other case"),
        pytest.param(ONE, {"IMAGE": "A", "image": "a"}, [TaskPage("i0", None, "a")], id="the case counts"),
        pytest.param(
            LIST,
            {"pages": [{"url": "a"}, {"url": "b", "no": 2}]},
            [TaskPage("i0", 0, "a"), TaskPage("i0", 1, "b")],
            id="list of objects",
        ),
        pytest.param(LIST, {"pages": {"url": "a"}}, [TaskPage("i0", 0, "a")], id="object for a list"),
        pytest.param(
            config("<Image name='i0' value='$meta.photo-1.full-size'/>"),
            {"meta": {"photo-1": {"full-size": "x.png"}}},
            [TaskPage("i0", None, "x.png")],
            id="path with hyphens",
        ),
        pytest.param(
            config("<Image name='i0' value='$image-url'/>"),
            {"image-url": "x.png"},
            [TaskPage("i0", None, "x.png")],
            id="key with a hyphen",
        ),
        pytest.param(
            config("<Image name='i0' value='$Meta.Url'/>"),
            {"meta": {"url": "x.png"}},
            [TaskPage("i0", None, "x.png")],
            id="path of other case",
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
        pytest.param(ONE, {"data": {}}, "no image under 'image'; it is empty", id="no image"),
        pytest.param(
            ONE,
            {"data": {"img": "a.png", "no": 3, "tags": ["a", "b"], "meta": {"by": "me"}, "gone": None}},
            "it has 'img' (text), 'no' (a number), 'tags' (a list of 2), 'meta' (an object with by), "
            "'gone' (nothing)",
            id="the keys that are there",
        ),
        pytest.param(
            ONE, {"data": {f"k{n}": n for n in range(12)}}, "'k9' (a number) and 2 more", id="many keys"
        ),
        pytest.param(ONE, {"data": {"image": ""}}, "no image under 'image'", id="empty reference"),
        pytest.param(ONE, {"data": {"image": 7}}, "no image under 'image'", id="number"),
        pytest.param(
            ONE, {"data": {"image": ["a", "b"]}}, "'image' (a list of 2)", id="list of two for one image"
        ),
        pytest.param(
            ONE, {"data": {"image": {"url": "a", "src": "b"}}}, "'image' (an object with url, src)", id="two"
        ),
        pytest.param(ONE, {"data": {"image": "  "}}, "'image' (empty text)", id="blank"),
        pytest.param(ONE, {"data": {"IMAGE": "a", "Image": "b"}}, "no image under 'image'", id="two cases"),
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


REPEATED = """
<View><Repeater on="$pages" indexFlag="{{idx}}">
  <Image name="page_{{idx}}" value="VALUE"/>
  <RectangleLabels name="labels_{{idx}}" toName="page_{{idx}}"><Label value="A"/></RectangleLabels>
</Repeater></View>
"""


@pytest.mark.parametrize(
    ("value", "data", "references"),
    [
        ("$pages[{{idx}}]", {"pages": ["a", "b"]}, {"page_0": "a", "page_1": "b"}),
        (
            "$pages[{{idx}}].url",
            {"pages": [{"url": "a"}, {"no": 1}, {"url": "c"}]},
            {"page_0": "a", "page_2": "c"},
        ),
        ("$pages[{{idx}}]", {"pages": [{"url": "a"}]}, {"page_0": "a"}),
        ("$pages", {"pages": ["a", "b"]}, {"page_0": "a", "page_1": "b"}),
        ("$cover", {"pages": [1], "cover": "c"}, {"page_0": "c"}),
        ("https://host/$pages[{{idx}}].png", {"pages": ["a"]}, {"page_0": "https://host/a.png"}),
    ],
)
def test_a_repeater_has_a_page_for_each_item(value, data, references):
    parsed = parse_label_config(REPEATED.replace("VALUE", value))
    assert task_pages({"data": data}, parsed) == [
        TaskPage(tag, None, reference) for tag, reference in references.items()
    ]


@pytest.mark.parametrize("pages", [[], None, "a.png", {"0": "a"}])
def test_a_repeater_without_items_is_no_page(pages):
    with pytest.raises(AnnotationError, match="no image under 'pages'"):
        task_pages(
            {"data": {"pages": pages}}, parse_label_config(REPEATED.replace("VALUE", "$pages[{{idx}}]"))
        )


def test_an_image_that_nothing_draws_on_is_no_page():
    parsed = parse_label_config(
        "<View><Image name='example' value='$example'/><Image name='i' value='$image'/>"
        "<BrushLabels name='b' toName='i'><Label value='A'/></BrushLabels></View>"
    )
    assert task_pages({"data": {"example": "e", "image": "a"}}, parsed) == [TaskPage("i", None, "a")]


@pytest.mark.parametrize("place", ["²", "9" * 5000], ids=["no plain digit", "more digits than Python reads"])
def test_a_path_that_names_no_place_of_a_list_has_no_image(place):
    with pytest.raises(AnnotationError, match="no image"):
        task_pages({"data": {"a": ["x.png"]}}, config(f"<Image name='i0' value='$a.{place}'/>"))
