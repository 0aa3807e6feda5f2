"""How fast the project is on this machine, and how right its intervals are: `python -m study.bench --data PATH`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from mmbc import command
from mmbc.command import Command, Terminal
from mmbc.errors import ConfigError
from study.console.options import MANY, ArmOptions, SettingsOptions, cohort_option, place_option
from study.design.request import MOST_PROCESSES

kind_option = command.options_of("What is measured")
contest_option = command.options_of("Training contest")
coverage_option = command.options_of("Coverage simulation")


@dataclass(frozen=True, kw_only=True)
class ContestOptions:
    """How the contenders are compared."""

    contenders: Annotated[
        str,
        contest_option(
            "Any of naive, careful, sequential, lockstep, repeat, tenfold, separated by commas.",
            show_default="the first four",
        ),
    ] = "naive,careful,sequential,lockstep"
    replicate: Annotated[
        int, contest_option("Copies of a small cohort, each under new patient ids.", min=1, max=10_000)
    ] = 1
    cells_per_arm: Annotated[
        int,
        contest_option(
            "Cells of each arm that the slow contenders train; the time of the others is scaled from them.",
            min=1,
            max=1000,
        ),
    ] = 1


@dataclass(frozen=True, kw_only=True)
class CoverageOptions:
    """How many studies are simulated, and how."""

    replicates: Annotated[
        int, coverage_option("Simulated studies in each of the 36 settings.", min=20, max=1_000_000)
    ] = 500
    jobs: Annotated[int, coverage_option("Number of processes.", min=1, max=MOST_PROCESSES)] = 2
    seed: Annotated[int, coverage_option("Seed of all random numbers.", min=0, max=2**32 - 1)] = 0


@dataclass(frozen=True, kw_only=True)
class Bench(SettingsOptions, ArmOptions, ContestOptions, CoverageOptions, Command):
    """Time this project's executors against the loops everybody writes, on your cohort and this machine.

    Pretrained weights are not needed: the time does not depend on them.
    """

    search: Annotated[
        bool, kind_option("One wave of a nested search, against the same trials one after another.", "--search")
    ] = False
    audit: Annotated[
        bool, kind_option("The looks of an audit and the treatments of outlines, per image.", "--audit")
    ] = False
    statistics: Annotated[bool, kind_option("The patient bootstrap, on simulated scores.", "--statistics")] = False
    pack: Annotated[bool, kind_option("The paper pack, on simulated predictions of 9684 images.", "--pack")] = False
    workers: Annotated[
        str | None, kind_option("One study with several numbers of processes, for example 1,2,4: seconds and bound.")
    ] = None
    contention: Annotated[
        bool, kind_option("One study alone and beside a busy process: how much longer it takes.", "--contention")
    ] = False
    coverage: Annotated[
        bool, kind_option("No timing: coverage of the intervals in simulated studies.", "--coverage")
    ] = False
    epochs: Annotated[int, contest_option("Epochs of every fit, where any is trained.", min=1, max=MANY)] = 2
    limit_patients: Annotated[
        int, cohort_option("Patients of the cohort that are used; 0 for all.", min=0, max=MANY)
    ] = 40
    out: Annotated[Path, place_option("Folder for what it writes while it runs.")] = Path("results")
    json_file: Annotated[Path | None, place_option("Write the numbers as JSON, for other programs.", "--json")] = None

    def run(self, terminal: Terminal) -> None:
        """Measure one thing and print it."""
        from mmbc.files import check_file, check_place
        from study.console.bench_screen import SCREENS
        from study.console.json_output import write_facts

        kind = self.kind()
        check_place(self.out, "--out")
        if self.json_file is not None:
            check_file(self.json_file, "--json", (b"{", b"["))
        if kind == "coverage":
            from study.benchmarks.coverage import interval_coverage

            facts = interval_coverage(self.replicates, jobs=self.jobs, seed=self.seed, said=terminal.say)
        elif kind == "statistics":
            from study.benchmarks.statistics_speed import statistics_speed

            facts = dict(statistics_speed())
        elif kind == "pack":
            from study.benchmarks.pack_speed import pack_speed

            facts = dict(pack_speed())
        else:
            facts = self.measure_on_cohort(kind, terminal)
        SCREENS[kind](terminal.console, facts)
        write_facts(self.json_file, facts)

    def kind(self) -> str:
        """Return what is to be measured; the training contest where nothing is named.

        Raises:
            ConfigError: several things at once, or options that have no effect on what is measured.
        """
        from study.console.requests import refuse

        kinds = [name for name in USED if getattr(self, name, False)]
        if len(kinds) > 1:
            raise ConfigError(f"one thing at a time: --{kinds[0]} or --{kinds[1]}")
        kind = kinds[0] if kinds else "contest"
        refuse(self, [Bench], f"without effect on {kind}", but=["json_file", *kinds, *USED[kind]])
        return kind

    def measure_on_cohort(self, kind: str, terminal: Terminal) -> dict[str, Any]:
        """Return what a contest, a wave of a search, or an audit takes on the cohort.

        Raises:
            MmbcError: of the kind that fits: configuration, cohort or images.
        """
        from mmbc.data.readers import find_source
        from study.benchmarks.audit_speed import audit_speed
        from study.benchmarks.contest import Rules, training_contest
        from study.benchmarks.material import open_material
        from study.benchmarks.search_speed import search_speed
        from study.benchmarks.worker_curve import contention, parse_numbers, worker_curve
        from study.console import requests

        if requests.folds_file(self.folds):
            raise ConfigError(f"--folds {self.folds}: a benchmark draws its folds; give their number or a column")
        rules = Rules.parse(
            self.contenders, epochs=self.epochs, replicate=self.replicate, cells_per_arm=self.cells_per_arm
        )
        numbers = parse_numbers(self.workers or "1")
        study = requests.with_arms(requests.study_file(self), self.ablation)
        tolerance = requests.tolerance(self)
        with open_material(find_source(self.data), study, tolerance, self.out, terminal.say) as material:
            if kind == "audit":
                return dict(audit_speed(material))
            if kind == "search":
                return search_speed(material, self.epochs, terminal.say)
            if kind == "workers":
                return worker_curve(material, numbers, self.epochs, self.replicate, terminal.say)
            if kind == "contention":
                return contention(material, self.epochs, self.replicate, terminal.say)
            facts = training_contest(material, rules, terminal.say)
        return facts | {"command": ["python", "-m", "study.bench", *terminal.words]}


def _names(*groups: type) -> list[str]:
    return [option.name for group in groups for option in fields(group)]


_ON_COHORT = [*_names(SettingsOptions, ArmOptions), "out"]
USED = {
    "contest": [*_ON_COHORT, *_names(ContestOptions), "epochs"],
    "search": [*_ON_COHORT, "epochs"],
    "workers": [*_ON_COHORT, "epochs", "replicate"],
    "contention": [*_ON_COHORT, "epochs", "replicate"],
    "audit": _ON_COHORT,
    "statistics": [],
    "pack": [],
    "coverage": _names(CoverageOptions),
}
"""What can be measured -> the options that have an effect on it."""


app = command.app(Bench)

if __name__ == "__main__":
    app()
