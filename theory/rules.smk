# What the theory says of a cell, beside its run: predict, from a run that keeps its networks' outputs (observe), and
# compare; forecast and check; or the onset of growth alone. Included by the Snakefile, whose names it uses.

OBSERVED = "|".join(sorted({cell.key for cell in CELLS.values() if cell.predict})) or "none"


ruleorder: observe > simulate
ruleorder: check > compare


rule observe:
    input:
        data=lambda w: f"<results>/data/{CELLS[w.cell].experiment.dataset.name}.json",
    output:
        run="<results>/runs/{cell}.parquet",
        outputs=temp("<results>/runs/{cell}.outputs.npz"),
    log:
        "<results>/logs/runs/{cell}.log",
    wildcard_constraints:
        cell=OBSERVED,
    conda:
        "../config/environment.yaml"
    threads: 1
    params:
        spec=lambda w: CELLS[w.cell].spec,
        seeds=lambda w: ",".join(map(str, CELLS[w.cell].seeds)),
        code=lambda w: fingerprint.of_experiment(CELLS[w.cell].experiment),
    shell:
        "p2pl run {params.spec:q} --seeds {params.seeds} --outputs --out {output.run} > {log} 2>&1"


rule predict:
    input:
        data=lambda w: f"<results>/data/{CELLS[w.cell].experiment.dataset.name}.json",
    output:
        theory="<results>/predictions/{way}/{cell}.parquet",
        outputs=temp("<results>/predictions/{way}/{cell}.outputs.npz"),
    log:
        "<results>/logs/predictions/{way}/{cell}.log",
    conda:
        "../config/environment.yaml"
    threads: 1
    params:
        spec=lambda w: CELLS[w.cell].spec,
        seeds=lambda w: ",".join(map(str, CELLS[w.cell].seeds)),
        code=lambda w: fingerprint.of_experiment(CELLS[w.cell].experiment, "theory/predict.py"),
    shell:
        "p2pl predict {params.spec:q} --seeds {params.seeds} --cuts {wildcards.way} --outputs --out {output.theory} "
        "> {log} 2>&1"


rule compare:
    input:
        run="<results>/runs/{cell}.parquet",
        observed="<results>/runs/{cell}.outputs.npz",
        theory="<results>/predictions/{way}/{cell}.parquet",
        predicted="<results>/predictions/{way}/{cell}.outputs.npz",
    output:
        "<results>/comparisons/{way}/{cell}.parquet",
    log:
        "<results>/logs/comparisons/{way}/{cell}.log",
    conda:
        "../config/environment.yaml"
    params:
        code=fingerprint.of_files("theory/compare.py"),
    shell:
        "p2pl compare {input.run} {input.theory} --out {output} > {log} 2>&1"


rule forecast:
    input:
        data=lambda w: f"<results>/data/{CELLS[w.cell].experiment.dataset.name}.json",
    output:
        "<results>/forecasts/{way}/{cell}.parquet",
    log:
        "<results>/logs/forecasts/{way}/{cell}.log",
    conda:
        "../config/environment.yaml"
    threads: 1
    params:
        spec=lambda w: CELLS[w.cell].spec,
        seeds=lambda w: ",".join(map(str, CELLS[w.cell].seeds)),
        code=lambda w: fingerprint.of_experiment(CELLS[w.cell].experiment, "theory/forecast.py"),
    shell:
        "p2pl forecast {params.spec:q} --seeds {params.seeds} --by {wildcards.way} --out {output} > {log} 2>&1"


rule check:
    input:
        run="<results>/runs/{cell}.parquet",
        forecast="<results>/forecasts/{way}/{cell}.parquet",
    output:
        "<results>/comparisons/{way}/{cell}.parquet",
    log:
        "<results>/logs/comparisons/{way}/{cell}.log",
    wildcard_constraints:
        way="span|path",
    conda:
        "../config/environment.yaml"
    params:
        code=lambda w: fingerprint.of_experiment(CELLS[w.cell].experiment, "theory/check.py"),
    shell:
        "p2pl compare {input.run} {input.forecast} --out {output} > {log} 2>&1"


rule onset:
    input:
        data=lambda w: f"<results>/data/{CELLS[w.cell].experiment.dataset.name}.json",
    output:
        "<results>/onsets/{cell}.parquet",
    log:
        "<results>/logs/onsets/{cell}.log",
    conda:
        "../config/environment.yaml"
    threads: 1
    params:
        spec=lambda w: CELLS[w.cell].spec,
        seeds=lambda w: ",".join(map(str, CELLS[w.cell].seeds)),
        around=lambda w: f"--around {','.join(map(str, CELLS[w.cell].onset))}" if CELLS[w.cell].onset else "",
        code=lambda w: (
            fingerprint.of_experiment(CELLS[w.cell].experiment, "theory/growth.py")
            + fingerprint.of_experiment(CELLS[w.cell].experiment)
        ),
    shell:
        "p2pl onset {params.spec:q} --seeds {params.seeds} {params.around} --out {output} > {log} 2>&1"
