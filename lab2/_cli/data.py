"""Commands that make, fetch or check the data."""

__all__ = ["ON_SURVEY", "add_commands"]

ON_SURVEY = {"default": "simulated", "metavar": "NAME", "help": "a folder in data/ (default: simulated)"}


def fetch(chosen):
    """Fetch a survey's catalog and spectra from SDSS DR17, or the missing ones."""
    from lab2 import archive
    from lab2._lock import alone
    from lab2.survey import build_folder

    if chosen.probe:
        _probe()
        return
    plan = archive.plan(chosen.survey, chosen.fields, chosen.limit, chosen.allstar, chosen.verify)
    record = plan.record
    print(
        f"survey {chosen.survey!r}: fields {', '.join(record['fields'])}; {record['rows']} rows in the catalog, label"
    )
    print(f"tree {record['label_tree']}, from {record['source']}")
    size = f"about {plan.size / 1e9:.2f} GB ({plan.free / 1e9:.0f} GB are free)"
    print(f"spectra: {plan.present} present; {len(plan.downloads)} to fetch, {size}")
    for path, reason in plan.damaged.items():
        print(f"to be fetched again: {path}: {reason}")
    if chosen.dry_run:
        return
    with alone(build_folder(chosen.survey)):  # no notebook reads the survey while it changes
        about, notes = archive.fetch(plan)
    for name, reason in about["missing"].items():
        print(f"missing: {name}: {reason}")
    for note in notes:
        print(f"note: {note}")
    spectra = sum(name.startswith("apStar/") for name in about["files"])
    without = f"; {len(about['missing'])} are missing, and the lab runs without them" if about["missing"] else ""
    print(f"{spectra} spectra in {plan.folder}{without}")


def _probe():
    """Print the finding for each assumption about the archives."""
    from lab2.archive import ArchiveError
    from lab2.archive.probe import probe, table

    findings = probe()
    print(table(findings))
    if wrong := sum(bool(finding.advice) for finding in findings):
        raise ArchiveError(f"{wrong} of {len(findings)} assumptions do not hold")


def simulate(chosen):
    """Make a simulated survey."""
    from lab2._lock import alone
    from lab2.simulate import make_survey
    from lab2.simulate.again import arguments
    from lab2.survey import build_folder, survey_folder

    folder = survey_folder(chosen.survey)
    given = arguments(chosen.survey, chosen.seed, chosen.n_stars, chosen.replace)
    with alone(build_folder(chosen.survey)):  # no notebook reads the survey while it is replaced
        make_survey(folder, **given)
    print(f"survey {chosen.survey!r}: {folder}")


def survey(chosen):
    """Check a survey's files against its manifest, or write a missing manifest."""
    from lab2 import catalog
    from lab2._lock import alone
    from lab2.survey import build_folder, check, survey_folder

    there = (survey_folder(chosen.survey, must_exist=True) / "manifest.json").is_file()
    new = chosen.adopt or not there
    if new:
        with alone(build_folder(chosen.survey)):
            about = catalog.adopt(chosen.survey)
    else:
        about = check(chosen.survey)
    spectra = sum(name.startswith("apStar/") for name in about["files"])
    size = sum(file["size"] for file in about["files"].values()) / 1e6
    kind = "simulated" if about["simulated"] else "observed"
    state = "manifest.json written" if new else "all files as in manifest.json"
    print(f"survey {chosen.survey!r} ({kind}): {spectra} spectra, {size:.0f} MB; {state}")


def add_commands(add):
    """Describe the commands of this module."""
    one = add(fetch, "fetch", "complete files are kept; run the same command to continue")
    one.add_argument("--survey", **(ON_SURVEY | {"default": "dr17", "help": "a folder in data/ (default: dr17)"}))
    one.add_argument("--fields", nargs="+", metavar="FIELD", help="APOGEE fields (default: the lab's four)")
    one.add_argument("--limit", type=int, metavar="N", help="number of spectra (default: those of all giants)")
    one.add_argument("--allstar", metavar="FILE", help="take the catalog from this allStar file of DR17")
    one.add_argument("--verify", action="store_true", help="read all files present and compare checksums")
    one.add_argument("--dry-run", action="store_true", help="show what would be fetched, and its size")
    one.add_argument("--probe", action="store_true", help="fetch nothing; test lab2's assumptions about the archives")

    one = add(simulate, "simulate", "the survey is unchanged; run the same command to start again")
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument("--n-stars", type=int, metavar="N", help="number of stars that pass the cuts, at least 150")
    one.add_argument("--seed", type=int, metavar="S", help="seed of its random numbers")
    one.add_argument("--replace", action="store_true", help="replace a survey with other or more stars")

    one = add(survey, "survey")
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument("--adopt", action="store_true", help="accept the files as they are: rewrite the manifest")
