"""Documents and the forge's files say what is there: decisions, links, named paths, tiers, checks."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("tests/**/*.md")]
)
NAMED = r"`((?:src|pipeline|conf|tests|docs)/[\w./-]*\w)`"
HEAD = re.compile(r"# (\d+)\. (.+)\n\nDate: (\d{4}-\d\d-\d\d)\nStatus: .+\n\n\*\*Decision\.\*\* ")


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_decision_has_number_date_and_status_and_a_row_in_the_index(record: Path) -> None:
    head = HEAD.match(record.read_text())
    assert head is not None
    assert int(head[1]) == int(record.name[:4])
    row = f"| [{head[1]}]({record.name}) | {head[2]} | {head[3]} | "
    assert row in (ROOT / "docs/adr/README.md").read_text()


def test_the_default_search_is_the_one_decided() -> None:
    conf = yaml.safe_load((ROOT / "conf/search.yaml").read_text())
    n_epochs = -(-yaml.safe_load((ROOT / "conf/data/mnist.yaml").read_text())["n_epochs"] // 2)
    assert conf["n_epochs"] is None  # half of the data set's own
    decided = " ".join((ROOT / "docs/adr/0024-fifty-configurations.md").read_text().split())
    assert f"{conf['search']['n_trials']} configurations of at most {n_epochs} epochs, cosine, one worker" in decided
    assert f"the best {conf['winner']['top_k']} on {conf['winner']['n_seeds']} seeds each" in decided


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(NAMED, (ROOT / "CONTRIBUTING.md").read_text()))))
def test_what_a_contributor_is_sent_to_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_workflow_has_a_job_for_each_tier() -> None:
    steps = re.findall(r"^step .*; make ([a-z]+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    tiers = set(steps) - {"setup"}
    assert {"check", "test", "mnist", "browser", "faults"} <= tiers
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert tiers <= set(jobs["tier"]["strategy"]["matrix"]["tier"])
    assert jobs["whole"]["steps"][-1] == {"run": ".ci/run"}


def test_pre_commit_runs_what_make_check_runs() -> None:
    checks = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert checks is not None
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [hook["entry"].removesuffix(" --force-exclude").removeprefix(".venv/bin/") for hook in hooks]
    assert entries == [line.strip().removesuffix(" .") for line in checks[1].splitlines()]


def test_the_audit_fails_on_what_it_cannot_ask_about_and_leaves_out_what_was_checked_by_hand() -> None:
    recipe = re.search(r"^audit:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert {"--strict", "--requirement constraints.txt"} <= set(re.findall(r"--strict|--requirement \S+", recipe[1]))
    checked = (ROOT / "SECURITY.md").read_text().partition("**Checked by hand.**")[2]
    assert [one for one in re.findall(r"--ignore-vuln (\S+)", recipe[1]) if one not in checked] == []
