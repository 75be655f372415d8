"""Plug-ins are called as their trainers call them."""

import asyncio
import importlib.util
import inspect
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from embrm import load_model
from embrm.exceptions import EmbrmWarning, InvalidInputError
from embrm.integrations import (
    RemoteRewardModel,
    RewardJudge,
    areal,
    openrlhf,
    rerank,
    rewards_of,
    swift,
    trl_reward,
    trl_rewards,
    verl,
)
from tests.serve.stubs import Tenth, lengths_model

CHAT = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
TURNS = [{"role": "user", "content": "Hi"}]


def call_as_trl(function, prompts, completions, **extra):
    """As GRPOTrainer calls a reward function: keywords, columns, state, loggers."""
    return function(
        prompts=prompts,
        completions=completions,
        completion_ids=[[1, 2]] * len(completions),
        ground_truth=["x"] * len(completions),
        trainer_state=SimpleNamespace(global_step=1),
        log_extra=lambda column, values: None,
        **{"log_metric": lambda name, value: None, **extra},
    )


def test_trl_gets_a_number_for_each_completion():
    """Of texts and of messages alike."""
    reward = trl_reward(lengths_model())
    assert call_as_trl(reward, ["Hi", "Hi"], ["abc", "ab"]) == [0.3, 0.2]
    said = [[{"role": "assistant", "content": "abc"}]]
    assert call_as_trl(reward, [TURNS], said) == [0.3]
    assert call_as_trl(reward, [], []) == []


def test_trl_s_function_is_plain_named_and_synchronous(model_dir):
    """TRL logs `__name__`, and awaits what is a coroutine function."""
    for place in (lengths_model(), str(model_dir), "http://localhost:8080"):
        reward = trl_reward(place, name="helpful")
        assert inspect.isfunction(reward)
        assert not inspect.iscoroutinefunction(reward)
        assert reward.__name__ == "helpful"


def test_trl_s_function_is_pickled_by_its_name_into_other_processes(model_dir):
    """Of a directory, in a process that has not made it."""
    reward = trl_reward(model_dir, name="helpful")
    assert pickle.loads(pickle.dumps(reward)) is reward
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        there = pool.submit(reward, ["p1", "p1"], ["good", "bad"]).result()
    assert there == reward(["p1", "p1"], ["good", "bad"])
    with pytest.raises(AttributeError, match="no such reward"):
        inspect.getmodule(reward).reward_nonsense  # noqa: B018


def test_several_models_give_trl_several_functions_or_logged_means():
    """With weights, or one reward and means beside it."""
    models = {"long": lengths_model(), "short": lengths_model(head=Tenth(-1.0))}
    functions = trl_rewards(models)
    assert [function.__name__ for function in functions] == ["long", "short"]
    assert [call_as_trl(f, ["Hi"], ["abc"]) for f in functions] == [[0.3], [-0.3]]
    logged = {}
    reward = trl_reward(models, name="mix")
    call_as_trl(reward, ["Hi"] * 2, ["abc", "a"], log_metric=logged.__setitem__)
    assert logged == {"mix/short": pytest.approx(-0.2)}


def test_a_completion_without_text_gets_the_mean_of_the_others():
    """A policy that says nothing does not end the run, unless that is asked for."""
    with pytest.warns(EmbrmWarning, match="1 of 3 responses"):
        given = call_as_trl(trl_reward(lengths_model()), ["Hi"] * 3, ["abcd", "", "ab"])
    assert given == pytest.approx([0.4, 0.3, 0.2])
    with pytest.warns(EmbrmWarning, match="2 of 2"):
        assert rewards_of(lengths_model(), [("Hi", ""), ("Hi", "\ud800")]) == {
            "reward": [0.0, 0.0]
        }


def test_an_empty_response_alone_gets_the_mean_of_what_came_before(url, named_model):
    """verl, AReaL and OpenRLHF send one at a time: where rewards are low, 0 would be
    what a policy gains by saying nothing. Keys stay the same for every sample."""
    named_model(f"long={url},again={url}")
    manager = verl.RewardManager(SimpleNamespace(), Tokenizer(), compute_score=None)
    rewarded = [
        asyncio.run(manager.run_single([Sample(ids, len(ids), TURNS)]))
        for ids in ([97] * 4, [97] * 2)
    ]
    with pytest.warns(EmbrmWarning, match="1 of 1"):
        empty = asyncio.run(manager.run_single([Sample([32], 1, TURNS)]))
    assert empty["reward_score"] == pytest.approx(0.3)
    assert empty["reward_extra_info"].keys() == rewarded[0]["reward_extra_info"].keys()


def test_rewards_in_process_and_over_http_are_the_same_bits(running, model_dir):
    """Whatever was rewarded together."""
    from embrm.serve.app import create_app

    there = running(create_app(load_model(model_dir)))
    texts = [(f"p{n % 3}", f"good {n} " * (n + 1)) for n in range(40)]
    here = rewards_of(model_dir, texts)["reward"]
    assert rewards_of(there, texts)["reward"] == here
    assert rewards_of(RemoteRewardModel(there), texts[7:9])["reward"] == here[7:9]


def test_a_judge_prefers_the_higher_reward_whatever_the_order():
    """TRL's protocol: prompts, pairs of completions, a list of 0 and 1."""
    judge = RewardJudge(lengths_model())
    pairs = [["abc", "ab"], ["ab", "abc"], ["ab", "ba"]]
    assert judge.judge(["Hi"] * 3, pairs, shuffle_order=False) == [0, 1, 0]


class Sample:
    """What verl hands over: the last of `data` has a batch and other things."""

    def __init__(self, ids, n_valid, prompt):
        import torch

        ids = torch.tensor(ids)
        mask = torch.tensor([1, 1] + [1] * n_valid + [0] * (len(ids) - n_valid))
        self.batch = {"responses": ids, "attention_mask": mask}
        self.non_tensor_batch = {"raw_prompt": np.array(prompt, dtype=object)}


class Tokenizer:
    def decode(self, ids, skip_special_tokens=False):
        assert skip_special_tokens
        return "".join(chr(int(one)) for one in ids)


def test_verl_s_manager_rewards_a_sample_by_prompt_and_response(url, named_model):
    """The padding left out, the same extra keys for every sample."""
    named_model(f"long={url},again={url}")
    manager = verl.RewardManager(SimpleNamespace(), Tokenizer(), compute_score=None)
    data = [None, Sample([97, 98, 99, 0, 0], 3, TURNS)]
    answer = asyncio.run(manager.run_single(data))
    extra = {"reward": 0.3, "again": 0.3}
    assert answer == {"reward_score": 0.3, "reward_extra_info": extra}


def test_verl_s_score_function_reads_the_prompt_from_extra_info(url, named_model):
    """By keywords, as verl calls it, for one sample and for a batch."""
    one = verl.compute_score(
        data_source="d",
        solution_str="abc",
        ground_truth="x",
        extra_info={"prompt": TURNS},
        model=url,
    )
    assert one == {"score": 0.3}
    named_model(url)
    many = verl.compute_score_batched(
        data_sources=["d"] * 2, solution_strs=["abc", "a"], ground_truths=["x"] * 2
    )
    assert many == [0.3, 0.1]


def test_ms_swift_s_class_rewards_completions_for_their_messages(url, named_model):
    """`messages` ends with the completion."""
    named_model(url)
    said = [[*TURNS, {"role": "assistant", "content": "abc"}]]
    assert swift.EmbrmReward()(completions=["abc"], messages=said, solution=["x"]) == [
        0.3
    ]


def test_openrlhf_s_file_rewards_whole_texts(url, named_model):
    """Loaded by its path, as OpenRLHF loads it; flat tensors come back."""
    named_model(f"long={url},again={url}")
    spec = importlib.util.spec_from_file_location("reward_func", openrlhf.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answer = module.reward_func([CHAT + "abc<|im_end|>"], [CHAT], [None])
    assert answer["rewards"].tolist() == pytest.approx([0.3])
    assert answer["scores"].shape == (1,)
    assert answer["extra_logs"]["again"].tolist() == pytest.approx([0.3])


def test_areal_s_function_gives_a_float(url, named_model):
    """Called with token ids beside the texts."""
    named_model(url)
    reward = areal.reward_fn("Hi", "abc", [1], [2, 3], answer="x")
    assert (type(reward), reward) == (float, 0.3)
    # As its workflows decode them, with special tokens.
    templated = areal.reward_fn(CHAT, "abc<|im_end|>", [1], [2, 3], answer="x")
    assert (type(templated), templated) == (float, 0.3)


@pytest.mark.parametrize("name", ["openrlhf", "swift"])
def test_a_reward_file_says_where_it_is(name):
    """For command lines that take a path."""
    command = [sys.executable, "-m", f"embrm.integrations.{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(f"embrm/integrations/{name}.py")


def test_without_a_model_in_the_environment_the_error_says_how(monkeypatch):
    """Trainers' files get no arguments."""
    monkeypatch.delenv("EMBRM_REWARD", raising=False)
    with pytest.raises(InvalidInputError, match="export EMBRM_REWARD=http://"):
        areal.reward_fn("Hi", "abc")


def test_reranking_orders_documents_best_first():
    """As many as are wanted; of equal ones the first."""
    model = lengths_model()
    documents = ["ab", "abcd", "ba", "abc"]
    assert [n for n, _ in rerank("Hi", documents, model=model)] == [1, 3, 0, 2]
    assert rerank("Hi", documents, model=model, top_n=1) == [(1, 0.4)]
