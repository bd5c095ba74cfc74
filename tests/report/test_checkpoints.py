import pytest

from lab2.report.checkpoints import checkpoint_path


@pytest.mark.parametrize("name", ["", "a/b", "/etc/x", "..", "Jane Doe", "a\nb", "a\\b", "-x", "_x", "a*"])
def test_a_name_that_is_no_part_of_a_file_name(home, name):
    with pytest.raises(ValueError, match="written like Firstname_Lastname"):
        checkpoint_path(1, "simulated", name)


def test_there_are_three_checkpoints(home):
    with pytest.raises(ValueError, match="1, 2 and 3, not 4"):
        checkpoint_path(4, "simulated")
