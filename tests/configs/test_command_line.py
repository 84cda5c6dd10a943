import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.command_line import compose_config, prepare
from configs.overrides import combinations, parse, shorthand
from configs.resuming import resume_overrides
from l2t.errors import ConfigurationError, RunDirectoryError
from scripts.train import main
from tests.support.processes import processor_seconds

TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"


def train(*arguments, cwd):
    """Run the entry point without letting it import JAX: the answer to a mistake must not need it."""
    code = (
        "import sys, runpy; sys.modules['jax'] = None; sys.modules['mujoco'] = None;"
        f"sys.argv = ['train.py', *{list(arguments)!r}]; runpy.run_path({str(TRAIN)!r}, run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


MISTAKES = {
    "algorithm=td3": ["algorithm=td3 is not known", "iq_learn, l2t, ppo, rvi_sac, sac, spmd"],
    "env=foo": ["env=foo is not known", "half_cheetah", "walker2d"],
    "env=hoper": ["Did you mean env=hopper?"],
    "physics=bullet": ["auto, mjx, native, warp"],
    "network=huge": ["medium, small"],
    "experiment=foo": ["smoke"],
    "env=null": ["env=null is not known", "half_cheetah"],
    "algorithm={a:1}": ["iq_learn, l2t, ppo, rvi_sac, sac, spmd"],
    "algorithm.teacher=td3": ["algorithm/teacher=td3 is not known", "ipmd, ppo, rvi_sac, sac, spmd"],
    "algorithm=spmd algorithm.teacher=ppo": ["algorithm.teacher is not known", "algorithm.learning_rate"],
    "algorithm=smpd": ["Did you mean algorithm=spmd?"],
    "algorithm=PPO": ["Did you mean algorithm=ppo?"],
    "env=Hopper-v5": ["Did you mean env=hopper?"],
    "env=HalfCheetah": ["Did you mean env=half_cheetah?"],
    "env=Lander-v3": ["Did you mean env=gymnasium env.id=Lander-v3?"],
    "experiment=hopper": ["Did you mean experiment=l2t_hopper?"],
    "lr=3e-4": ["Did you mean algorithm.teacher.learning_rate or algorithm.student.learning_rate?"],
    "algorithm=spmd lr=3e-4": ["Did you mean algorithm.learning_rate?"],
    "algorithm=ppo algorithm.gamma=0.9": ["Did you mean algorithm.discount?"],
    "algorithm=spmd algorithm.gamma=0.9": [
        "Nothing is discounted here: algorithm=ppo and algorithm=sac have a discount"
    ],
    "algorithm=spmd algorithm.discount=0.9": ["algorithm.discount is not known", "Nothing is discounted here"],
    "algorithm=sac algorithm.tau=0.1": ["Did you mean algorithm.polyak?"],
    "steps=1000": ["Did you mean total_steps?"],
    "n_envs=8": ["Did you mean num_envs?"],
    "network=[64,64,64]": ["Did you mean network.hidden=[64,64,64]?"],
    "network=64": ["Did you mean network.hidden=[64]?"],
    "network.hidden=64": ["must be a list, such as [64, 64]"],
    "--config-name=foo": ["There is no configuration foo: leave out --config-name=foo"],
    "--config-name=foo --help": ["There is no configuration foo: leave out --config-name=foo"],
    "experiment=l2t_hopper algorithm=spmd": [
        "experiment=l2t_hopper sets algorithm.teacher",
        "leave one of the two out",
    ],
    "seeed=1": ["seeed is not known", "Did you mean seed?"],
    "+seeed=1": ["seeed is not known", "Did you mean seed?"],
    "seed.foo=1": ["seed is a single value"],
    "study.samples=100": ["study.samples cannot be set: no experiment is chosen"],
    "experimnt=smoke": ["experimnt is not known", "Did you mean experiment?"],
    "env=cassie env.terrain=mixed env.terrain.weights={lava:1}": [
        "env.terrain.weights cannot",
        "it takes flat, ",
        "stairs",
    ],
    "algorithm.lerning_rate=1": ["algorithm.teacher.learning_rate or algorithm.student.learning_rate"],
    "algorithm.teacher.lerning_rate=1": ["Did you mean algorithm.teacher.learning_rate?"],
    "+algorithm.teacher.lerning_rate=1": ["Did you mean algorithm.teacher.learning_rate?"],
    "algorithm.teacher.learning_rate=fast": ["algorithm.teacher.learning_rate='fast' must be a number"],
    "algorithm.teacher.learning_rate=7": ["algorithm.teacher.learning_rate=7 is out of range", "(0, 1]"],
    "env.task=chess": ["env.task='chess' is not known", "half_cheetah"],
    "env.student_noise=loud": ["env.student_noise='loud' must be a number"],
    "env.parameters=3": ["env.parameters=3 must be a mapping"],
    "network.hidden=[]": ["network.hidden is empty"],
    "tracking.wandb.tags=paper": ["tracking.wandb.tags='paper' must be a list, such as [a, b]"],
    "algorithm.student.network=huge": ["medium, small"],
    "algorithm.student.network.hidden=[]": ["algorithm.student.network.hidden is empty"],
    "algorithm.learning_rate_schedule=cosine env=hopper algorithm=spmd": ["choose one of: constant, linear"],
    "total_steps=3000000000000": ["total_steps=3000000000000 is too large", "10**12"],
    "tracking.wandb.mode=on": ["disabled, offline, online"],
    "num_envs=abc": ["num_envs='abc' must be a whole number"],
    "num_envs=0": ["num_envs=0 is too small; it must be at least 1"],
    "total_steps=-5": ["at least 1"],
    "seed=1.5": ["seed=1.5 must be a whole number"],
    "seed=null": ["seed=None must be a whole number"],
    "report=maybe": ["must be true or false"],
    "seed=0,1": ["add -m"],
    "seed=[0": ["cannot be read; write key=value"],
    "hopper": ["cannot be read; write key=value"],
    "~algorithm": ["algorithm=..."],
    "~env.task": ["env", "task"],
    "env.task=???": ["A value is missing: give env.task=..."],
    "algorithm=distillation": ["algorithm.teacher_run is missing"],
    "algorithm._target_=nowhere.Config": ["algorithm._target_=nowhere.Config cannot be imported"],
    "-m env=hopper,foo": ["env=foo is not known"],
    "-m seed=0,x": ["seed='x' must be a whole number"],
    "-m resume=somewhere": ["leave out -m"],
    "resume=somewhere start_from=elsewhere": ["leave out start_from"],
    "resume=somewhere start_roles=[teacher]": ["leave out start_from"],
    "start_roles=teacher": ["must be a list of roles"],
    "start_roles=[teacher]": ["give start_from=<run>"],
    "resume=nowhere": ["resume=nowhere does not exist"],
    "resume=nowhere run_dir=elsewhere": ["leave out run_dir="],
    "resume=.": ["resume=. is not a run directory"],
    "run_dir=taken": ["taken already holds a run (status finished)", "resume=taken"],
    "run_dir=foreign": ["foreign is not empty", "run_dir="],
    f"run_dir={'x' * 300}": ["xxx cannot be written (File name too long); choose another place with run_dir="],
    "run_dir=/proc/nowhere": ["/proc/nowhere cannot be written (No such file or directory); choose another"],
    "-m run_dir=/proc/nowhere seed=0,1": ["/proc/nowhere cannot be written (No such file or directory)"],
    f"resume={'x' * 300}": ["xxx cannot be written (File name too long); name a run directory"],
    "run_dir=file/run": ["file is a file", "run_dir="],
    "hydra.run.dir=taken": ["taken already holds a run"],
    "--config-dir=nowhere": ["nowhere is not a directory"],
    "--frobnicate": ["unrecognized arguments: --frobnicate"],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_message_and_leaves_nothing_behind(mistake, tmp_path, monkeypatch, capsys):
    for folder, name, content in (("taken", "result.json", '{"status": "finished"}'), ("foreign", "thesis.tex", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(content)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *mistake.split()])
    for heavy in ("jax", "mujoco"):
        monkeypatch.setitem(sys.modules, heavy, None)
    with pytest.raises(SystemExit) as stopped:
        main()
    out, err = capsys.readouterr()
    assert stopped.value.code in (1, 2)
    for part in MISTAKES[mistake]:
        assert part in err
    assert out == ""
    assert err.count("\n") == 1 or "usage:" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_help_and_mistakes_answer_within_two_seconds(tmp_path):
    for arguments in (["--help"], ["env=foo"]):
        seconds = []
        for _ in range(3):
            before = processor_seconds()
            answer = train(*arguments, cwd=tmp_path)
            seconds.append(processor_seconds() - before)
            assert answer.returncode == (0 if arguments == ["--help"] else 1)
            assert "Traceback" not in answer.stderr
        assert 0.05 < min(seconds) < 2.0


def test_help_lists_groups_and_keys(tmp_path):
    text = train("--help", cwd=tmp_path).stdout
    for part in ("l2t-train", "half_cheetah", "distillation", "total_steps: 2000000", "resume"):
        assert part in text


def test_a_mistake_in_a_parameter_of_the_task_removes_the_directory_again(tmp_path):
    command = [sys.executable, str(TRAIN), "env.parameters.speed=1", "run_dir=here"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "ctrl_cost_weight" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "hydra"),
    [
        ("algorithm.teacher=ppo", "algorithm/teacher=ppo"),
        ("algorithm.student.network=small", "network@algorithm.student.network=small"),
        ("algorithm/teacher=ppo", "algorithm/teacher=ppo"),
        ("algorithm.teacher.learning_rate=1", "algorithm.teacher.learning_rate=1"),
        ("algorithm=ppo", "algorithm=ppo"),
        ("+algorithm.teacher=ppo", "+algorithm/teacher=ppo"),
        ("~algorithm.teacher", "~algorithm/teacher"),
        ("env.parameters.ctrl_cost_weight=1", "++env.parameters.ctrl_cost_weight=1"),
        ("+env.parameters.ctrl_cost_weight=1", "+env.parameters.ctrl_cost_weight=1"),
        ("env.randomise.body_mass=[0.8,1.2]", "++env.randomise.body_mass=[0.8,1.2]"),
        ("env.model.geom_friction=0.5", "++env.model.geom_friction=0.5"),
        ("seed=1", "seed=1"),
    ],
)
def test_shorthands_become_what_hydra_understands(given, hydra):
    assert shorthand(given) == hydra


def test_a_run_directory_with_special_characters_survives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "it's a=run, {really}"
    quoted = name.replace("'", "\\'")
    arguments = prepare([f"run_dir='{quoted}'"])
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = {o.key_or_group: o.value() for o in OverridesParser.create().parse_overrides(arguments)}
    assert parsed["hydra.run.dir"] == name


def test_a_sweep_gets_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "hydra.sweep.dir='here'" in prepare(["-m", "seed=0,1", "run_dir=here"])


def _started(folder, *overrides, hydra=()):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides) or "[]\n")
    listed = "".join(f"\n    - {text}" for text in hydra) or " []"
    (folder / ".hydra" / "hydra.yaml").write_text(f"hydra:\n  overrides:\n    hydra:{listed}\n")
    (folder / "result.json").write_text('{"status": "interrupted"}')
    return folder


def test_resuming_brings_back_the_overrides_and_new_values_win(tmp_path):
    run = _started(tmp_path / "run", "env=hopper", "seed=3", "total_steps=100", "run_dir=elsewhere")
    arguments = resume_overrides(run, [f"resume={run}", "total_steps=200"], compose_config)
    assert arguments == [
        *("env=hopper", "seed=3", f"resume={run}", "total_steps=200"),
        *(f"hydra.run.dir='{run}'", "hydra.output_subdir=null"),
    ]


def test_resuming_recognises_the_same_key_in_another_spelling(tmp_path):
    run = _started(tmp_path / "run", "algorithm/teacher=ppo", "++env.parameters.a=1")
    arguments = resume_overrides(run, ["algorithm/teacher=spmd", "+env.parameters.a=2"], compose_config)
    assert arguments[:2] == ["algorithm/teacher=spmd", "+env.parameters.a=2"]


def test_resuming_keeps_the_search_path_but_not_the_old_directory(tmp_path):
    run = _started(tmp_path / "run", "seed=1", hydra=["hydra.searchpath=[x]", "hydra.run.dir=old", "hydra.mode=RUN"])
    arguments = resume_overrides(run, [], compose_config)
    assert "hydra.searchpath=[x]" in arguments
    assert not any("old" in argument or "mode" in argument for argument in arguments)


def test_resuming_an_unreadable_run_is_refused(tmp_path):
    run = _started(tmp_path / "run")
    (run / ".hydra" / "overrides.yaml").write_text("{a: [")
    with pytest.raises(RunDirectoryError, match="cannot be read"):
        resume_overrides(run, [], compose_config)


def test_every_value_of_a_sweep_is_checked_before_the_first_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(["-m", "seed=range(0,3)", "env=hopper,ant", "algorithm.teacher=spmd,ppo"])
    with pytest.raises(ConfigurationError, match="num_envs=0"):
        prepare(["-m", "seed=0,1", "num_envs=4,8,0"])


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["algorithm=spmd,ppo", "algorithm.num_steps=32"], "algorithm.num_steps=choice(32)"),
        (
            ["algorithm=ipmd,gail", "algorithm.demonstrations=.", "algorithm.optimizer=ppo"],
            "algorithm/optimizer=choice(ppo)",
        ),
        (["env=cassie,hopper", "env.student_stack=7"], "env.student_stack=choice(7)"),
        (
            ["env.terrain=flat,slope", "env=cassie", "env.command.forward=[0.5, 1.0]"],
            "env.command.forward=choice([0.5, 1.0])",
        ),
        (["experiment=glob(attribution_*)", "network.hidden=[8]"], "network.hidden=choice([8])"),
        (["seed=0,1", "network.hidden=[8]"], "network.hidden=[8]"),
        (["algorithm=spmd,ppo", "env.slope=7"], "env.slope=7"),
        (["experiment=l2t_hopper,l2t_ant", "num_envs=32"], "num_envs=32"),
    ],
)
def test_what_only_the_jobs_of_a_sweep_know_waits_for_them(tmp_path, monkeypatch, typed, told):
    monkeypatch.chdir(tmp_path)
    arguments = prepare(["-m", *typed])
    assert any(argument.replace(str(tmp_path), "") == told for argument in arguments)
    master = [argument for argument in arguments if argument != "-m"]
    plain = [text for text in master if not parse(text).is_sweep_override()]
    compose_config(plain)  # as Hydra does before the first job
    assert all(compose_config(job) for job in combinations(master))


def test_a_read_only_working_directory_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunDirectoryError, match="cannot be written"):
        prepare([])
