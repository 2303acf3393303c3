"""What the flow makes of a design's text and of the tools' reports."""

import pytest

from norcim.errors import NorcimError
from norcim_overlay.boards import flow
from norcim_overlay.boards.board import find_board

RTLIL = r"""
attribute \src "/home/somebody/npu.py:7"
module \top
  attribute \src "/home/somebody/npu.py:9"
  wire width 8 \data[3]
  wire width 64 \data
  connect \data [3] \data[3] [0]
  connect \a.b[1][2].c \data [31:24]
end
"""

PLAIN = r"""
module \top
  wire width 8 \data<3>
  wire width 64 \data
  connect \data [3] \data<3> [0]
  connect \a.b<1><2>.c \data [31:24]
end
"""


def test_array_elements_get_names_that_are_no_bits():
    assert flow.plain_rtlil(RTLIL) == PLAIN


def test_report():
    report = {
        "fmax": {"clk": {"achieved": 51.5, "constraint": 50.0}, "b": {"achieved": 200.25}},
        "utilization": {"DP16KD": {"used": 190, "available": 208}, "DCUA": {"used": 0}},
    }
    placed = flow.read_report(3, report)
    assert placed == flow.Placed(3, {"clk": 51.5e6, "b": 200.25e6}, {"DP16KD": 190})
    assert placed.slowest_hz == 51.5e6


def test_cells_with_and_without_a_model():
    design = {
        "num_cells_by_type": {"DP16KD": 190, "$scopeinfo": 9},
        "num_submodules_by_type": {"LUT4": 7},
    }
    assert flow.read_cells({"design": design}) == {"DP16KD": 190, "LUT4": 7}


def test_tool_that_is_not_installed(tmp_path):
    with pytest.raises(NorcimError) as error:
        flow.call(("no_such_package", "run_it"), [], tmp_path)
    assert error.value.id == "NC-E0650"


def test_tool_that_fails_leaves_its_log(tmp_path):
    with pytest.raises(NorcimError) as error:
        flow.call(("json", "no_such_function"), [], tmp_path)
    assert error.value.id == "NC-E0651"
    assert "no_such_function" in (tmp_path / "no_such_function.out").read_text()


def test_unknown_board():
    with pytest.raises(NorcimError) as error:
        find_board("ulx4")
    assert error.value.id == "NC-E0652"
    assert "ulx3s-85f" in error.value.expected
