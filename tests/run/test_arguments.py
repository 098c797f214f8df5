"""A stage's signature says which options and params it has."""


def test_every_option_is_a_path_that_dvc_yaml_names(project):
    said = project.run("python", "-m", "pipeline.train", check=False)
    assert said.returncode == 2
    assert "--data PATH --models PATH --output PATH" in " ".join(said.stdout.split())


def test_every_stage_depends_in_dvc_on_the_params_it_reads():
    import importlib
    from pathlib import Path

    from pipeline.config.yaml_text import load_yaml
    from pipeline.run.arguments import sections

    stages = load_yaml(Path("dvc.yaml").read_text(), "dvc.yaml")["stages"]
    for name, entry in stages.items():
        function = name.replace("-", "_")
        module = importlib.import_module(f"pipeline.{function}")
        read = sections(getattr(module, function))
        named = entry.get("params", [])
        assert sorted(read) == sorted(param for param in named if isinstance(param, str)), name
        others = [param for param in named if not isinstance(param, str)]
        code = {"train": ["command_code", "parent_code"], "checkpoint": ["parent_code"]}.get(name)
        assert others == ([{"conf.lock.yaml": code}] if code else []), name


def test_a_missing_params_file_is_one_line(project):
    (project.root / "params.yaml").unlink()
    said = project.stage("prepare", check=False)
    assert said.returncode == 1
    assert said.stdout == (
        "error: prepare: params.yaml: missing; run `dvc repro compose` in the repository's root\n"
    )
