# From the table of experiments to the figures: data -> simulate -> collect -> figure, with tune where learning rates are
# to be found first. What the theory is asked goes by the rules of theory/rules.smk.
#
#   snakemake --cores 8                                     everything of config/config.yaml
#   snakemake --cores 8 --configfile config/smoke.yaml      another table, into the folder it names under `pathvars`
#   snakemake --cores 8 results/figures/fig07_failures.pdf  one figure and what it needs
#
# `params: code` holds a fingerprint of the code that a job executes, so that an edit of its logic re-runs the job.
import json
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version, validate

from p2pl import fingerprint, lock, registry, sweep, warm
from p2pl.table_files import extended
from paper_figures import needs

min_version("9.20")

if not config:  # Snakemake merges config files: the default one must not join another

    configfile: "config/config.yaml"

elif "pathvars" not in config:
    raise WorkflowError("The table does not say where its results go: pathvars: {results: results/mine}")


TABLE = extended(config)
validate(TABLE, "config/schema.yaml")

BLOCKS = sweep.index(TABLE)  # name of an experiment -> its cells
CELLS = {cell.key: cell for cells in BLOCKS.values() for cell in cells}
TABLES = sweep.tables(BLOCKS)  # name -> the folder of its cells' files, and the cells
ENTRIES = {  # what its cells follow from, for `p2pl collect`; the prose is for readers
    name: {
        "defaults": TABLE.get("defaults"),
        "experiments": {name: {key: entry[key] for key in entry if key not in ("asks", "shows")}},
    }
    for name, entry in TABLE["experiments"].items()
}
FIGURES = {figure: tables for figure, tables in needs().items() if set(tables) <= set(TABLES)}


localrules:
    all,
    data,  # a download, if one is needed: the nodes of a cluster often have no network
    collect,
    tune,
    figure,
    claims,


# One Snakemake at a time for each table. Its own lock, off in profiles/default, is a file, and survives a `kill -9`.
onstart:
    if not lock.hold(Path(config["pathvars"]["results"], "logs", ".lock")):
        raise WorkflowError(f"Directory cannot be locked: another Snakemake makes {config['pathvars']['results']}.")
    warm.start()  # the runs of this machine share the imports
    if workflow.local_exec:  # else Snakemake 9.27 goes through all jobs once a second for each job that has ended
        workflow.scheduler.job_rate_limiter = None


wildcard_constraints:
    cell="[0-9a-f]{12}",


rule all:
    input:
        expand("<results>/tables/{table}.parquet", table=TABLES),
        expand("<results>/figures/{figure}.pdf", figure=FIGURES),
        "<results>/claims.md",


rule data:
    output:
        "<results>/data/{data}.json",
    log:
        "<results>/logs/data/{data}.log",
    conda:
        "config/environment.yaml"
    params:
        code=lambda w: fingerprint.of_component(registry.dataset, w.data),
    shell:
        "p2pl data {wildcards.data} > {output} 2> {log}"


rule simulate:
    input:
        data=lambda w: f"<results>/data/{CELLS[w.cell].experiment.dataset.name}.json",
        tuned=lambda w: f"<results>/tuned/{CELLS[w.cell].tuned}.json" if CELLS[w.cell].tuned else [],
    output:
        "<results>/runs/{cell}.parquet",
    log:
        "<results>/logs/runs/{cell}.log",
    conda:
        "config/environment.yaml"
    threads: 1
    params:
        spec=lambda w: CELLS[w.cell].spec,
        seeds=lambda w: ",".join(map(str, CELLS[w.cell].seeds)),
        tuned=lambda w, input: f"--tuned {input.tuned} {quote(CELLS[w.cell].arm)}" if input.tuned else "",
        code=lambda w: fingerprint.of_experiment(CELLS[w.cell].experiment),
    shell:
        "p2pl run {params.spec:q} --seeds {params.seeds} {params.tuned} --out {output} > {log} 2>&1"


include: "theory/rules.smk"


rule collect:
    input:
        lambda w: [f"<results>/{TABLES[w.table][0]}/{cell.key}.parquet" for cell in TABLES[w.table][1]],
    output:
        table="<results>/tables/{table}.parquet",
        block="<results>/tables/{table}.json",
    log:
        "<results>/logs/tables/{table}.log",
    conda:
        "config/environment.yaml"
    params:
        entry=lambda w: json.dumps(ENTRIES[TABLES[w.table][1][0].block]),
        block=lambda w: TABLES[w.table][1][0].block,
        files=subpath(input[0], parent=True),
        code=fingerprint.of_files("p2pl/results.py"),
    shell:
        "printf '%s\\n' {params.entry:q} > {output.block} && "
        "p2pl collect {output.block} {params.block} --runs {params.files} --out {output.table} > {log} 2>&1"


rule tune:
    input:
        "<results>/tables/{block}.parquet",
    output:
        "<results>/tuned/{block}.json",
    log:
        "<results>/logs/tuned/{block}.log",
    conda:
        "config/environment.yaml"
    params:
        code=fingerprint.of_files("p2pl/tuning.py"),
    shell:
        "p2pl tune {input} > {output} 2> {log}"


rule figure:
    input:
        lambda w: [f"<results>/tables/{table}.parquet" for table in FIGURES[w.figure]],
    output:
        pdf="<results>/figures/{figure}.pdf",
        png=report(
            "<results>/figures/{figure}.png",
            caption="paper_figures/report.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        caption="<results>/figures/{figure}.rst",
    log:
        "<results>/logs/figures/{figure}.log",
    conda:
        "config/environment.yaml"
    params:
        code=lambda w: fingerprint.of_figure(w.figure),
        caption=lambda w, output: Path(output.caption),  # for the report, which reads it when all is done
    shell:
        "python -m paper_figures {wildcards.figure} {input} --out {output.pdf} > {log} 2>&1"


rule claims:
    input:
        expand(
            "<results>/tables/{table}.parquet",
            table=[name for name in TABLES if not name.endswith((".theory", ".forecast"))],
        ),
    output:
        table=report("<results>/claims.md", category="Claims"),
        evidence="<results>/claims.json",
    log:
        "<results>/logs/claims.log",
    conda:
        "config/environment.yaml"
    params:
        code=fingerprint.of_files("paper_figures/claims_table.py"),
    shell:
        "python -m paper_figures.claims_table {input} --out {output.table} > {log} 2>&1"
