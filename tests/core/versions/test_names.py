from backend.core.versions.names import version_name


def test_names_sort_by_time_and_are_in_utc():
    names = [version_name(now, "3f2a") for now in (0.0, 1_769_851_800.0, 1_769_851_801.9)]
    assert names == ["19700101-000000-3f2a", "20260131-093000-3f2a", "20260131-093001-3f2a"]
    assert names == sorted(names)
