"""Settings of a study and a request for one, made of options as typed."""

import importlib.util
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mmbc.command import flag
from mmbc.data.readers import PHANTOM, find_source
from mmbc.errors import ConfigError, nearest, some
from mmbc.files import check_file, check_place
from study.console.options import (
    AuditOptions,
    CohortOptions,
    CohortSettings,
    CrossValidationOptions,
    JobOptions,
    LabelOptions,
    LookOptions,
    PlaceOptions,
    ProtocolOptions,
    SearchRunOptions,
    SeedOptions,
    SettingsOptions,
    StudyOptions,
    ToleranceOptions,
    TrackOptions,
)
from study.design.request import EXECUTORS, MOST_PROCESSES, TRACKERS, Request, Tolerance
from study.design.search_space import read_space
from study.design.study_file import Arm, Search, StudyFile, chosen_arms, column_roles, load, named
from study.design.study_name import check_name
from study.records.analysis_plan import read_plan

JSON, CLEAN_LIST = (b"{", b"["), b"image,patient_key,"
"""How files that `--json` and `--write-clean-list` wrote before begin."""
WRITTEN = ("json_file", "write_clean_list", "write_plan")
"""Options that name a file that is written."""
OF_THE_STUDY = "with --study the settings are the study's; leave out one or the other"
"""Why settings are refused beside a study's own."""


def study_file(options: SettingsOptions, more: Mapping[str, Any] | None = None) -> StudyFile:
    """Return the settings asked for: preset, under the study file, under `--set`, under the options that are settings.

    Args:
        options: as typed.
        more: dotted keys and values from options that a command has for itself; None is 'not given'.

    Raises:
        CohortError: `--data` names nothing that is there.
        ConfigError: an unknown preset, key or value.
    """
    origin = find_source(options.data)
    preset = options.preset or ("demo" if origin.kind == PHANTOM else "default")
    settings = {
        "protocol.holdout": options.holdout,
        "protocol.test_where": options.test_where,
        "protocol.repeats": options.repeats,
        "protocol.seeds": options.seeds,
        "run.device": options.device,
        "data.outlines": options.outlines,
        "protocol.folds": int(options.folds) if options.folds.isdigit() else None,
        "protocol.fold_column": _fold_column(options.folds),
        **(more or {}),
    }
    return load(preset, options.config, [*(options.set_ or []), *_assignments(settings), *label_settings(options)])


def cross_validation(options: CrossValidationOptions) -> Request:
    """Return what is asked for; a dry run starts nothing over, whatever `--force` says.

    Raises:
        ConfigError: settings that are to be searched, which would be trained as they stand.
    """
    study = study_file(options, _seeds(options))
    if study.search is not None:
        raise ConfigError(
            "the study has a section [search]: its settings are to be searched, and study.cv trains with fixed"
            " ones. Use python -m study.search with the same options, or leave the section out"
        )
    force = options.force and not options.dry_run and options.write_plan is None
    asked = request(options, with_learning_curve(with_arms(study, options.ablation), options.learning_curve))
    check_plan(options)
    every, track = options.checkpoint_every, tracker(options)
    return replace(asked, jobs=n_jobs(options), checkpoint_every=every, force=force, track=track, plan=options.plan)


def _seeds(options: SeedOptions) -> dict[str, int | None]:
    """Return the settings that `--seed` stands for."""
    return {"protocol.split_seed": options.seed, "protocol.first_seed": options.seed}


def search(options: SearchRunOptions) -> Request:
    """Return what is asked for; a dry run starts nothing over, whatever `--force` says."""
    asked = request(options, with_arms(searched_study_file(options), options.ablation))
    check_plan(options)
    force = options.force and not options.dry_run and options.write_plan is None
    return replace(
        asked, jobs=n_jobs(options), checkpoint_every=0, force=force, track=tracker(options), plan=options.plan
    )


def n_jobs(options: JobOptions) -> int:
    """Return the number of processes asked for, 0 for as many as pay.

    Raises:
        ConfigError: neither `auto` nor a number of processes.
    """
    text = options.jobs
    if text == "auto":
        return 0
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_PROCESSES):
        raise ConfigError(f"--jobs {text!r}: write auto, or a whole number from 1 to {MOST_PROCESSES}")
    return int(text)


def check_plan(options: CrossValidationOptions | SearchRunOptions) -> None:
    """Refuse a plan that is to be written and followed at once, or a file that cannot be written.

    Raises:
        ConfigError: the options contradict each other, or the file is there and is no analysis plan.
    """
    file = options.write_plan
    if file is None:
        return
    if options.plan is not None:
        raise ConfigError("--write-plan writes a plan and stops, --plan follows one; give one of them")
    if options.dry_run:
        raise ConfigError("--dry-run writes nothing; leave it out to write the plan, which trains nothing either")
    check_file(file, "--write-plan")
    if file.exists() and file.stat().st_size:
        read_plan(file, "--write-plan")


def tracker(options: TrackOptions) -> str:
    """Return the tracker asked for, or ''.

    Raises:
        ConfigError: an unknown one, or one that is not installed, with the command that installs it.
    """
    name = options.track or ""
    if name and name not in TRACKERS:
        raise ConfigError(f"--track {name!r}; {nearest(name, TRACKERS)}")
    if name and importlib.util.find_spec(name) is None:
        raise ConfigError(f"--track {name}: {name} is not installed: pip install 'mmbc[{name}]'")
    return name


def searched_study_file(options: SearchRunOptions) -> StudyFile:
    """Return the settings with the search asked for: the study file's section [search], under the options."""
    rules = {
        "search.trials": options.trials,
        "search.mode": options.mode,
        "search.inner_folds": options.inner_folds,
        "search.pruner": options.pruner,
        "search.select": options.select,
        "search.whole": options.whole,
        "search.seed": options.seed,
        **_seeds(options),
    }
    study = study_file(options, rules)
    search = study.search or Search()
    if options.space is None and search.space:
        return study
    plain, holes = read_space(options.space)
    fixed = [f"{key}={json.dumps(value)}" for key, value in plain.items()]
    study = study_file(replace(options, set_=[*fixed, *(options.set_ or [])]), rules)
    return study.model_copy(update={"search": search.model_copy(update={"space": holes})})


def label_settings(options: LabelOptions) -> list[str]:
    """Return the settings of labels and columns as assignments `key=value`.

    Raises:
        ConfigError: keys of two spellings are to be one patient and two.
    """
    if options.merge_ids and options.distinct_ids:
        raise ConfigError("--merge-ids and --distinct-ids contradict each other; give one of them")
    settings = {
        "data.spellings": "merge" if options.merge_ids else "distinct" if options.distinct_ids else None,
        "data.label_level": options.label_level,
        "data.conflicts": options.conflicts,
        "data.positive": named(options.positive),
        "data.negative": named(options.negative),
        "data.features": named(options.features),
    }
    return _assignments(settings | {f"data.columns.{role}": name for role, name in column_roles(options.columns)})


def _assignments(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in settings.items() if value is not None]


def request(options: StudyOptions, study: StudyFile) -> Request:
    """Return what is asked for: the settings, and the way the work is done.

    Raises:
        ConfigError: an unknown executor, or a place nothing can be written to.
    """
    if options.executor not in EXECUTORS:
        raise ConfigError(f"--executor {options.executor!r}; {nearest(options.executor, EXECUTORS)}")
    check_places(options)
    return Request(
        source=find_source(options.data),
        study=study,
        out=options.out,
        name=options.name,
        tolerance=tolerance(options),
        folds_file=folds_file(options.folds),
        executor=options.executor,
        max_live_fits=options.max_live_fits,
        cache_gib=options.cache_gib,
        force=options.force,
    )


def audit_command(options: CrossValidationOptions | SearchRunOptions) -> str:
    """Return the audit of the same cohort under the same protocol, as it can be typed."""
    words = ["python", "-m", "study.audit"]
    for option in dict.fromkeys((*fields(CohortOptions), *fields(ProtocolOptions))):
        value, name = getattr(options, option.name), flag(option.name)
        if value == option.default:
            continue
        several = value if isinstance(value, list) else [value]
        words += [name] if value is True else [word for one in several for word in (name, str(one))]
    if options.seed is not None:
        words += ["--set", f"protocol.split_seed={options.seed}"]
    return shlex.join(words)


def tolerance(options: ToleranceOptions) -> Tolerance:
    """Return what is tolerated in a cohort; `--limit-patients 0`, where a command allows it, is no limit."""
    return Tolerance(
        options.allow_missing_images,
        options.max_unreadable,
        options.limit_patients or None,
        tuple(options.allow_leaky_column or ()),
    )


def with_arms(study: StudyFile, ablation: str) -> StudyFile:
    """Return the settings with the arms that `--ablation` names alone.

    Raises:
        ConfigError: an unknown arm, with the known ones.
    """
    return study.model_copy(update={"arms": {name: study.arms[name] for name in chosen_arms(study, ablation)}})


def with_learning_curve(study: StudyFile, percentages: str | None) -> StudyFile:
    """Return the settings with one more arm for each arm and percentage of the training patients: `concat-50`.

    Raises:
        ConfigError: no percentage below 100, or an arm of such a name that is there already.
    """
    arms = dict(study.arms)
    for text in dict.fromkeys(named(percentages) or []):
        percent = int(text) if text.isascii() and text.isdigit() else 0
        if not 0 < percent <= 100:
            raise ConfigError(
                f"--learning-curve {text!r}: write whole percentages of the training patients, for example 25,50,75"
            )
        for name, arm in study.arms.items() if percent < 100 else ():
            if f"{name}-{percent}" in study.arms:
                raise ConfigError(f"--learning-curve: there is an arm {name}-{percent} already; give it another name")
            question = f"What does {name} reach with {percent} % of the training patients?"
            arms[f"{name}-{percent}"] = Arm(question=question, set=arm.set | {"train.fraction": percent / 100})
    return study.model_copy(update={"arms": arms})


def check_places(options: PlaceOptions, *, results: bool = True) -> None:
    """Refuse places that nothing can be written to, before any work is done; `results` where studies are written.

    Raises:
        ConfigError: a name that is a path, folders or a file that cannot be written.
    """
    check_name(options.name)
    if results:
        check_place(options.out, "--out")
    check_place(options.reports, "--reports")
    if options.json_file is not None:
        check_file(options.json_file, "--json", JSON)
        check_no_input(options, options.json_file, "--json")


def check_no_input(options: object, file: Path, option: str) -> None:
    """Refuse an output that is one of the files that are read, which would be lost.

    Raises:
        ConfigError: it is.
    """
    for one in fields(options):  # type: ignore[arg-type]
        value = getattr(options, one.name)
        if isinstance(value, str | Path) and one.name not in WRITTEN and _is_same(Path(value), file):
            raise ConfigError(f"{option} {file}: is read ({flag(one.name)}) and would be lost; name another file")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.is_file() and one.samefile(other)
    except (OSError, ValueError):
        return False


def refuse(options: object, groups: Sequence[type], why: str, *, but: Sequence[str] = ()) -> None:
    """Refuse options that have no effect here, so that nobody believes they counted.

    Args:
        options: as typed.
        groups: dataclasses of options, of `study.console.options`, or a command with options of its own.
        why: the end of the sentence.
        but: options of these groups that do have an effect.

    Raises:
        ConfigError: one of them was given another value than its default.
    """
    names = dict.fromkeys(option for group in groups for option in fields(group) if option.name not in but)
    given = [flag(option.name) for option in names if getattr(options, option.name) != option.default]
    if given:
        raise ConfigError(f"{some(given, len(given))}: {why}")


def check_audit(options: AuditOptions) -> None:
    """Refuse places that cannot be written to, and options that mean nothing together.

    Raises:
        ConfigError: settings beside a study's own, options of a cohort where none is read, or a list that is no
            CSV file.
    """
    check_places(options)
    if options.write_clean_list is not None and options.write_clean_list.suffix != ".csv":
        raise ConfigError(f"--write-clean-list {options.write_clean_list}: has to be a CSV file, with the ending .csv")
    if options.write_clean_list is not None:
        check_place(options.write_clean_list.parent, "--write-clean-list")
        check_file(options.write_clean_list, "--write-clean-list", [CLEAN_LIST])
        check_no_input(options, options.write_clean_list, "--write-clean-list")
    if options.study is None:
        return
    refuse(options, [CohortSettings, ProtocolOptions], OF_THE_STUDY)
    if options.data is None:
        refuse(options, [LookOptions, ToleranceOptions], "without --data no file is looked at; add --data")


def _fold_column(folds: str) -> str | None:
    """Return the column that `--folds column:NAME` or `--folds site` names."""
    kind, colon, column = folds.partition(":")
    return column if colon and kind == "column" else folds if folds == "site" else None


def folds_file(folds: str) -> Path | None:
    """Return the file that `--folds` names: what is neither a number nor a column."""
    return None if not folds or folds.isdigit() or _fold_column(folds) else Path(folds)
