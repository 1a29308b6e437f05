"""Tables of experiments: blocks become cells, tables are laid over others, and what is wrong is named."""

import json
from pathlib import Path

import pytest

from p2pl import Experiment, SpecError
from p2pl.sweep import cells, index, label
from p2pl.table_files import read_table
from p2pl.yaml_files import parse_yaml

CONFIG = Path(__file__).parent.parent / "config"
TABLE = {
    "defaults": {"dataset": "digits"},
    "experiments": {
        "e": {
            "base": {"devices": 4},
            "arms": {"star": {"topology": "star"}, "server": {"algorithm": "fedavg"}},
            "grid": {"training.lr": [0.1, 0.2], "partition": ["iid", {"name": "dirichlet", "alpha": 0.1}]},
            "seeds": 3,
        }
    },
}


def test_a_block_becomes_its_cells():
    found = cells(TABLE, "e")
    assert len(found) == 2 * 2 * 2
    assert len({cell.key for cell in found}) == 8
    assert found[1].columns == {
        "experiment": "e",
        "arm": "star",
        "training.lr": 0.1,
        "partition": "dirichlet(alpha=0.1)",
    }
    assert found[-1].experiment.training.lr == 0.2
    assert found[0].seeds == (0, 1, 2)
    assert label([1, 2]) == "[1, 2]"


@pytest.mark.parametrize("name", ["config", "paper", "smoke", "cifar10"])
def test_every_table_of_the_repository_is_valid(name):
    """Its cells are experiments, and stand for themselves on a command line."""
    for found in index(read_table(CONFIG / f"{name}.yaml")).values():
        assert all(Experiment.of(json.loads(cell.spec)) == cell.experiment for cell in found)


def test_a_wrong_cell_is_named_by_block_and_arm():
    wrong = {"experiments": {"e": {"arms": {"a": {"topology": "sta"}}}}}
    with pytest.raises(SpecError, match="experiment 'e', arm 'a': there is no topology 'sta'; did you mean 'star'"):
        cells(wrong, "e")


@pytest.mark.parametrize("block", ["foo", {"grid": {"training.lr": 0.1}}, {"grid": {"seed": [0, 1]}}, {"base": [1]}])
def test_a_block_of_another_shape_is_refused(block):
    with pytest.raises(SpecError, match="experiment 'b': "):
        cells({"experiments": {"b": block}}, "b")


def test_arms_may_have_grids_of_their_own():
    """Other values for a key of the grid, and keys of their own; those without take the grid as it is."""
    block = TABLE["experiments"]["e"] | {"grid": {"training.lr": [0.1, 0.2]}}
    own = {"server": {"training.lr": [0.4], "algorithm.participation": [0.5, 1]}}
    found = [cell.columns for cell in cells({"experiments": {"e": block | {"grids": own}}}, "e")]
    star = [{"experiment": "e", "arm": "star", "training.lr": lr} for lr in (0.1, 0.2)]
    server = {"experiment": "e", "arm": "server", "training.lr": 0.4}
    assert found == [*star, *(server | {"algorithm.participation": share} for share in (0.5, 1))]
    assert [c.columns for c in cells({"experiments": {"e": block | {"grids": {"star": None}}}}, "e")][:2] == star


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ({"stars": {"training.lr": [1]}}, "there is no arm 'stars'; did you mean 'star'"),
        ({"star": [1]}, "each arm has a mapping"),
        ({"star": {"training.lr": 1}}, "each key of a grid has a list of values, and so must 'training.lr'"),
        ({"star": {"training.lr": [1, 1]}}, "a value of the grid is given twice, of 'training.lr'"),
        ({"star": {"seed": [1, 2]}}, "say `seeds`"),
        ({"star": {"algorithm.participation": [1]}}, "arm 'star': .*participation"),
        ([1], "and grids"),
    ],
)
def test_a_wrong_grid_of_an_arm_is_refused(grids, message):
    with pytest.raises(SpecError, match=f"experiment 'e'.*{message}"):
        cells({"experiments": {"e": TABLE["experiments"]["e"] | {"grids": grids}}}, "e")


def test_labels_of_one_grid_key_are_of_one_type():
    found = cells({"experiments": {"b": {"grid": {"training.batch_size": [10, "full"]}}}}, "b")
    assert [cell.columns["training.batch_size"] for cell in found] == ["10", "full"]


def test_numbers_without_a_point_are_numbers():
    assert parse_yaml("[1e-05, -2E3, 1.5, e5, 0x1e]", "here") == [1e-5, -2000.0, 1.5, "e5", 30]


def test_a_table_is_laid_over_the_one_it_extends(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text("""
        defaults: {devices: 4, model: {name: mlp, hidden: [8]}}
        experiments: {e: {asks: Why, base: &it {rounds: 9}, arms: {a: {<<: *it, samples: 3}}, grid: {devices: [2, 3]}}}
        """)
    above.write_text(f"""
        extends: {below}
        defaults: {{devices: 5, model: {{hidden: [4, 4]}}}}
        experiments: {{e: {{grid: {{devices: [7]}}}}}}
        """)
    arms = {"a": {"rounds": 9, "samples": 3}}
    assert read_table(above) == {
        "defaults": {"devices": 5, "model": {"name": "mlp", "hidden": [4, 4]}},
        "experiments": {"e": {"asks": "Why", "base": {"rounds": 9}, "arms": arms, "grid": {"devices": [7]}}},
    }
    above.write_text(f"extends: {above}")
    with pytest.raises(SpecError, match="extends itself"):
        read_table(above)


def test_only_the_blocks_that_are_named_are_taken(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text("experiments: {e: {asks: Why}, f: {asks: How}, g: {asks: Who}}")
    above.write_text(f"extends: {below}\nonly: [g, e]\nexperiments: {{h: {{asks: When}}, e: {{seeds: 2}}}}")
    assert read_table(above) == {
        "experiments": {"g": {"asks": "Who"}, "e": {"asks": "Why", "seeds": 2}, "h": {"asks": "When"}}
    }
    for text, message in (
        (f"extends: {below}\nonly: [ee]", "no experiment 'ee'; did you mean 'e'"),
        (f"extends: {below}\nonly: e", "expected a list"),
        (f"extends: {below}\nonly: [[e]]", "expected a list"),
        ("only: [e]\nexperiments: {e: {asks: Why}}", "no table to take them from"),
    ):
        above.write_text(text)
        with pytest.raises(SpecError, match=message):
            read_table(above)


def test_a_table_that_is_none_is_refused(tmp_path):
    twice = "experiments: {}\nexperiments: {}"
    odd = (("[" * 3000, "not YAML"), ("a: 2001-99-99", "not YAML"), (twice, "'experiments' is given twice"))
    for text, message in (("a: [", "not YAML"), ("a: 1", "no key 'experiments'"), *odd):
        path = tmp_path / "t.yaml"
        path.write_text(text)
        with pytest.raises(SpecError, match=message):
            read_table(path)
    with pytest.raises(SpecError, match="cannot read"):
        read_table(tmp_path / "none.yaml")
